"""What a connection may take of us: so much time for a request, and one of so many places.

Uvicorn waits for ever for the rest of a request and counts no connection that has not sent one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger(__name__)

SECONDS = {"head": 15.0, "body": 120.0, "answer": 60.0}
"""For the head of a request and for its body, from their first byte to the last; and how long
whoever asked may leave our answer unread.
"""
MOST = 400
SAY_AGAIN_SECONDS = 60.0


class Connection(H11Protocol):
    """A connection that is ended when its request, or the reading of the answer, takes too long."""

    seconds = SECONDS
    most = MOST
    said_full_at = float("-inf")

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **kwargs)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._awaited: tuple[str, object] = ("", None)
        self.since = self.loop.time()

    @property
    def waits(self) -> bool:
        """Whether it is we who wait: for the rest of a request, or for the next one."""
        return not self.cycle or self.cycle.response_complete or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in self._timers.values():
            timer.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start("answer")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end("answer")

    def _watch(self) -> None:
        """Start the clock of what is awaited, unless it runs already."""
        state = self.conn.their_state
        phase = {h11.IDLE: "head", h11.SEND_BODY: "body"}.get(state, "")
        if self._awaited == (phase, self.cycle):
            return
        self._awaited = (phase, self.cycle)
        self._end("head")
        self._end("body")
        if phase:
            self._start(phase)

    def _start(self, phase: str) -> None:
        self._end(phase)
        self._timers[phase] = self.loop.call_later(self.seconds[phase], self._too_late, phase)

    def _end(self, phase: str) -> None:
        if timer := self._timers.pop(phase, None):
            timer.cancel()

    def _too_late(self, phase: str) -> None:
        log.info("a connection was ended: its %s took over %g s", phase, self.seconds[phase])
        self.transport.abort()

    def _make_room(self) -> None:
        """End the one that has kept us waiting longest; where all are being answered, this one."""
        waiting = [one for one in self.connections if isinstance(one, Connection) and one.waits]
        longest = min(waiting, key=lambda one: (bool(one.cycle), one.since), default=self)
        kind = type(self)
        if self.loop.time() - kind.said_full_at > SAY_AGAIN_SECONDS:
            kind.said_full_at = self.loop.time()
            log.warning("%d connections at once: those that wait longest are ended", self.most)
        longest.transport.abort()
