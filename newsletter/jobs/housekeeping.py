"""What the service does besides the mornings.

    every five minutes   the operator is told of what is wrong, a watchdog that all is well;
                         groups of mails that a dead process left are withdrawn, or in doubt;
                         replies are fetched and worked off, also those a dead process had stored
    nightly              what is old is forgotten, the provider's lists and ours are compared

Each duty may be done at any time and any number of times. One that fails, for whatever reason, is
logged, keeps no other from being done, and is done again at its next time.
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
from newsletter.mailers.imap import MailboxError
from newsletter.operations.alerting import report_alerts
from newsletter.operations.healthcheck_ping import ping
from newsletter.store import (
    events,
    first_mails,
    inbound,
    incidents,
    retention,
    signups,
    soft_bounces,
)
from newsletter.store.incidents import ALL_RUBRICS, NO_DAY, IncidentKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from apscheduler.schedulers.base import BaseScheduler
    from sqlalchemy import Connection

    from newsletter.context import App
    from newsletter.jobs.watchdog import SchedulerWatchdog

    Duty = Callable[[App, datetime], object]

log = logging.getLogger(__name__)

ROUND_MINUTES = 5
NIGHT = {"hour": 3, "minute": 20}
"""On the operator's clock, before the usual hour of the mail."""
AFTER_START = timedelta(minutes=10)
"""One night's work is done soon after a start: not every machine is up at that hour."""


def add_to(scheduler: BaseScheduler, app: App, pulse: SchedulerWatchdog) -> None:
    """Give `scheduler` a job for the rounds and one for the nights.

    One that comes while the last still runs finds the lock taken; the scheduler would warn of it.
    """

    def noted(name: str, act: Callable[[App], None], turn: Lock) -> None:
        if not turn.acquire(blocking=False):
            return
        try:
            with pulse.job(name):
                act(app)
        finally:
            turn.release()

    once = {"max_instances": 2, "coalesce": True, "misfire_grace_time": None}
    scheduler.add_job(
        noted,
        "interval",
        args=("round", do_round, Lock()),
        minutes=ROUND_MINUTES,
        next_run_time=app.clock(),
        id="round",
        **once,
    )
    scheduler.add_job(
        noted,
        "cron",
        args=("night", do_night, Lock()),
        timezone=app.settings.zone,
        next_run_time=app.clock() + AFTER_START,
        id="night",
        **NIGHT,
        **once,
    )


def do_round(app: App) -> None:
    # Whoever has to know of trouble is told before anything else can fail.
    told = (report_alerts, ping)
    _do(app, (*told, settle_groups, read_mailbox, work_off, free_who_came_back, erase_elsewhere))


def do_night(app: App) -> None:
    forget = (forget_signups, forget_events, forget_mails, forget_scores, forget_letters)
    # Readers are tried again before the events are forgotten that ended them.
    _do(app, (try_bounced_again, *forget, forget_troubles, forget_units, compare_lists))


def _do(app: App, duties: Sequence[Duty]) -> None:
    for duty in duties:
        if app.stop.is_set():
            return
        name = duty.__name__.replace("_", " ")
        try:
            _, trouble = run_guarded(name, partial(duty, app, app.clock()))
        except Stopped:
            return
        if trouble:
            log.warning("%s: %s", name, trouble)


def settle_groups(app: App, _now: datetime) -> None:
    """Withdraw what a dead process may have handed over, while there is time for it."""
    if app.groups is not None and (lost := recover_lost(app.store, app.groups, app.clock)):
        log.warning("%d groups of mails were left by a process that is gone", lost)


def read_mailbox(app: App, now: datetime) -> None:
    """Store what came by IMAP. Nobody vouches for its From: only a token proves whose it is."""
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
        log.info("%d mails came in", taken)


def work_off(app: App, now: datetime) -> None:
    processor.process_new(app, now)


def free_who_came_back(app: App, now: datetime) -> None:
    if app.lists is not None:
        remove_returned(app.store, app.lists, now)


def erase_elsewhere(app: App, now: datetime) -> None:
    if told := forward_erasures(app.store, app.lists, now):
        log.info("%d erasures passed on", told)


def try_bounced_again(app: App, now: datetime) -> None:
    """One mail a week to each reader whom soft bounces ended, for a month."""
    last, more = "", True
    while more and not app.stop.is_set():
        with app.store.begin() as tx:
            last = soft_bounces.review_page(tx, now, last)
        more = bool(last)


def forget_signups(app: App, now: datetime) -> None:
    with app.store.begin() as tx:
        signups.purge(tx, now)
        first_mails.delete_old(tx, now)


def forget_events(app: App, now: datetime) -> None:
    for kind in EventKind:
        _in_pages(app, partial(events.delete_old_page, kind=kind, now=now))


def forget_mails(app: App, now: datetime) -> None:
    with app.store.read() as tx:
        outlived = retention.expired_digests(tx, now)
    for digest_id in outlived:
        _in_pages(app, partial(retention.delete_page, digest_id=digest_id))


def forget_scores(app: App, now: datetime) -> None:
    """What digests of long ago did not pick: the largest tables of a service with many rubrics."""
    before, last = now - timedelta(days=app.settings.scores_kept_days), 0
    while not app.stop.is_set():
        with app.store.read() as tx:
            outlived = retention.scored_until(tx, before, last)
        if not outlived:
            return
        for last in outlived:
            _in_pages(app, partial(retention.delete_scores_page, digest_id=last))


def _in_pages(app: App, forget: Callable[[Connection], bool]) -> None:
    """Forget page by page, each in a transaction of its own, until no more is said to be left."""
    more = True
    while more and not app.stop.is_set():
        with app.store.begin() as tx:
            more = forget(tx)


def forget_letters(app: App, now: datetime) -> None:
    with app.store.begin() as tx:
        inbound.delete_old(tx, now)


def forget_troubles(app: App, now: datetime) -> None:
    with app.store.begin() as tx:
        incidents.delete_old(tx, now)


def forget_units(app: App, now: datetime) -> None:
    app.engine.tidy(now)


def compare_lists(app: App, now: datetime) -> None:
    if app.lists is None:
        return
    done = sync(app.store, app.lists, now, app.stop)
    log.info(
        "SendGrid's lists: %d imported, %d exported, %d removed",
        done.imported,
        done.exported,
        done.removed,
    )
