"""Signs of life of the scheduler and its jobs, for `/readyz` and for whoever ends a hung process.

A clock that never jumps measures them, so a wrong date is no sickness.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SILENT_SECONDS = 180.0
STUCK_SECONDS = 12 * 3600.0
"""A job may wait for a batch of a model's provider all night, but it says so as it waits."""


class SchedulerWatchdog:
    """May be asked and told from any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._beat = monotonic()
        self._moved: dict[str, float] = {}
        self._lock = threading.Lock()
        self.ended = threading.Event()
        """Set when the scheduler's thread is no more."""
        self.called = threading.Event()
        """Set by a job that wants all to run now. Who watches the scheduler wakes it: a job that
        did it itself would wait for a stop, which waits for the job.
        """

    def beat(self) -> None:
        """The scheduler has woken."""
        self._beat = self._monotonic()

    @contextmanager
    def job(self, name: str) -> Iterator[None]:
        self.moved(name)
        try:
            yield
        finally:
            with self._lock:
                self._moved.pop(name, None)

    def moved(self, name: str) -> None:
        """The job got on."""
        with self._lock:
            self._moved[name] = self._monotonic()

    def drained(self, seconds: float) -> bool:
        """Wait until no job is at work; False where that takes longer."""
        until = self._monotonic() + seconds
        while self._moved and self._monotonic() < until:
            time.sleep(0.05)
        return not self._moved

    def trouble(self) -> str:
        """What is wrong, in words; empty while all is well."""
        if self.ended.is_set():
            return "the scheduler has ended"
        now = self._monotonic()
        if now - self._beat > SILENT_SECONDS:
            return f"the scheduler has not woken for {int(now - self._beat) // 60} minutes"
        with self._lock:
            idle = {name: now - at for name, at in self._moved.items()}
        stuck = [name for name, seconds in idle.items() if seconds > STUCK_SECONDS]
        if stuck:
            hours = int(idle[stuck[0]]) // 3600
            return f"the job '{stuck[0]}' has not moved for {hours} hours"
        return ""
