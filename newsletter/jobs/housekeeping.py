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

from newsletter.delivery.batch_sender import settle_lost
from newsletter.domain.mail import EventKind
from newsletter.errors import Stopped, safely
from newsletter.inbound import processor
from newsletter.inbound.suppression_sync import pass_on_erasures, sync, welcome_back
from newsletter.mailers.imap import MailboxError
from newsletter.operations.alerting import tell_operator
from newsletter.operations.healthcheck_ping import give_sign
from newsletter.store import (
    events,
    first_mails,
    inbound,
    incidents,
    retention,
    signups,
    soft_bounces,
)
from newsletter.store.incidents import EVERYONE, NO_DAY, TroubleKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from apscheduler.schedulers.base import BaseScheduler
    from sqlalchemy import Connection

    from newsletter.context import Room
    from newsletter.jobs.watchdog import Pulse

    Duty = Callable[[Room, datetime], object]

log = logging.getLogger(__name__)

ROUND_MINUTES = 5
NIGHT = {"hour": 3, "minute": 20}
"""On the operator's clock, before the usual hour of the mail."""
AFTER_START = timedelta(minutes=10)
"""One night's work is done soon after a start: not every machine is up at that hour."""


def add_to(scheduler: BaseScheduler, room: Room, pulse: Pulse) -> None:
    """Give `scheduler` a job for the rounds and one for the nights.

    One that comes while the last still runs finds the lock taken; the scheduler would warn of it.
    """

    def noted(name: str, act: Callable[[Room], None], turn: Lock) -> None:
        if not turn.acquire(blocking=False):
            return
        try:
            with pulse.job(name):
                act(room)
        finally:
            turn.release()

    once = {"max_instances": 2, "coalesce": True, "misfire_grace_time": None}
    scheduler.add_job(
        noted,
        "interval",
        args=("round", do_round, Lock()),
        minutes=ROUND_MINUTES,
        next_run_time=room.clock(),
        id="round",
        **once,
    )
    scheduler.add_job(
        noted,
        "cron",
        args=("night", do_night, Lock()),
        timezone=room.settings.zone,
        next_run_time=room.clock() + AFTER_START,
        id="night",
        **NIGHT,
        **once,
    )


def do_round(room: Room) -> None:
    # Whoever has to know of trouble is told before anything else can fail.
    told = (tell_operator, give_sign)
    _do(room, (*told, settle_groups, read_mailbox, work_off, free_who_came_back, erase_elsewhere))


def do_night(room: Room) -> None:
    forget = (forget_signups, forget_events, forget_mails, forget_scores, forget_letters)
    # Readers are tried again before the events are forgotten that ended them.
    _do(room, (try_bounced_again, *forget, forget_troubles, forget_units, compare_lists))


def _do(room: Room, duties: Sequence[Duty]) -> None:
    for duty in duties:
        if room.stop.is_set():
            return
        name = duty.__name__.replace("_", " ")
        try:
            _, trouble = safely(name, partial(duty, room, room.clock()))
        except Stopped:
            return
        if trouble:
            log.warning("%s: %s", name, trouble)


def settle_groups(room: Room, _now: datetime) -> None:
    """Withdraw what a dead process may have handed over, while there is time for it."""
    if room.groups is not None and (lost := settle_lost(room.store, room.groups, room.clock)):
        log.warning("%d groups of mails were left by a process that is gone", lost)


def read_mailbox(room: Room, now: datetime) -> None:
    """Store what came by IMAP. Nobody vouches for its From: only a token proves whose it is."""
    if room.mailbox is None:
        return

    def take(raw: bytes, sender: str, recipients: Sequence[str]) -> None:
        processor.take(room.store, raw, sender, recipients, now, aligned=False)

    try:
        taken = room.mailbox.collect(take, room.links, room.stop)
    except MailboxError as fault:
        with room.store.begin() as tx:
            incidents.note(tx, TroubleKind.MAILBOX, EVERYONE, NO_DAY, str(fault), now)
        raise
    with room.store.begin() as tx:
        incidents.settle(tx, TroubleKind.MAILBOX, EVERYONE)
    if taken:
        log.info("%d mails came in", taken)


def work_off(room: Room, now: datetime) -> None:
    carried = (room.store, room.mailer, room.renderer, room.links, room.sender, room.rubrics)
    processor.work_off(processor.Post(*carried, safely=safely), now)


def free_who_came_back(room: Room, now: datetime) -> None:
    if room.lists is not None:
        welcome_back(room.store, room.lists, now)


def erase_elsewhere(room: Room, now: datetime) -> None:
    if told := pass_on_erasures(room.store, room.lists, now):
        log.info("%d erasures passed on", told)


def try_bounced_again(room: Room, now: datetime) -> None:
    """One mail a week to each reader whom soft bounces ended, for a month."""
    last, more = "", True
    while more and not room.stop.is_set():
        with room.store.begin() as tx:
            last = soft_bounces.review_page(tx, now, last)
        more = bool(last)


def forget_signups(room: Room, now: datetime) -> None:
    with room.store.begin() as tx:
        signups.purge(tx, now)
        first_mails.forget_old(tx, now)


def forget_events(room: Room, now: datetime) -> None:
    for kind in EventKind:
        _in_pages(room, partial(events.forget_page, kind=kind, now=now))


def forget_mails(room: Room, now: datetime) -> None:
    with room.store.read() as tx:
        outlived = retention.outlived(tx, now)
    for digest_id in outlived:
        _in_pages(room, partial(retention.forget_page, digest_id=digest_id))


def forget_scores(room: Room, now: datetime) -> None:
    """What digests of long ago did not pick: the largest tables of a service with many rubrics."""
    before, last = now - timedelta(days=room.settings.scores_kept_days), 0
    while not room.stop.is_set():
        with room.store.read() as tx:
            outlived = retention.scored_until(tx, before, last)
        if not outlived:
            return
        for last in outlived:
            _in_pages(room, partial(retention.forget_scores_page, digest_id=last))


def _in_pages(room: Room, forget: Callable[[Connection], bool]) -> None:
    """Forget page by page, each in a transaction of its own, until no more is said to be left."""
    more = True
    while more and not room.stop.is_set():
        with room.store.begin() as tx:
            more = forget(tx)


def forget_letters(room: Room, now: datetime) -> None:
    with room.store.begin() as tx:
        inbound.forget_old(tx, now)


def forget_troubles(room: Room, now: datetime) -> None:
    with room.store.begin() as tx:
        incidents.forget_old(tx, now)


def forget_units(room: Room, now: datetime) -> None:
    room.engine.tidy(now)


def compare_lists(room: Room, now: datetime) -> None:
    if room.lists is None:
        return
    done = sync(room.store, room.lists, now, room.stop)
    log.info(
        "SendGrid's lists: %d learned, %d told, %d freed", done.learned, done.told, done.lifted
    )
