"""For whoever watches the process."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from newsletter.announcements import announcement, newest, previous
from newsletter.store import StoreError, digests, subscribers

if TYPE_CHECKING:
    from datetime import date, datetime

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.desk import Desk

log = logging.getLogger(__name__)

HEADERS = {"Cache-Control": "no-store"}
DAY = timedelta(hours=24)


def alive(_desk: Desk, _request: Request) -> Response:
    return PlainTextResponse("ok\n", headers=HEADERS)


def ready(desk: Desk, _request: Request) -> Response:
    """200 when the database answers, the scheduler of this process lives, and the last edition is
    no older than the calendar allows; else 503 with the reason.
    """
    try:
        reason = desk.trouble() or _overdue(desk)
    except StoreError as fault:
        log.warning("not ready: %s", fault)
        reason = "the database does not answer"
    if reason:
        return PlainTextResponse(f"not ready: {reason}\n", 503, headers=HEADERS)
    return PlainTextResponse("ready\n", headers=HEADERS)


def _overdue(desk: Desk) -> str:
    """Which edition should have been there for long: nobody waits for one that nobody reads."""
    day = expected(desk.clock(), timedelta(hours=desk.settings.late_hours))
    with desk.store.read() as tx:
        read = subscribers.readers(tx)
        made = digests.editions(tx, 1)
    if not read or not made or made[0].date >= day:
        return ""
    return f"the last edition is of {made[0].date}, that of {day} should be there"


def expected(now: datetime, late: timedelta) -> date:
    """The newest announcement that is more than a day and `late` old.

    arXiv may be a day late itself, which is no reason to take this process out of service.
    """
    day = newest(now)
    while announcement(day).public_from + DAY + late > now:
        day = previous(day)
    return day
