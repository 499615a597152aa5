"""Papers of long ago that are new today: found on their evening, or said to be in doubt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest

from newsletter.domain.announcements import FetchRecord, announcement, following
from newsletter.domain.model import Unproven
from newsletter.ingest.late_papers import MIN_TO_SPLIT, coverage_starts
from newsletter.ingest.status import crosscheck
from tests.fakes.arxiv_timeline import Submission
from tests.ingest.test_poll import FRIDAY, HOUR, MONDAY, TUESDAY, WEDNESDAY, FetchService
from tests.render.gallery import issues

WEEK = timedelta(days=7)
LATE = date(2025, 10, 13)
"""Three weeks after MONDAY."""


@pytest.fixture
def service(store):
    return FetchService(store, "cs.AI", "cs.LG", since=MONDAY)


def live_until(service, last):
    """Evening by evening, one paper a day in each category; the feed is there from midnight on."""
    day = service.source.newest(service.clock())
    if service.source.asked:
        day = following(day)
    while day <= last:
        number = day.toordinal() % 400
        service.put(number + 100, day, "cs.AI")
        service.put(number + 500, day, "cs.LG")
        service.clock.now = announcement(day).public_from
        service.until_complete()
        service.clock.on(hours=5)
        service.again()
        day = following(day)


def listed(service, day, *categories):
    return {one for one in service.on(day, *categories) if one.endswith("*")}


def test_a_cross_list_between_two_fetched_categories_is_found_without_the_list(service):
    """Counted together, the paper was known in one of the two and not missed in the other."""
    first = announcement(MONDAY).end - HOUR
    service.timeline.add(Submission("2509.00001", first, ("cs.LG",), crosses=((LATE, "cs.AI"),)))
    live_until(service, LATE)
    assert listed(service, LATE, "cs.AI") == {"01*"}


@pytest.mark.parametrize("days", [20, 65])
def test_a_long_hold_comes_on_its_day_whether_the_list_is_there_or_not(service, days):
    """The list of the day is out four hours after the digest is made."""
    service.timeline.feedless.clear()
    late = MONDAY + timedelta(days=days)
    while late.weekday() > 3 or announcement(late).public_from < service.clock():
        late += timedelta(days=1)
    held = Submission("2509.00001", announcement(MONDAY).end - HOUR, ("cs.AI",), announced=late)
    service.timeline.add(held)
    live_until(service, late)
    service.clock.now = announcement(following(late)).public_from
    assert listed(service, late, "cs.AI") == {"01*"}
    with service.store.read() as tx:
        check = crosscheck(tx, issues.RUBRIC, late, WEEK)
    assert check is not None
    assert check.unproven == ()


def test_an_evening_costs_one_count_a_category(service):
    live_until(service, LATE)
    asked = Counter(at.date() for what, at in service.source.asked if what == "count")
    assert asked[LATE - timedelta(days=1)] == 0
    assert asked[LATE] == 2


def test_a_paper_that_left_hides_no_other_one(service):
    """Their counts are equal: one left the category, another one came."""
    first = announcement(MONDAY).end - HOUR
    service.timeline.add(Submission("2509.00001", first, ("cs.AI", "cs.LG")))
    live_until(service, LATE - timedelta(days=4))
    left = replace(service.timeline.by_id["2509.00001"], categories=("cs.LG",))
    service.timeline.submissions = [
        left if one.id == left.id else one for one in service.timeline.submissions
    ]
    service.timeline.by_id[left.id] = left
    live_until(service, LATE - timedelta(days=3))
    held = Submission("2509.00002", first, ("cs.AI",), announced=LATE)
    service.timeline.add(held)
    live_until(service, LATE)
    assert listed(service, LATE, "cs.AI") == {"02*"}


def test_a_busy_category_is_halved_until_few_are_left(store):
    service = FetchService(store, "cs.LG", since=MONDAY)
    window = announcement(MONDAY)
    step = (window.end - window.start) / (MIN_TO_SPLIT + 10)
    times = [(window.start + step * number).replace(second=0) for number in range(MIN_TO_SPLIT + 5)]
    service.timeline.add(
        *(
            Submission(f"2509.{10_000 + number}", at.replace(microsecond=0), ("cs.LG",))
            for number, at in enumerate(times)
        )
    )
    missing = (window.start + 3 * step).replace(second=0, microsecond=0)
    service.timeline.add(Submission("2509.00001", missing, ("cs.LG",), announced=LATE))
    live_until(service, LATE - timedelta(days=1))
    asked = len(service.source.asked)
    live_until(service, LATE)
    assert listed(service, LATE) == {"01*"}
    counts = [what for what, _ in service.source.asked[asked:] if what == "count"]
    assert len(counts) == 5


def test_what_a_missed_list_leaves_unproven_is_said_once(service):
    """A paper of before the service that is cross-listed is known by the list alone."""
    service.timeline.feedless -= {one for one in service.timeline.feedless if one != TUESDAY}
    old = Submission("2501.00001", announcement(MONDAY).start - 200 * WEEK, ("cs.AI",), TUESDAY)
    service.timeline.add(old)
    live_until(service, FRIDAY)
    said = {}
    for day in (MONDAY, TUESDAY, WEDNESDAY, FRIDAY):
        with service.store.read() as tx:
            check = crosscheck(tx, replace(issues.RUBRIC, categories=("cs.AI",)), day, WEEK)
        assert check is not None
        said[day] = check.unproven
    began = announcement(MONDAY).start.date()
    in_doubt = Unproven(("cs.AI",), (TUESDAY,), began)
    assert said == {MONDAY: (), TUESDAY: (), WEDNESDAY: (in_doubt,), FRIDAY: ()}


def fetched(*days):
    return [FetchRecord("cs.LG", date.fromisoformat(day), announcement(MONDAY).end) for day in days]


@pytest.mark.parametrize(
    ("days", "began"),
    [
        (["2025-09-22"], "2025-09-22"),
        (["2025-09-22", "2025-09-23", "2025-09-24"], "2025-09-22"),
        # A week's pause was read again, so nothing is lacking; two weeks were not.
        (["2025-09-15", "2025-09-23"], "2025-09-15"),
        (["2025-09-01", "2025-09-23", "2025-09-24"], "2025-09-23"),
        # An old date that somebody tried out once.
        (["2025-01-07", "2025-09-23"], "2025-09-23"),
    ],
)
def test_a_service_that_was_away_for_long_begins_anew(days, began):
    found = coverage_starts(fetched(*days), WEEK)
    assert found == {"cs.LG": announcement(date.fromisoformat(began)).start}
