"""Health checks `/healthz` (alive) and `/readyz` (ready); both run outside the thread pool."""

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
    """200 if the database answers and the scheduler of this process, if any, runs; else 503.

    A late digest is no reason: it is an alert and a metric. A load balancer would take the
    unsubscribe pages away too.
    """
    reason = site.scheduler_problem() or await site.database_probe.problem()
    if reason:
        return PlainTextResponse(f"not ready: {reason}\n", 503, headers=HEADERS)
    return PlainTextResponse("ready\n", headers=HEADERS)


class DatabaseProbe:
    """Checks whether the database answers, in its own thread, one check at a time."""

    def __init__(self, store: Store, timeout: float = TIMEOUT_SECONDS) -> None:
        self._store = store
        self._timeout = timeout
        self._check: asyncio.Future[str] | None = None

    async def problem(self) -> str:
        """Why the database is not ready; empty if it is."""
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
        except StoreError as error:
            log.warning("not ready: %s", error)
            reason = "the database does not answer"
        loop = check.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(check.set_result, reason)
