"""When the morning runs: APScheduler wakes us often, and what is due is asked of the database.

    make     fetch, score and freeze what arXiv announced; a batch may take hours
    serve    mail what is frozen to those whose hour has come
    lead     renew the lease, by which one of several processes does the other two

Each is a job of its own: nobody's mail waits until another digest is made. A wake-up that was
slept through, came twice or late changes nothing: each asks what arXiv has announced, what of it
is not done, and whose hour has come.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from newsletter import logs
from newsletter.delivery.batch_sender import SCHEDULE_AHEAD
from newsletter.delivery.plan_rules import CATCH_UP
from newsletter.delivery.planner import AT_THE_HOUR, PlannedDigest, plan_due, rubrics_with_mail_due
from newsletter.errors import OperatorError, Stopped, run_guarded
from newsletter.ingest.fetch import AnnouncementIncomplete, AnnouncementLate, poll_again
from newsletter.jobs.daily import build_digests, missing_digests, rubrics_to_run, send_deliveries
from newsletter.jobs.instrumentation import daily_run_log
from newsletter.jobs.leader import RENEW_SECONDS, LeaderElection
from newsletter.jobs.tasks import in_batches
from newsletter.jobs.watchdog import SchedulerWatchdog
from newsletter.sources import SourceError
from newsletter.store import StoreError, deliveries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from apscheduler.schedulers.base import BaseScheduler
    from apscheduler.schedulers.blocking import BlockingScheduler

    from newsletter.context import App
    from newsletter.domain.progress import StageProgress

log = logging.getLogger(__name__)

WAKE = {"minute": "*/5"}
"""By the clock and not by the start: hours that readers choose are round, and are kept so."""
MORNING = {"make", "serve"}
ASK_AGAIN = timedelta(minutes=15)
"""Between two questions to arXiv, or to a model that failed."""
OFTEN = 24
"""After so many questions about one announcement they are an hour apart."""
SELDOM = timedelta(hours=1)


class DailyScheduler:
    """Does at each wake-up whatever is due. One instance; each of its jobs once at a time."""

    def __init__(
        self, app: App, leader: LeaderElection | None = None, pulse: SchedulerWatchdog | None = None
    ) -> None:
        self._room = app
        self.leader = leader or LeaderElection(app.store, app.clock)
        self.pulse = pulse or SchedulerWatchdog()
        self._asked = _Asked()
        self._making = threading.Lock()
        self._serving = threading.Lock()
        self._led = False

    def lead(self) -> None:
        """Show that we live, and that the mornings are ours if they are.

        What another process left half done when it died does not wait for the next wake-up.
        """
        self.pulse.beat()
        led, self._led = self._led, False
        with self.pulse.job("lead"):
            try:
                self._led = self.leader.renew()
            except OperatorError as trouble:
                log.warning("%s", trouble)
        if self._led and not led:
            self.pulse.called.set()

    def make(self) -> None:
        """Make what is announced. Trouble is logged, and met again after a rest.

        What is due is mailed first: two days' mail becomes one only for who was away himself.
        """
        self.serve()
        made = False
        with self._alone("make", self._making) as may:
            now = self._room.clock()
            day = self._room.source.newest(now)
            if may and not self._asked.rests(day, now):
                with daily_run_log(self._room):
                    if self._is_lacking(day):
                        self._asked.about(day, now)
                        made = True
                        self._make_newest()
                    else:
                        self._look_again(now)
        if made:
            self.serve()

    def serve(self) -> None:
        """Mail whose hour has come, today or while we were down, of digests that are made."""
        with self._alone("serve", self._serving) as may:
            if may:
                self._owe()
                self._mail()

    @contextmanager
    def _alone(self, job: str, lock: threading.Lock) -> Iterator[bool]:
        """Whether this job may go on now; its trouble ends here."""
        if self._room.stop.is_set() or not lock.acquire(blocking=False):
            yield False
            return
        try:
            with self.pulse.job(job):
                yield self._leads()
        except Stopped:
            log.info("stopped on request")
        except OperatorError as trouble:
            log.warning("%s", trouble)
        finally:
            lock.release()

    def _leads(self) -> bool:
        """Whether the mornings are ours; not while the database does not answer, which is said."""
        try:
            return self.leader.is_leader()
        except StoreError as trouble:
            log.warning("%s", trouble)
            return False

    def _is_lacking(self, day: date) -> bool:
        """Whether a rubric that is read has no digest of the announcement."""
        return bool(missing_digests(self._room, rubrics_to_run(self._room, None), day))

    def _make_newest(self) -> None:
        try:
            edition = build_digests(self._room, self._progress("make"))
        except AnnouncementLate as late:
            log.info("%s", late)
            return
        except AnnouncementIncomplete as growing:
            log.info("%s", growing)
            self._asked.not_before(growing.retry_at)
            return
        for one in edition.unserved:
            log.warning("%s: %s", one.slug, one.reason, extra={"rubric": one.slug})
        for issue in edition.results:
            if issue.problem:
                named = {"edition": edition.date.isoformat(), "rubric": issue.rubric.slug}
                log.warning("%s: %s", issue.rubric.slug, issue.problem, extra=named)

    def _look_again(self, now: datetime) -> None:
        """What comes to an announcement after its digests were made; one look an hour at most.

        An arXiv that does not answer is no trouble of a morning that is made.
        """
        app = self._room
        names = {name for rubric in rubrics_to_run(app, None) for name in rubric.categories}
        report = self._progress("make")
        try:
            found = poll_again(
                app.store,
                app.source,
                sorted(names),
                now,
                progress=lambda done, total: report("Fetching", done, total),
            )
        except SourceError as error:
            log.info("no look at what came later: %s", error)
            return
        if found:
            log.info("%d papers came later; the next digests have them", found)

    def _owe(self) -> None:
        app = self._room
        now = app.clock()
        zone, hour = app.settings.zone, app.settings.send_at
        for some in rubrics_with_mail_due(app.store, now):
            slug = some.stored.slug
            ahead = SCHEDULE_AHEAD if in_batches(app, slug) else AT_THE_HOUR
            _, trouble = run_guarded(
                slug, partial(plan_due, app.store, some, now, zone, hour, ahead)
            )
            if trouble:
                log.warning("%s: %s", slug, trouble)

    def _mail(self) -> None:
        """What the provider does not take is offered at the next wake-up."""
        app = self._room
        with app.store.read() as tx:
            owed = [
                PlannedDigest(*row)
                for row in deliveries.digests_with_pending(tx, (app.clock() - CATCH_UP).date())
            ]
        tallies = send_deliveries(app, owed, self._progress("serve"))
        for one in owed:
            tally = tallies[one.digest_id]
            with logs.bound(edition=one.day.isoformat(), rubric=one.slug):
                if tally.sent:
                    log.info("%s of %s: %d sent", one.slug, one.day, tally.sent)
                if tally.halted_reason:
                    log.warning("%s of %s: %s", one.slug, one.day, tally.halted_reason)

    def _progress(self, job: str) -> StageProgress:
        def report(_stage: str, _done: int, _total: int) -> None:
            self.pulse.moved(job)

        return report


class _Asked:
    """When arXiv, and a model, are asked about an announcement again: never quite given up."""

    def __init__(self) -> None:
        self._day: date | None = None
        self._at = datetime.min.replace(tzinfo=UTC)
        self._times = 0
        self._pause = timedelta(0)

    def about(self, day: date, now: datetime) -> None:
        self._times = self._times + 1 if day == self._day else 1
        self._day, self._at, self._pause = day, now, ASK_AGAIN
        if self._times > OFTEN:
            self._pause = SELDOM

    def not_before(self, moment: datetime) -> None:
        self._pause = min(self._pause, moment - self._at)

    def rests(self, day: date, now: datetime) -> bool:
        """Whether the last question was a moment ago. A clock that was set back ends the rest."""
        return day == self._day and timedelta(0) <= now - self._at < self._pause


def scheduler(mornings: DailyScheduler) -> BlockingScheduler:
    """A scheduler of the jobs of `mornings`; its `start` returns when it is shut down, or fails.

    Its jobs are in memory: what is due is in our own tables, so there is nothing to lose. A late
    wake-up is never dropped (the default drops it after one second), many late ones are one. One
    that comes while its job still runs finds the lock taken; the scheduler would warn of each.
    """
    from apscheduler.schedulers.blocking import BlockingScheduler

    made = BlockingScheduler(
        timezone=UTC,
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 2},
    )
    now = datetime.now(UTC)
    made.add_job(mornings.lead, "interval", seconds=RENEW_SECONDS, next_run_time=now, id="lead")
    for job in (mornings.make, mornings.serve):
        made.add_job(job, "cron", **WAKE, next_run_time=now, id=job.__name__)
    return made


def wake(scheduler: BaseScheduler) -> None:
    """Have every job but the night's run now.

    For a clock that was set, when their times mean nothing, and mornings that became ours.
    """
    for job in scheduler.get_jobs():
        if hasattr(job.trigger, "interval") or job.id in MORNING:
            job.modify(next_run_time=datetime.now(UTC))
