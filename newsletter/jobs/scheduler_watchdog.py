"""Watchdog of the scheduler and its jobs, for `/readyz` and to end a hung process.

Times are monotonic, so a wrong date raises no alarm.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEARTBEAT_TIMEOUT = 180.0
JOB_TIMEOUT = 12 * 3600.0
"""A job may wait all night for a batch of the scorer, but reports progress while it waits."""


class SchedulerWatchdog:
    """Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last_heartbeat = monotonic()
        self._last_progress: dict[str, float] = {}
        self._lock = threading.Lock()
        self.ended = threading.Event()
        """Set when the scheduler's thread has ended."""
        self.wake_requested = threading.Event()
        """Set by a job to run all jobs now. The watching thread wakes the scheduler: a job that did
        so itself would wait for a shutdown that waits for the job.
        """

    def heartbeat(self) -> None:
        """Record that the scheduler has woken."""
        self._last_heartbeat = self._monotonic()

    @contextmanager
    def job(self, name: str) -> Iterator[None]:
        self.progress(name)
        try:
            yield
        finally:
            with self._lock:
                self._last_progress.pop(name, None)

    def progress(self, name: str) -> None:
        """Record progress of a job."""
        with self._lock:
            self._last_progress[name] = self._monotonic()

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no job runs; False on timeout."""
        until = self._monotonic() + seconds
        while self._last_progress and self._monotonic() < until:
            time.sleep(0.05)
        return not self._last_progress

    def problem(self) -> str:
        """What is wrong; empty if nothing is."""
        if self.ended.is_set():
            return "the scheduler has ended"
        now = self._monotonic()
        if now - self._last_heartbeat > HEARTBEAT_TIMEOUT:
            return (
                f"the scheduler has not woken for {int(now - self._last_heartbeat) // 60} minutes"
            )
        with self._lock:
            idle = {name: now - at for name, at in self._last_progress.items()}
        stuck = [name for name, seconds in idle.items() if seconds > JOB_TIMEOUT]
        if stuck:
            hours = int(idle[stuck[0]]) // 3600
            return f"the job '{stuck[0]}' made no progress for {hours} hours"
        return ""
