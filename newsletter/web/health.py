"""For whoever watches the process. Neither answer waits for one of the threads that make pages."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from newsletter.store import StoreError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.store import Store
    from newsletter.web.context import Site

log = logging.getLogger(__name__)

HEADERS = {"Cache-Control": "no-store"}
TIMEOUT_SECONDS = 5.0


async def healthz(_site: Site, _request: Request) -> Response:
    return PlainTextResponse("ok\n", headers=HEADERS)


async def readyz(site: Site, _request: Request) -> Response:
    """200 when this process can serve: the database answers and the scheduler lives, if it has one;
    else 503 with the reason.

    An old edition is an alert and a figure of /metrics: a balancer that took the process out for it
    would take the pages of unsubscribing away as well.
    """
    reason = site.scheduler_problem() or await site.database_probe.problem()
    if reason:
        return PlainTextResponse(f"not ready: {reason}\n", 503, headers=HEADERS)
    return PlainTextResponse("ready\n", headers=HEADERS)


class DatabaseProbe:
    """Asks the database whether it answers: in a thread of its own, one question at a time."""

    def __init__(self, store: Store, timeout: float = TIMEOUT_SECONDS) -> None:
        self._store = store
        self._timeout = timeout
        self._check: asyncio.Future[str] | None = None

    async def problem(self) -> str:
        """What is wrong with the database; empty where it answers."""
        if self._check is None or self._check.done():
            self._check = asyncio.get_running_loop().create_future()
            thread = threading.Thread(target=self._ask_database, args=(self._check,), daemon=True)
            thread.start()
        try:
            return await asyncio.wait_for(asyncio.shield(self._check), self._timeout)
        except TimeoutError:
            return f"the database has not answered for {self._timeout:g} s"

    def _ask_database(self, check: asyncio.Future[str]) -> None:
        reason = ""
        try:
            self._store.require_answer()
        except StoreError as fault:
            log.warning("not ready: %s", fault)
            reason = "the database does not answer"
        loop = check.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(check.set_result, reason)
