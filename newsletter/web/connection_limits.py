"""Connection limits of the web server: timeouts for a request, and a maximum of connections.

Uvicorn has no timeout for an incomplete request, and its limit ignores connections without one.
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
"""Seconds for the request head, for its body, and for the client to read the response."""
MAX_CONNECTIONS = 400
WARN_EVERY_SECONDS = 60.0


class Connection(H11Protocol):
    """A connection with timeouts for its request and for the reading of the response."""

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
        """Whether the server waits for the rest of a request, or for the next one."""
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
        """Start the timer of the current phase, unless it runs already."""
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
        log.info("connection closed: its %s took more than %g s", phase, self.timeouts[phase])
        self.transport.abort()

    def _evict_one(self) -> None:
        """Close the connection that has been waiting longest; if none is, close this one."""
        waiting = [
            other
            for other in self.connections
            if isinstance(other, Connection) and other.is_waiting
        ]
        longest = min(waiting, key=lambda other: (bool(other.cycle), other.since), default=self)
        kind = type(self)
        if self.loop.time() - kind.warned_at > WARN_EVERY_SECONDS:
            kind.warned_at = self.loop.time()
            log.warning(
                "%d connections open: the one that waits longest is closed", self.max_connections
            )
        longest.transport.abort()
