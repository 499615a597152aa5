"""The scheduler of the daily run: APScheduler wakes often, the database says what is due.

    build              fetch, score and freeze what arXiv announced; a batch may take hours
    send_due           mail the frozen digests to readers whose send time has come
    renew_leadership   renew the lease; only the leader does the other two

Each is a job of its own, so that mail does not wait while another digest is made. A wake-up that
is missed, late or repeated does no harm: each reads from the database what is announced, not done
and due.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from newsletter import logs, process
from newsletter.delivery.batch_sender import SCHEDULE_AHEAD
from newsletter.delivery.plan_rules import CATCH_UP
from newsletter.delivery.planner import AT_THE_HOUR, PlannedDigest, plan_due, rubrics_with_mail_due
from newsletter.errors import OperatorError, Stopped, run_guarded
from newsletter.ingest.fetch import AnnouncementIncomplete, AnnouncementLate, poll_again
from newsletter.jobs.daily import DayState, build_digests, read_day, send_deliveries
from newsletter.jobs.instrumentation import daily_run_log
from newsletter.jobs.leader import RENEW_SECONDS, LeaderElection
from newsletter.jobs.outages import log_problem
from newsletter.jobs.scheduler_watchdog import SchedulerWatchdog
from newsletter.jobs.tasks import in_batches
from newsletter.operations import shared_settings
from newsletter.sources import SourceError
from newsletter.store import StoreError, deliveries
from newsletter.store.retry import is_outage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from apscheduler.schedulers.base import BaseScheduler
    from apscheduler.schedulers.blocking import BlockingScheduler
    from sqlalchemy import Connection

    from newsletter.context import App
    from newsletter.domain.progress import StageProgress

log = logging.getLogger(__name__)

WAKE = {"minute": "*/5"}
"""By the clock, not by the start: readers choose round hours."""
DAILY_JOBS = {"build", "send_due"}
POLL_INTERVAL = timedelta(minutes=15)
"""Between two polls of arXiv, or two tries of a model that failed."""
FREQUENT_POLLS = 24
"""After so many polls of one announcement, SLOW_POLL_INTERVAL applies."""
SLOW_POLL_INTERVAL = timedelta(hours=1)


class DailyScheduler:
    """Does at each wake-up what is due. One instance; each job runs once at a time."""

    def __init__(
        self,
        app: App,
        leader: LeaderElection | None = None,
        watchdog: SchedulerWatchdog | None = None,
    ) -> None:
        self._app = app
        self._shared = shared_settings.of_app(app)
        self.leader = leader or LeaderElection(app.store, app.clock, may_lead=self._may_plan)
        self.watchdog = watchdog or SchedulerWatchdog()
        self._backoff = _PollBackoff()
        self._build_lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._was_leader = False

    def renew_leadership(self) -> None:
        """Send a heartbeat and renew the lease.

        A new leader wakes all jobs at once: work that a dead process left does not wait.
        """
        self.watchdog.heartbeat()
        was_leader, self._was_leader = self._was_leader, False
        with self.watchdog.job("renew_leadership"):
            try:
                self._was_leader = self.leader.renew()
                self._report_settings()
            except OperatorError as error:
                log_problem(log, error)
        if self._was_leader and not was_leader:
            self.watchdog.wake_requested.set()

    def _may_plan(self, tx: Connection, no_rival_led: bool) -> bool:  # noqa: FBT001 - a callback
        """Whether our settings are the service's, or may replace them: those of a new start do."""
        shared = self._shared
        return shared is None or shared.may_plan(tx, replace=no_rival_led, now=self._app.clock())

    def _report_settings(self) -> None:
        if self._shared:
            owner = process.process_id()
            self._shared.report(self._app.store, owner, "serve", self._app.clock())

    def build(self) -> None:
        """Build the digests of the newest announcement. A failure is logged and retried later.

        Mail that is due leaves first, so that two days' mail is not merged into one.
        """
        self.send_due()
        made = False
        with self._exclusive("build", self._build_lock) as may_run:
            now = self._app.clock()
            day = self._app.source.newest(now)
            if may_run and not self._backoff.is_waiting(day, now):
                with daily_run_log(self._app):
                    state = read_day(self._app)
                    if state.missing:
                        self._backoff.record(day, now)
                        made = True
                        self._build_newest(state)
                    else:
                        self._poll_late_papers(state)
        if made:
            self.send_due()

    def send_due(self) -> None:
        """Send the mail that is due, also what became due while the service was down."""
        with self._exclusive("send_due", self._send_lock) as may_run:
            if may_run:
                self._plan_due_mail()
                self._send_planned()

    @contextmanager
    def _exclusive(self, job: str, lock: threading.Lock) -> Iterator[bool]:
        """Run one job at a time, only as leader; yields whether it may run. Logs its errors."""
        if self._app.stop.is_set() or not lock.acquire(blocking=False):
            yield False
            return
        try:
            with self.watchdog.job(job):
                yield self._is_leader()
        except Stopped:
            log.info("stopped on request")
        except StoreError as error:
            log_problem(log, error)
            # The next renewal finds a new leader, and so wakes all jobs.
            self._was_leader = not is_outage(error)
        except OperatorError as error:
            log_problem(log, error)
        finally:
            lock.release()

    def _is_leader(self) -> bool:
        """Whether this process leads. False, with a log line, if the database does not answer."""
        try:
            return self.leader.is_leader()
        except StoreError as error:
            log_problem(log, error)
            return False

    def _build_newest(self, state: DayState) -> None:
        try:
            daily_run = build_digests(self._app, state, self._progress("build"))
        except StoreError:
            self._backoff.not_before(self._app.clock())
            raise
        except AnnouncementLate as late:
            log.info("%s", late)
            return
        except AnnouncementIncomplete as growing:
            log.info("%s", growing)
            self._backoff.not_before(growing.retry_at)
            return
        for one in daily_run.unserved:
            log.warning("%s: %s", one.slug, one.reason, extra={"rubric": one.slug})
        for result in daily_run.results:
            if result.problem:
                named = {"edition": daily_run.date.isoformat(), "rubric": result.rubric.slug}
                log.warning("%s: %s", result.rubric.slug, result.problem, extra=named)

    def _poll_late_papers(self, state: DayState) -> None:
        """Store papers that join an announcement after its digests were made, once an hour.

        An error of arXiv is only logged: the digests are made.
        """
        app = self._app
        report = self._progress("build")
        try:
            found = poll_again(
                app.store,
                app.source,
                state.categories,
                state.as_of,
                progress=partial(report, "Fetching"),
            )
        except SourceError as error:
            log.info("late-paper check failed: %s", error)
            return
        if found:
            log.info("%d late papers stored; they go into the next digest", found)

    def _plan_due_mail(self) -> None:
        app = self._app
        now = app.clock()
        zone, hour = app.settings.zone, app.settings.send_at
        for some in rubrics_with_mail_due(app.store, now):
            slug = some.stored.slug
            ahead = SCHEDULE_AHEAD if in_batches(app, slug) else AT_THE_HOUR
            _, problem = run_guarded(
                slug, partial(plan_due, app.store, some, now, zone, hour, ahead)
            )
            if problem:
                log.warning("%s: %s", slug, problem)

    def _send_planned(self) -> None:
        """Send all planned mail. What the provider defers is retried at the next wake-up."""
        app = self._app
        with app.store.read() as tx:
            planned = [
                PlannedDigest(*row)
                for row in deliveries.digests_with_pending(tx, (app.clock() - CATCH_UP).date())
            ]
        tallies = send_deliveries(app, planned, self._progress("send_due"))
        for one in planned:
            tally = tallies[one.digest_id]
            with logs.bound(edition=one.day.isoformat(), rubric=one.slug):
                if tally.sent:
                    log.info("%s of %s: %d sent", one.slug, one.day, tally.sent)
                if tally.halted_reason:
                    log.warning("%s of %s: %s", one.slug, one.day, tally.halted_reason)

    def _progress(self, job: str) -> StageProgress:
        def report(_stage: str, _done: int, _total: int) -> None:
            self.watchdog.progress(job)

        return report


class _PollBackoff:
    """When to retry an announcement: every 15 minutes, after 24 tries every hour, without end."""

    def __init__(self) -> None:
        self._day: date | None = None
        self._at = datetime.min.replace(tzinfo=UTC)
        self._times = 0
        self._pause = timedelta(0)

    def record(self, day: date, now: datetime) -> None:
        self._times = self._times + 1 if day == self._day else 1
        self._day, self._at, self._pause = day, now, POLL_INTERVAL
        if self._times > FREQUENT_POLLS:
            self._pause = SLOW_POLL_INTERVAL

    def not_before(self, moment: datetime) -> None:
        self._pause = min(self._pause, moment - self._at)

    def is_waiting(self, day: date, now: datetime) -> bool:
        """Whether the last try was too recent. A clock that was set back ends the wait."""
        return day == self._day and timedelta(0) <= now - self._at < self._pause


def scheduler(daily_scheduler: DailyScheduler) -> BlockingScheduler:
    """APScheduler with the jobs of `daily_scheduler`. `start` returns after shutdown or failure.

    Jobs are kept in memory: what is due is in the database. A late wake-up is never dropped (the
    default drops it after one second), and several late ones become one. `max_instances` is 2
    because a job that still runs holds its lock, and APScheduler would warn of each wake-up.
    """
    from apscheduler.schedulers.blocking import BlockingScheduler

    made = BlockingScheduler(
        timezone=UTC,
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 2},
    )
    now = datetime.now(UTC)
    made.add_job(
        daily_scheduler.renew_leadership,
        "interval",
        seconds=RENEW_SECONDS,
        next_run_time=now,
        id="renew_leadership",
    )
    for job in (daily_scheduler.build, daily_scheduler.send_due):
        made.add_job(job, "cron", **WAKE, next_run_time=now, id=job.__name__)
    return made


def wake(scheduler: BaseScheduler) -> None:
    """Run every job but the nightly one now: after the clock was set, or on becoming leader."""
    for job in scheduler.get_jobs():
        if hasattr(job.trigger, "interval") or job.id in DAILY_JOBS:
            job.modify(next_run_time=datetime.now(UTC))
