"""Where an issue leads: to neighbours that are there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from newsletter.delivery.personalize import navigation
from newsletter.store import digests
from tests.delivery.test_batch_sender import LINKS
from tests.render.gallery import issues

NOW = datetime(2025, 9, 23, 6, tzinfo=UTC)
MONDAY, TUESDAY, FRIDAY = date(2025, 9, 22), date(2025, 9, 23), date(2025, 9, 26)


def before(store, day, slug=issues.RUBRIC.slug):
    with store.read() as tx:
        return digests.date_before(tx, slug, day)


def test_a_first_issue_leads_to_none_before_it(store):
    """It led to the calendar's date before, which answered 404."""
    made = issues.digest(())
    with store.begin() as tx:
        digests.save(tx, made, NOW)
    assert before(store, made.date) is None
    nav = navigation(LINKS, made, None)
    assert nav.previous is None
    assert nav.next is not None


def test_an_issue_leads_to_the_last_one_that_was_made(store):
    """Over dates without one; another rubric's, and a sum of several days, are none of its own."""
    other = replace(issues.RUBRIC, slug="other")
    with store.begin() as tx:
        digests.save(tx, issues.digest(()), NOW)
        digests.save(tx, replace(issues.digest(()), rubric=other, date=date(2025, 9, 25)), NOW)
        week = replace(issues.digest(()), date=date(2025, 9, 24), since=MONDAY)
        digests.save(tx, week, NOW)
    assert before(store, FRIDAY) == issues.DAY == TUESDAY
    nav = navigation(LINKS, replace(issues.digest(()), date=FRIDAY), TUESDAY)
    assert nav.previous == ("23 Sep", LINKS.issue_url(issues.RUBRIC, TUESDAY))
