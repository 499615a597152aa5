"""`/healthz`, `/readyz` and the metric of an overdue digest."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from starlette.responses import Response
from starlette.routing import Route

from newsletter.domain.announcements import newest
from newsletter.web.app import create_app
from newsletter.web.health import DatabaseProbe
from newsletter.web.metrics import newest_expected
from tests.fakes.browser import served
from tests.fakes.pages import STARS, Clock, issue, make_site, reader

if TYPE_CHECKING:
    from starlette.requests import Request

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
def test_the_newest_expected_announcement(now, day):
    assert newest_expected(datetime.fromisoformat(now).replace(tzinfo=UTC), LATE) == day


def test_an_overdue_digest_is_a_metric_and_the_process_stays_ready(store):
    clock = Clock()
    issue(store, STARS, newest(clock()), [])
    reader(store)
    with served(create_app(make_site(store, clock=clock))) as web:
        assert "newsletter_edition_overdue 0" in web.get("/metrics").text.splitlines()
        clock.at += timedelta(days=9)
        assert (web.get("/readyz").status, web.get("/healthz").status) == (200, 200)
        assert "newsletter_edition_overdue 1" in web.get("/metrics").text.splitlines()


def test_health_checks_do_not_wait_for_the_thread_pool(store):
    """Every one of Starlette's forty threads hangs, as they do while a database hangs."""
    free, held = threading.Event(), threading.Barrier(41)

    def hang(_request: Request) -> Response:
        held.wait(240)
        free.wait(240)
        return Response()

    with served(create_app(make_site(store), [Route("/hang", hang)])) as web:
        threads = [threading.Thread(target=web.get, args=("/hang",)) for _ in range(40)]
        for thread in threads:
            thread.start()
        held.wait(240)
        assert (web.get("/healthz").status, web.get("/readyz").status) == (200, 200)
        free.set()
        for thread in threads:
            thread.join(240)


def test_a_hanging_database_is_not_ready_after_a_timeout():
    asked = threading.Event()

    class Hanging:
        def require_answer(self) -> None:
            asked.wait(240)

    async def ask_twice() -> list[str]:
        probe = DatabaseProbe(Hanging(), 0.05)
        answers = [await probe.problem() for _ in range(2)]
        asked.set()
        # The thread may need a moment to hear it.
        for _ in range(1000):
            if not await probe.problem():
                return [*answers, ""]
        return answers

    said = "the database has not answered for 0.05 s"
    assert asyncio.run(ask_twice()) == [said, said, ""]


def test_a_hanging_scheduler_is_not_ready(store):
    site = replace(
        make_site(store), scheduler_problem=lambda: "the scheduler has not woken for 3 minutes"
    )
    with served(create_app(site)) as web:
        page = web.get("/readyz")
        assert page.status == 503
        assert page.text == "not ready: the scheduler has not woken for 3 minutes\n"
