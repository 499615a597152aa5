"""State of the service for the alerts, and spending. Runs every few minutes, by indexes alone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, literal, select

from newsletter import process
from newsletter.domain.alerts import DifferingProcess, Incident, ServiceState
from newsletter.domain.formatting import month_start
from newsletter.domain.mail import DeliveryState
from newsletter.domain.model import DayKind
from newsletter.domain.task_queue import standstill
from newsletter.store import deliveries, events, incidents, leases
from newsletter.store.inbound import InboundState
from newsletter.store.incidents import IncidentKind
from newsletter.store.ledger import LOST_NANOS, SPENT_NANOS
from newsletter.store.tables import call, delivery, digest, fetched, inbound, mailing
from newsletter.store.task_queue import is_working, read_queue

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection

WEEK = timedelta(days=7)
"""As long as a digest is still mailed."""
MONTH = timedelta(days=30)
SPENT_DAYS = timedelta(days=4)
"""A budget nearly spent on several of these days is one alert, not one a day."""
GRACE_PERIOD = timedelta(hours=1)
DAY = timedelta(days=1)
"""How long held-back sign-ups raise an alert, after the last of them."""


def read_mail_state(tx: Connection, now: datetime) -> ServiceState:
    """The state that the database knows; the caller adds late announcements and disks."""
    spent, unknown_nanos = spent_since(tx, month_start(now))
    complaints, accepted = events.complaints(tx, now - MONTH)
    replies, oldest = _replies(tx)
    queue = read_queue(tx, now)
    why = standstill(queue, now)
    return ServiceState(
        now=now,
        scoring_failures=incidents.open_incidents(tx, IncidentKind.SCORING, now),
        budget_shortfalls=incidents.open_incidents(tx, IncidentKind.BUDGET, now),
        run_failures=incidents.open_incidents(tx, IncidentKind.RUN_FAILED, now),
        mailbox_failures=incidents.open_incidents(tx, IncidentKind.MAILBOX, now, GRACE_PERIOD),
        refused_signups=incidents.open_incidents(tx, IncidentKind.SIGNUP, now, DAY),
        overdue_mail=_mails(tx, DeliveryState.PENDING, delivery.c.created_at, now, WEEK),
        held_first_mails=_held_first_mails(tx, now),
        unknown_mail=_mails(tx, DeliveryState.UNKNOWN, delivery.c.changed_at, now, None),
        halted_digests=_halted(tx, now),
        rubric_spending=spent_by_rubric(tx, now - SPENT_DAYS),
        month_nanos=spent + unknown_nanos,
        month_unknown_nanos=unknown_nanos,
        complaints=complaints,
        accepted_mails=accepted,
        waiting_replies=replies,
        oldest_reply=oldest,
        differing=_differing(tx, now),
        standstill=why,
        running=not why and bool(queue.tasks or is_working(tx, now)),
    )


def _differing(tx: Connection, now: datetime) -> tuple[DifferingProcess, ...]:
    is_dead = leases.dead_owner_test(tx, now)
    return tuple(
        DifferingProcess(process.display_name(one.owner), one.role, one.differs)
        for one in leases.workers(tx)
        if one.differs and not is_dead(one.owner)
    )


def _mails(
    tx: Connection,
    state: DeliveryState,
    since: ColumnElement[Any],
    now: datetime,
    within: timedelta | None,
) -> tuple[Incident, ...]:
    """Mails in a state for more than an hour, by digest."""
    query = (
        select(digest.c.rubric, digest.c.date, func.count(), func.min(since, type_=since.type))
        .join_from(delivery, digest)
        .where(delivery.c.state == state, since <= now - GRACE_PERIOD)
        .group_by(digest.c.rubric, digest.c.date)
        .order_by(digest.c.date, digest.c.rubric)
    )
    if within:
        query = query.where(since >= now - within, ~_is_held_first_mail(now))
    return tuple(
        Incident(slug, day, first, number) for slug, day, number, first in tx.execute(query)
    )


def _is_held_first_mail(now: datetime) -> ColumnElement[bool]:
    """Condition: a postponed first mail to a new address; it did not fail."""
    later = func.coalesce(delivery.c.not_before, literal(now, delivery.c.not_before.type)) > now
    return and_(later, delivery.c.failures == 0)


def _held_first_mails(tx: Connection, now: datetime) -> tuple[Incident, ...]:
    since = func.min(delivery.c.created_at, type_=delivery.c.created_at.type)
    query = (
        select(digest.c.rubric, digest.c.date, func.count(), since)
        .join_from(delivery, digest)
        .where(delivery.c.state == DeliveryState.PENDING, _is_held_first_mail(now))
        .group_by(digest.c.rubric, digest.c.date)
        .order_by(digest.c.date, digest.c.rubric)
    )
    return tuple(
        Incident(slug, day, first, number) for slug, day, number, first in tx.execute(query)
    )


def _halted(tx: Connection, now: datetime) -> tuple[Incident, ...]:
    query = (
        select(digest.c.rubric, digest.c.date, mailing.c.at, mailing.c.halted, digest.c.id)
        .join_from(mailing, digest)
        .where(deliveries.IS_HALTED, mailing.c.at >= now - WEEK)
    )
    # SQLite would read all digests in this order, to sort a few.
    rows = sorted(tx.execute(query), key=lambda row: (row.date, row.rubric))
    return tuple(
        Incident(row.rubric, row.date, row.at, deliveries.hard_bounces(tx, row.id), row.halted)
        for row in rows
    )


def _replies(tx: Connection) -> tuple[int, datetime | None]:
    first = func.min(inbound.c.received_at, type_=inbound.c.received_at.type)
    waiting = inbound.c.state.in_([InboundState.REVIEW, InboundState.PERSONAL])
    number, oldest = tx.execute(select(func.count(), first).where(waiting)).one()
    return number, oldest


def fetched_at(tx: Connection, day: date) -> dict[str, datetime]:
    """When each category's announcement of a date was fetched."""
    rows = tx.execute(select(fetched.c.category, fetched.c.at).where(fetched.c.date == day))
    return {row.category: row.at for row in rows}


def count_mails(tx: Connection, day: date) -> tuple[int, int]:
    """Planned and accepted mails of the digests of a date."""
    planned = delivery.c.state != DeliveryState.SKIPPED
    taken = func.count().filter(delivery.c.state == DeliveryState.ACCEPTED)
    query = select(func.count(), taken).join_from(delivery, digest).where(digest.c.date == day)
    mails, arrived = tx.execute(query.where(planned)).one()
    return mails, arrived


def accepted_since(tx: Connection, moment: datetime) -> bool:
    """Whether a mail of a digest made since then was accepted."""
    made = select(digest.c.id).where(digest.c.at >= moment)
    mine = delivery.c.digest_id.in_(made), delivery.c.state == DeliveryState.ACCEPTED
    return tx.scalar(select(delivery.c.id).where(*mine).limit(1)) is not None


def announced_nothing(tx: Connection, day: date) -> bool:
    """Whether the digests of that date say that arXiv announced nothing."""
    kinds = set(tx.scalars(select(digest.c.kind).where(digest.c.date == day)))
    return kinds == {DayKind.NOTHING_ANNOUNCED}


def digests_of(tx: Connection, days: Collection[date]) -> set[tuple[str, date]]:
    """Which rubrics have a digest of which of these dates."""
    of_one_date = digest.c.since == digest.c.date
    query = select(digest.c.rubric, digest.c.date).where(digest.c.date.in_(days), of_one_date)
    rows = tx.execute(query)
    return {(row.rubric, row.date) for row in rows}


def spent_since(tx: Connection, since: datetime) -> tuple[int, int]:
    """Nano-dollars confirmed, and those that may have been billed besides, at most."""
    sums = select(
        func.coalesce(func.sum(call.c.cost_nanos), 0), func.coalesce(func.sum(LOST_NANOS), 0)
    ).where(call.c.started_at >= since)
    confirmed, unknown = tx.execute(sums).one()
    return int(confirmed), int(unknown)


def spent_by_rubric(tx: Connection, since: datetime) -> tuple[Incident, ...]:
    """Nano-dollars of each rubric's day since then, with those that may have been billed."""
    first = func.min(call.c.started_at, type_=call.c.started_at.type)
    # By the bare column SQLite would read all calls, in the order of its index on the rubric.
    slug = (call.c.rubric + "").label("slug")
    query = (
        select(slug, call.c.date, first, func.sum(SPENT_NANOS))
        .where(call.c.started_at >= since)
        .group_by(slug, call.c.date)
        .order_by(call.c.date, slug)
    )
    return tuple(Incident(slug, day, at, int(nanos)) for slug, day, at, nanos in tx.execute(query))
