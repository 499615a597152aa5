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
PATIENCE_SECONDS = 5.0


async def alive(_desk: Site, _request: Request) -> Response:
    return PlainTextResponse("ok\n", headers=HEADERS)


async def ready(desk: Site, _request: Request) -> Response:
    """200 when this process can serve: the database answers and the scheduler lives, if it has one;
    else 503 with the reason.

    An old edition is an alert and a figure of /metrics: a balancer that took the process out for it
    would take the pages of unsubscribing away as well.
    """
    reason = desk.trouble() or await desk.probe.ask()
    if reason:
        return PlainTextResponse(f"not ready: {reason}\n", 503, headers=HEADERS)
    return PlainTextResponse("ready\n", headers=HEADERS)


class Probe:
    """Asks the database whether it answers: in a thread of its own, one question at a time."""

    def __init__(self, store: Store, patience: float = PATIENCE_SECONDS) -> None:
        self._store = store
        self._patience = patience
        self._asked: asyncio.Future[str] | None = None

    async def ask(self) -> str:
        """What is wrong with the database; empty where it answers."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().create_future()
            asking = threading.Thread(target=self._look, args=(self._asked,), daemon=True)
            asking.start()
        try:
            return await asyncio.wait_for(asyncio.shield(self._asked), self._patience)
        except TimeoutError:
            return f"the database has not answered for {self._patience:g} s"

    def _look(self, asked: asyncio.Future[str]) -> None:
        reason = ""
        try:
            self._store.require_answer()
        except StoreError as fault:
            log.warning("not ready: %s", fault)
            reason = "the database does not answer"
        loop = asked.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(asked.set_result, reason)
