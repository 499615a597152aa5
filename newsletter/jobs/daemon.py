"""Run the scheduler in a service process; one service for each SQLite file."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from newsletter import process
from newsletter.errors import OperatorError
from newsletter.jobs import housekeeping
from newsletter.jobs.scheduler import DailyScheduler, scheduler, wake
from newsletter.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apscheduler.schedulers.base import BaseScheduler

    from newsletter.context import App
    from newsletter.jobs.leader import LeaderElection
    from newsletter.jobs.scheduler_watchdog import SchedulerWatchdog
    from newsletter.store import Store
log = logging.getLogger(__name__)

GRACE_SECONDS = 30
"""Between the stop signal and the exit: as long as the pages have (`web/server.py`)."""


@contextmanager
def single_instance(store: Store) -> Iterator[None]:
    """Lock the SQLite file. Raises OperatorError if another service has it.

    The kernel releases the lock when the process dies.
    """
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


CLOCK_JUMP_SECONDS = 60
STEP_DOWN_SECONDS = 5
RESTART_HINT = "the log may say why; start the service again"


@contextmanager
def run_scheduler(app: App) -> Iterator[SchedulerWatchdog]:
    """Run the scheduler in a thread, with a watchdog.

    Raises OperatorError if it ended by itself or hangs: the process must be restarted.
    """
    daily_scheduler = DailyScheduler(app)
    watchdog = daily_scheduler.watchdog
    clock = scheduler(daily_scheduler)
    housekeeping.add_to(clock, app, watchdog)

    def run() -> None:
        try:
            clock.start()
        finally:
            watchdog.ended.set()

    thread = threading.Thread(target=run, name="scheduler", daemon=True)
    thread.start()
    threading.Thread(target=watch_scheduler, args=(app.stop, clock, watchdog), daemon=True).start()
    yield watchdog
    problem = "" if app.stop.is_set() else watchdog.problem()
    app.stop.set()
    if clock.running:
        clock.shutdown(wait=False)
    thread.join(GRACE_SECONDS)
    idle = watchdog.wait_idle(GRACE_SECONDS)
    _step_down(daily_scheduler.leader)
    if not idle:
        log.warning(
            "shutdown timed out after %d s; unfinished work will be recovered", GRACE_SECONDS
        )
        if problem:
            log.error("%s, %s", problem, RESTART_HINT)
        process.exit_now(1 if problem else 0)
    if problem:
        message = f"{problem}, {RESTART_HINT}"
        raise OperatorError(message)


def _step_down(leader: LeaderElection) -> None:
    """Release the lease. In a thread with a timeout: a job that hangs may block the database."""

    def act() -> None:
        with suppress(StoreError):
            leader.step_down()

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(STEP_DOWN_SECONDS)


def watch_scheduler(
    stop: threading.Event,
    clock: BaseScheduler,
    watchdog: SchedulerWatchdog,
    *,
    wall: Callable[[], float] = time.time,
    steady: Callable[[], float] = time.monotonic,
    poll_seconds: float = 1.0,
) -> None:
    """Wake the scheduler when a job requests it or the wall clock was set; end it if it hangs.

    After the clock was set, the next wake-ups may be hours away.
    """
    offset = wall() - steady()
    while not (stop.wait(poll_seconds) or watchdog.ended.is_set()):
        now = wall() - steady()
        if abs(now - offset) > CLOCK_JUMP_SECONDS:
            log.warning("the clock was set by %+d seconds", now - offset)
            watchdog.wake_requested.set()
        if watchdog.wake_requested.is_set():
            watchdog.wake_requested.clear()
            wake(clock)
        offset = now
        if problem := watchdog.problem():
            log.error("%s", problem)
            watchdog.ended.set()
