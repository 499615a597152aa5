"""The service wakes when its clock was set, and ends although a job hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from starlette.applications import Starlette

from newsletter.jobs.daemon import watch_scheduler
from newsletter.jobs.scheduler import scheduler, wake
from newsletter.jobs.scheduler_watchdog import HEARTBEAT_TIMEOUT, SchedulerWatchdog
from newsletter.web.server import listen, serve
from tests.fakes.installation import Installation

ROOT = Path(__file__).parents[2]
RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
LATER = timedelta(hours=20)


class Times:
    """A wall clock that may be set, and one that only goes on.

    The watching thread reads one after the other, `reads` times so far: both are those of one
    moment.
    """

    def __init__(self) -> None:
        self.both = self._read = (1_760_000_000.0, 1000.0)
        self.reads = 0

    def advance(self, wall: float, steady: float = 0.0) -> None:
        self.both = self.both[0] + wall, self.both[1] + steady

    def wall(self) -> float:
        self._read = self.both
        return self._read[0]

    def steady(self) -> float:
        self.reads += 1
        return self._read[1]

    def wait_for_reads(self, number: int) -> bool:
        return wait_for(lambda last=self.reads + number: self.reads >= last)


class Bell(BackgroundScheduler):
    """A scheduler that is never started; jobs are what matters."""


@pytest.fixture
def bell():
    """One job that repeats and one at a fixed hour, both many hours away."""
    made = Bell(timezone=UTC)
    at = datetime.now(UTC) + LATER
    made.add_job(print, "interval", minutes=5, next_run_time=at, id="serve")
    made.add_job(print, "cron", hour=3, next_run_time=at, id="night")
    return made


def soon(bell: Bell) -> set[str]:
    limit = datetime.now(UTC) + timedelta(minutes=1)
    return {job.id for job in bell.get_jobs() if job.next_run_time < limit}


@contextmanager
def watched(bell: Bell, times: Times):
    stop, watchdog = threading.Event(), SchedulerWatchdog(lambda: times.both[1])
    given = {"wall": times.wall, "steady": times.steady, "poll_seconds": 0.01}
    thread = threading.Thread(target=watch_scheduler, args=(stop, bell, watchdog), kwargs=given)
    thread.start()
    try:
        assert times.wait_for_reads(1)
        yield watchdog, thread
    finally:
        stop.set()
        thread.join(120)
        assert not thread.is_alive()


def wait_for(what) -> bool:
    pause = threading.Event()
    return any(what() or pause.wait(0.02) for _ in range(6000))


def test_what_repeats_is_due_at_once_and_what_has_its_hour_is_not(bell):
    wake(bell)
    assert soon(bell) == {"serve"}


class Idle:
    """Mornings of which only the names matter."""

    def renew_leadership(self) -> None: ...

    def build(self) -> None: ...

    def send_due(self) -> None: ...


def test_mail_leaves_at_the_hour_whenever_the_service_was_started():
    """Counted from a start at 06:58:13, seven o'clock would be served at 07:03:13."""
    made = scheduler(Idle())
    jobs = {job.id: job for job in made.get_jobs()}
    assert soon(made) == {"build", "renew_leadership", "send_due"}
    started = datetime(2026, 11, 23, 6, 58, 13, tzinfo=UTC)
    for name in ("build", "send_due"):
        told = jobs[name].trigger.get_next_fire_time(started, started)
        assert told == datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
        jobs[name].modify(next_run_time=datetime.now(UTC) + LATER)
    wake(made)
    assert soon(made) == {"build", "renew_leadership", "send_due"}


def test_09_what_a_job_calls_for_is_done_at_once(bell):
    times = Times()
    with watched(bell, times) as (watchdog, _):
        watchdog.wake_requested.set()
        assert wait_for(lambda: soon(bell) == {"serve"})
        assert not watchdog.wake_requested.is_set()


@pytest.mark.parametrize("jump", [-7200, 86400])
def test_23_a_clock_that_is_set_wakes_the_scheduler(bell, caplog, jump):
    times = Times()
    with watched(bell, times):
        times.advance(jump)
        assert wait_for(lambda: soon(bell) == {"serve"})
    assert f"the clock was set by {jump:+d} seconds" in caplog.text


def test_time_that_passes_and_a_small_correction_wake_nobody(bell, caplog):
    times = Times()
    with watched(bell, times) as (watchdog, _):
        for _ in range(20):
            times.advance(100, 100)
            watchdog.heartbeat()
        times.advance(59)
        # The next read may have begun before the correction, the one after it has not.
        assert times.wait_for_reads(2)
    assert soon(bell) == set()
    assert "was set" not in caplog.text


def test_a_scheduler_that_is_silent_is_ended(bell, caplog):
    times = Times()
    with watched(bell, times) as (watchdog, thread):
        times.advance(HEARTBEAT_TIMEOUT + 1, HEARTBEAT_TIMEOUT + 1)
        thread.join(120)
        assert watchdog.ended.is_set()
    assert "has not woken for 3 minutes" in caplog.text


@contextmanager
def hanging(folder: Path, what: str):
    installation = Installation(
        folder, NEWSLETTER_SOURCE="sample", PYTHONPATH=str(ROOT), HANGS=what
    )
    (installation.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.quick_serve", "--no-web"],
        cwd=installation.folder,
        env=installation.environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_job_that_hangs_keeps_the_process_from_ending_for_the_grace_period_only(tmp_path):
    with hanging(tmp_path, "round") as process:
        assert any("it hangs" in said for said in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 0
        assert "shutdown timed out after 1 s" in process.stderr.read()


def test_a_service_that_hangs_ends_by_itself_with_the_reason(tmp_path):
    with hanging(tmp_path, "lead") as process:
        assert process.wait(240) == 1
        said = process.stderr.read()
    assert "the scheduler has not woken for 0 minutes" in said
    assert "start the service again" in said


def test_a_stop_before_the_pages_listen_for_signals_is_heard():
    """Until uvicorn takes signals over they only set the event: a process that waited for another
    would be killed after its grace."""
    stop = threading.Event()
    stop.set()
    with listen("127.0.0.1", 0) as door:
        pages = threading.Thread(target=serve, args=(Starlette(), door, stop), daemon=True)
        pages.start()
        pages.join(240)
        assert not pages.is_alive()


def test_a_stop_right_after_the_start_ends_the_service(tmp_path):
    installation = Installation(tmp_path, NEWSLETTER_SOURCE="sample")
    (installation.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    with installation.begin("serve", "--port", "0", "--no-schedule") as process:
        assert any("pages at" in said for said in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 0


def test_nothing_to_serve_is_wrong_usage(tmp_path):
    done = Installation(tmp_path).newsletter("serve", "--no-web", "--no-schedule")
    assert (done.status, "leave nothing to serve" in done.err) == (2, True)
