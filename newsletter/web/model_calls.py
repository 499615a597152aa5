"""Calls to a model that a reader waits for: few at once, one a reader.

A page waits for a limited time. A call that takes longer goes on in its thread, which stores what
was paid for; a button pressed meanwhile starts no other.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from newsletter import logs

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

log = logging.getLogger(__name__)

T = TypeVar("T")
KEPT = 100
"""Ended calls whose result can be asked for: those of the last readers."""


class TooManyCalls(Exception):
    """As many calls of other readers run as may run at once."""


class StillRunning(Exception):
    """The reader's call goes on. `started` says whether it was begun by this request."""

    def __init__(self, *, started: bool) -> None:
        super().__init__()
        self.started = started


class ModelCalls:
    """Runs at most `most` calls at once; a page waits for `patience`."""

    def __init__(self, most: int, patience: timedelta) -> None:
        self._most = most
        self._patience = patience.total_seconds()
        self._pool = ThreadPoolExecutor(most, "reader-model")
        self._lock = threading.Lock()
        self._calls: dict[str, Future[Any]] = {}

    def run(self, reader_id: str, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises, TooManyCalls or StillRunning."""
        with self._lock:
            if self.is_running(reader_id):
                raise StillRunning(started=False)
            if sum(not one.done() for one in self._calls.values()) >= self._most:
                raise TooManyCalls
            self._calls.pop(reader_id, None)
            while len(self._calls) >= KEPT and (ended := self._oldest_ended()):
                del self._calls[ended]
            call: Future[T] = self._pool.submit(logs.with_log_context(work))
            self._calls[reader_id] = call
        try:
            return call.result(self._patience)
        except TimeoutError:
            if call.done():
                # Raised by `work`, or it ended in the moment when the page stopped waiting.
                return call.result()
            call.add_done_callback(_log_failure)
            raise StillRunning(started=True) from None

    def is_running(self, reader_id: str) -> bool:
        call = self._calls.get(reader_id)
        return call is not None and not call.done()

    def last_result(self, reader_id: str) -> object:
        """What the reader's last call returned; None if it failed, or there was none."""
        call = self._calls.get(reader_id)
        return call.result() if call and call.done() and not call.exception() else None

    def _oldest_ended(self) -> str | None:
        return next((key for key, one in self._calls.items() if one.done()), None)


def _log_failure(call: Future[Any]) -> None:
    """Log what a call raised after its page had stopped waiting."""
    if error := call.exception():
        log.error("work that a page did not wait for failed: %s", error)
