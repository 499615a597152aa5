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

TIMEOUTS = {"head": 15.0, "body": 120.0, "answer": 60.0}
"""For the head of a request and for its body, from their first byte to the last; and how long
whoever asked may leave our answer unread.
"""
MAX_CONNECTIONS = 400
WARN_EVERY_SECONDS = 60.0


class Connection(H11Protocol):
    """A connection that is ended when its request, or the reading of the answer, takes too long."""

    timeouts = TIMEOUTS
    max_connections = MAX_CONNECTIONS
    warned_at = float("-inf")

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **kwargs)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._phase_started: tuple[str, object] = ("", None)
        self.since = self.loop.time()

    @property
    def is_waiting(self) -> bool:
        """Whether it is we who wait: for the rest of a request, or for the next one."""
        return not self.cycle or self.cycle.response_complete or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_phase()
        if len(self.connections) > self.max_connections:
            self._evict_one()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_phase()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in self._timers.values():
            timer.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_timer("answer")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_timer("answer")

    def _watch_phase(self) -> None:
        """Start the clock of what is awaited, unless it runs already."""
        state = self.conn.their_state
        phase = {h11.IDLE: "head", h11.SEND_BODY: "body"}.get(state, "")
        if self._phase_started == (phase, self.cycle):
            return
        self._phase_started = (phase, self.cycle)
        self._stop_timer("head")
        self._stop_timer("body")
        if phase:
            self._start_timer(phase)

    def _start_timer(self, phase: str) -> None:
        self._stop_timer(phase)
        self._timers[phase] = self.loop.call_later(self.timeouts[phase], self._time_out, phase)

    def _stop_timer(self, phase: str) -> None:
        if timer := self._timers.pop(phase, None):
            timer.cancel()

    def _time_out(self, phase: str) -> None:
        log.info("a connection was ended: its %s took over %g s", phase, self.timeouts[phase])
        self.transport.abort()

    def _evict_one(self) -> None:
        """End the one that has kept us waiting longest; where all are being answered, this one."""
        waiting = [
            one for one in self.connections if isinstance(one, Connection) and one.is_waiting
        ]
        longest = min(waiting, key=lambda one: (bool(one.cycle), one.since), default=self)
        kind = type(self)
        if self.loop.time() - kind.warned_at > WARN_EVERY_SECONDS:
            kind.warned_at = self.loop.time()
            log.warning(
                "%d connections at once: those that wait longest are ended", self.max_connections
            )
        longest.transport.abort()
