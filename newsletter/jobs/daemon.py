"""One service to a SQLite file: a second one is told why it may not start."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

from newsletter.errors import OperatorError
from newsletter.jobs import housekeeping
from newsletter.jobs.scheduler import DailyScheduler, scheduler, wake
from newsletter.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apscheduler.schedulers.base import BaseScheduler

    from newsletter.context import App
    from newsletter.jobs.leader import LeaderElection
    from newsletter.jobs.watchdog import SchedulerWatchdog
    from newsletter.store import Store
log = logging.getLogger(__name__)

GRACE_SECONDS = 30
"""Between the wish to end and the end: as long as pages are given (`web/server.py`)."""


@contextmanager
def single_instance(store: Store) -> Iterator[None]:
    """Raises Trouble where another service has the file. The kernel lets go of it when we die."""
    if not store.is_sqlite:
        yield
        return
    path = f"{store.url.database}.lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = (
                f"another serve works on {store.url.database}, and SQLite lets one process write; "
                "stop that one, or move to PostgreSQL: newsletter db copy"
            )
            raise OperatorError(message) from None
        yield


JUMP_SECONDS = 60
RESIGN_SECONDS = 5
WHAT_NOW = "the log may say why; start the service again"


@contextmanager
def _run_scheduler(app: App) -> Iterator[SchedulerWatchdog]:
    """Run the scheduler in a thread of its own, and watch it; the pulse says how it is.

    Raises Trouble when it ended by itself or hangs: such a process is started again, not kept.
    """
    mornings = DailyScheduler(app)
    pulse = mornings.pulse
    clock = scheduler(mornings)
    housekeeping.add_to(clock, app, pulse)

    def run() -> None:
        try:
            clock.start()
        finally:
            pulse.ended.set()

    thread = threading.Thread(target=run, name="mornings", daemon=True)
    thread.start()
    threading.Thread(target=watch, args=(app.stop, clock, pulse), daemon=True).start()
    yield pulse
    trouble = "" if app.stop.is_set() else pulse.trouble()
    app.stop.set()
    if clock.running:
        clock.shutdown(wait=False)
    thread.join(GRACE_SECONDS)
    drained = pulse.drained(GRACE_SECONDS)
    _step_down(mornings.leader)
    if not drained:
        log.warning("not all work came to its end in %d seconds; it is taken up", GRACE_SECONDS)
        _end_at_once(trouble)
    if trouble:
        message = f"{trouble}, {WHAT_NOW}"
        raise OperatorError(message)


def _step_down(leader: LeaderElection) -> None:
    """Give the lease back, if the database lets us: a job that hangs may be in its way."""

    def act() -> None:
        with suppress(StoreError):
            leader.step_down()

    giving = threading.Thread(target=act, daemon=True)
    giving.start()
    giving.join(RESIGN_SECONDS)


def _end_at_once(trouble: str) -> NoReturn:
    """An interpreter waits at its end for every thread of a pool: for one that hangs, for ever.

    What that one has in hand is taken up as after a kill: it is held by the id of a process that
    is no more, and by a lease.
    """
    if trouble:
        log.error("%s, %s", trouble, WHAT_NOW)
    logging.shutdown()
    os._exit(1 if trouble else 0)


def watch(
    stop: threading.Event,
    clock: BaseScheduler,
    pulse: SchedulerWatchdog,
    *,
    wall: Callable[[], float] = time.time,
    steady: Callable[[], float] = time.monotonic,
    glance_seconds: float = 1.0,
) -> None:
    """Wake the scheduler when a job calls for it, or when the wall clock was set: its next wake-ups
    are hours away then.

    And end it, by the pulse, when it hangs.
    """
    apart = wall() - steady()
    while not (stop.wait(glance_seconds) or pulse.ended.is_set()):
        now = wall() - steady()
        if abs(now - apart) > JUMP_SECONDS:
            log.warning("the clock was set by %+d seconds", now - apart)
            pulse.called.set()
        if pulse.called.is_set():
            pulse.called.clear()
            wake(clock)
        apart = now
        if trouble := pulse.trouble():
            log.error("%s", trouble)
            pulse.ended.set()
