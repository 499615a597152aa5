"""What `/readyz` says, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from newsletter.announcements import newest
from newsletter.web.app import create_app
from newsletter.web.health import expected
from tests.fakes.browser import served
from tests.fakes.pages import STARS, Clock, desk, issue, reader

LATE = timedelta(hours=3)


@pytest.mark.parametrize(
    ("now", "day"),
    [
        # Tuesday's announcement is public at 00:00 UTC; a day and three hours later it is missed.
        ("2025-09-24T02:59", date(2025, 9, 22)),
        ("2025-09-24T03:00", date(2025, 9, 23)),
        # Over the weekend nothing new is expected but Friday's.
        ("2025-09-28T12:00", date(2025, 9, 26)),
        ("2025-09-29T12:00", date(2025, 9, 26)),
    ],
)
def test_an_edition_is_overdue_by_the_calendar(now, day):
    assert expected(datetime.fromisoformat(now).replace(tzinfo=UTC), LATE) == day


def test_ready_says_which_edition_is_missing(store):
    clock = Clock()
    made = issue(store, STARS, newest(clock()), [])
    reader(store)
    with served(create_app(desk(store, clock=clock))) as web:
        assert web.get("/readyz").status == 200
        clock.at += timedelta(days=9)
        page = web.get("/readyz")
        assert (page.status, f"the last edition is of {made.date}" in page.text) == (503, True)
        assert web.get("/healthz").status == 200


def test_a_scheduler_that_hangs_makes_it_not_ready(store):
    ill = replace(desk(store), trouble=lambda: "the scheduler has not woken for 3 minutes")
    with served(create_app(ill)) as web:
        page = web.get("/readyz")
        assert page.status == 503
        assert page.text == "not ready: the scheduler has not woken for 3 minutes\n"
