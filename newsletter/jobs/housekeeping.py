"""Housekeeping: the periodic jobs of the service besides the daily run.

    every five minutes   alerts and the healthcheck ping; recovery of mail batches that a dead
                         process left; fetching and processing of replies; pauses that are over
    hourly               the papers that were mailed, a part of them each time, for news of them
    nightly              deletion of old data; comparison of suppression lists with the provider

Each job may run at any time and any number of times. A job that fails is logged, does not stop the
others, and runs again at its next time.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from newsletter.delivery.batch_sender import recover_lost
from newsletter.domain.mail import EventKind
from newsletter.errors import Stopped, run_guarded
from newsletter.inbound import processor
from newsletter.inbound.suppression_sync import forward_erasures, remove_returned, sync
from newsletter.ingest.mailed_papers import check_metadata
from newsletter.jobs.outages import log_problem
from newsletter.mailers.imap import MailboxError
from newsletter.operations.alerting import report_alerts
from newsletter.operations.healthcheck_ping import ping
from newsletter.store import (
    StoreError,
    bounces,
    events,
    first_mails,
    inbound,
    incidents,
    papers,
    reader_rubrics,
    retention,
    signups,
    subscribers,
    subscriptions,
)
from newsletter.store.incidents import ALL_RUBRICS, NO_DAY, IncidentKind
from newsletter.store.operator import actions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from apscheduler.schedulers.base import BaseScheduler
    from sqlalchemy import Connection

    from newsletter.context import App
    from newsletter.jobs.scheduler_watchdog import SchedulerWatchdog

    Job = Callable[[App, datetime], object]

log = logging.getLogger(__name__)

FREQUENT_MINUTES = 5
NIGHTLY = {"hour": 3, "minute": 20}
"""On the operator's clock, before the usual hour of the mail."""
HOURLY = {"minute": 38}
"""Beside the wake-ups of the daily run, which are every five minutes."""
REQUESTS_AN_HOUR = 20
"""In a week 336,000 papers, four times as many as arXiv announces in 90 days."""
AFTER_START = timedelta(minutes=10)
"""The nightly jobs also run soon after a start: not every machine is up at that hour."""


def add_to(scheduler: BaseScheduler, app: App, watchdog: SchedulerWatchdog) -> None:
    """Add the frequent, the hourly and the nightly job to `scheduler`.

    A wake-up while the job still runs finds the lock taken; APScheduler itself would warn of it.
    """

    def run_once(name: str, act: Callable[[App], None], lock: Lock) -> None:
        if not lock.acquire(blocking=False):
            return
        try:
            with watchdog.job(name):
                act(app)
        finally:
            lock.release()

    once = {"max_instances": 2, "coalesce": True, "misfire_grace_time": None}
    scheduler.add_job(
        run_once,
        "interval",
        args=("round", run_frequent, Lock()),
        minutes=FREQUENT_MINUTES,
        next_run_time=app.clock(),
        id="round",
        **once,
    )
    scheduler.add_job(
        run_once,
        "cron",
        args=("night", run_nightly, Lock()),
        timezone=app.settings.zone,
        next_run_time=app.clock() + AFTER_START,
        id="night",
        **NIGHTLY,
        **once,
    )
    scheduler.add_job(
        run_once, "cron", args=("hour", run_hourly, Lock()), id="hour", **HOURLY, **once
    )


def run_frequent(app: App) -> None:
    # Alerts first, before anything else can fail.
    _run(
        app,
        (
            report_alerts,
            ping,
            recover_batches,
            read_mailbox,
            process_inbound,
            end_pauses,
            lift_suppressions,
            erase_at_provider,
        ),
    )


def run_hourly(app: App) -> None:
    _run(app, (check_mailed_papers,))


def run_nightly(app: App) -> None:
    _run(
        app,
        (
            # Before the bounce events that ended these subscriptions are deleted.
            retry_soft_bounced,
            delete_old_signups,
            delete_old_drafts,
            delete_old_events,
            delete_old_mails,
            delete_old_scores,
            delete_old_inbound,
            delete_old_incidents,
            delete_old_tasks,
            delete_old_actions,
            sync_suppressions,
        ),
    )


def _run(app: App, jobs: Sequence[Job]) -> None:
    for job in jobs:
        if app.stop.is_set():
            return
        name = job.__name__.replace("_", " ")
        try:
            _, problem = run_guarded(name, partial(job, app, app.clock()), StoreError)
        except Stopped:
            return
        except StoreError as error:
            log_problem(log, error, name)
            continue
        if problem:
            log.warning("%s: %s", name, problem)


def check_mailed_papers(app: App, _now: datetime) -> None:
    """Ask the source about mailed papers, unless an announcement is still to be fetched."""

    def is_idle() -> bool:
        with app.store.read() as tx:
            served = subscriptions.count_by_rubric(tx).keys() & app.rubrics.keys()
            wanted = {name for slug in served for name in app.rubrics[slug].categories}
            return not papers.unfetched(tx, sorted(wanted), app.source.newest(app.clock()))

    ask_about_mailed_papers(app, REQUESTS_AN_HOUR, is_idle)


def ask_about_mailed_papers(
    app: App, max_requests: int, is_idle: Callable[[], bool] = lambda: True
) -> None:
    """Ask the source about mailed papers while nothing else is to be asked of it."""

    def may_ask() -> bool:
        return not app.stop.is_set() and is_idle()

    if answered := check_metadata(app.store, app.source, app.clock, may_ask, max_requests):
        log.info("%d mailed papers checked for news", answered)


def recover_batches(app: App, _now: datetime) -> None:
    """Cancel the batches that a dead process may have handed over, while there is time."""
    if app.batch_mailer is not None and (
        lost := recover_lost(app.store, app.batch_mailer, app.clock)
    ):
        log.warning("recovered %d mail batches of a dead process", lost)


def read_mailbox(app: App, now: datetime) -> None:
    """Store the mail in the IMAP mailbox. Its From is not authenticated: only a token proves it."""
    if app.mailbox is None:
        return

    def take(raw: bytes, sender: str, recipients: Sequence[str]) -> None:
        processor.store_mail(app.store, raw, sender, recipients, now, aligned=False)

    try:
        taken = app.mailbox.collect(take, app.links, app.stop)
    except MailboxError as fault:
        with app.store.begin() as tx:
            incidents.record_incident(
                tx, IncidentKind.MAILBOX, ALL_RUBRICS, NO_DAY, str(fault), now
            )
        raise
    with app.store.begin() as tx:
        incidents.resolve_incident(tx, IncidentKind.MAILBOX, ALL_RUBRICS)
    if taken:
        log.info("%d mails received", taken)


def process_inbound(app: App, now: datetime) -> None:
    processor.process_new(app, now)


def end_pauses(app: App, now: datetime) -> None:
    with app.store.begin() as tx:
        ended = subscribers.end_pauses(tx, now)
    if ended:
        log.info("%d pauses ended", ended)


def lift_suppressions(app: App, now: datetime) -> None:
    if app.suppression_lists is not None:
        remove_returned(app.store, app.suppression_lists, now)


def erase_at_provider(app: App, now: datetime) -> None:
    if done := forward_erasures(app.store, app.suppression_lists, now):
        log.info("%d erasures forwarded to the provider", done)


def retry_soft_bounced(app: App, now: datetime) -> None:
    """Retry readers ended by soft bounces: one mail a week for a month."""
    last, more = "", True
    while more and not app.stop.is_set():
        with app.store.begin() as tx:
            last = bounces.review_page(tx, now, last)
        more = bool(last)


def delete_old_signups(app: App, now: datetime) -> None:
    with app.store.begin() as tx:
        signups.purge(tx, now)
        first_mails.delete_old(tx, now)


def delete_old_drafts(app: App, now: datetime) -> None:
    with app.store.begin() as tx:
        reader_rubrics.delete_old_drafts(tx, now - reader_rubrics.DRAFTS_KEPT)


def delete_old_events(app: App, now: datetime) -> None:
    for kind in EventKind:
        _in_pages(app, partial(events.delete_old_page, kind=kind, now=now))


def delete_old_mails(app: App, now: datetime) -> None:
    with app.store.read() as tx:
        expired = retention.expired_digests(tx, now)
    for digest_id in expired:
        _in_pages(app, partial(retention.delete_page, digest_id=digest_id))


def delete_old_scores(app: App, now: datetime) -> None:
    """Delete scores of old digests that were not picked: the largest tables with many rubrics."""
    before, last = now - timedelta(days=app.settings.scores_kept_days), 0
    while not app.stop.is_set():
        with app.store.read() as tx:
            expired = retention.scored_until(tx, before, last)
        if not expired:
            return
        for last in expired:
            _in_pages(app, partial(retention.delete_scores_page, digest_id=last))


def _in_pages(app: App, delete_page: Callable[[Connection], bool]) -> None:
    """Delete page by page, each in a transaction of its own, until nothing is left."""
    more = True
    while more and not app.stop.is_set():
        with app.store.begin() as tx:
            more = delete_page(tx)


def delete_old_inbound(app: App, now: datetime) -> None:
    with app.store.begin() as tx:
        inbound.delete_old(tx, now)


def delete_old_incidents(app: App, now: datetime) -> None:
    with app.store.begin() as tx:
        incidents.delete_old(tx, now)


def delete_old_tasks(app: App, now: datetime) -> None:
    app.engine.delete_old_tasks(now)


def delete_old_actions(app: App, now: datetime) -> None:
    with app.store.begin() as tx:
        actions.delete_old(tx, now)


def sync_suppressions(app: App, now: datetime) -> None:
    if app.suppression_lists is None:
        return
    done = sync(app.store, app.suppression_lists, now, app.stop)
    log.info(
        "suppression lists: %d imported, %d exported, %d removed",
        done.imported,
        done.exported,
        done.removed,
    )
