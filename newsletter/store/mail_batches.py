"""State machine of mail batches: one request to the provider for many readers.

    started --202--> accepted
       |--provably not taken--> unsent            its rows are pending again
       |--cancelled before send_at--> cancelled   its rows are pending again
       |--no answer, or the process died--> unknown --an event of one of its mails--> accepted

A batch is one attempt: the next one is a new row with a batch id of its own. Its deliveries have
no lease of their own: the first decision about the batch decides for all of its mails.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import and_, func, insert, literal, or_, select, update

from newsletter.domain.mail import Delivery, DeliveryState, Format
from newsletter.domain.segments import DeliverySchedule
from newsletter.store import claims
from newsletter.store.audience import SCHEDULE, has_schedule
from newsletter.store.subscription_rows import ACTIVE, FORMAT, MAX_PAPERS, SUBSCRIPTIONS
from newsletter.store.tables import delivery, digest, mail_group, subscriber, subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection

    from newsletter.store.claims import UnknownDelivery

MAX_IN_FLIGHT = 8
"""Batches in flight at once, over all machines: all of them can be cancelled after a crash."""
MAX_CANCELLED = 10
"""SendGrid keeps at most ten cancelled batches until their send time."""
BATCH_LOCK = 0x67726F757073


class MailBatchState(StrEnum):
    STARTED = "started"
    ACCEPTED = "accepted"
    UNSENT = "unsent"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


_HELD = (mail_group.c.state == MailBatchState.CANCELLED.value) & mail_group.c.batch_id.is_not(None)
"""The provider still holds these cancelled batches, and counts them."""


_MAIL = delivery.join(subscription, subscription.c.id == delivery.c.subscription_id).join(
    subscriber, subscriber.c.id == subscription.c.subscriber_id
)
"""Mails with what their readers chose."""


class RenderingKey(NamedTuple):
    """What readers of one request have in common.

    Their schedules may differ if they are due at the same instant.
    """

    format: Format
    max_papers: int | None
    schedules: tuple[DeliverySchedule, ...]

    @property
    def rendering(self) -> str:
        return f"{self.format}/{self.max_papers or 'all'}"


@dataclass(frozen=True, slots=True)
class MailBatch:
    """A started request for many readers.

    The provider sends it at `send_at`; until then `batch_id` can cancel it.
    """

    id: str
    digest_id: int
    deliveries: tuple[Delivery, ...]
    until: datetime
    batch_id: str = ""
    send_at: datetime | None = None


def count_readers(tx: Connection, rubric: str) -> int:
    """How many readers a rubric has."""
    mine = subscription.c.rubric == rubric, subscription.c.state == ACTIVE
    query = select(func.count()).select_from(SUBSCRIPTIONS).where(*mine)
    return tx.scalar(query.where(subscriber.c.state == ACTIVE)) or 0


def next_rendering_key(tx: Connection, digest_id: int, now: datetime) -> RenderingKey | None:
    """The rendering of the first reader who may be mailed now; None where nobody is left."""
    row = tx.execute(
        select(FORMAT, MAX_PAPERS, *SCHEDULE)
        .select_from(_MAIL)
        .where(_is_due(digest_id, now))
        .order_by(delivery.c.id)
        .limit(1)
    ).one_or_none()
    return RenderingKey(Format(row[0]), row[1], (DeliverySchedule(*row[2:]),)) if row else None


def pending_schedules(tx: Connection, digest_id: int) -> list[DeliverySchedule]:
    """The delivery schedules of readers with pending mail."""
    query = (
        select(*SCHEDULE)
        .distinct()
        .select_from(_MAIL)
        .where(delivery.c.digest_id == digest_id, delivery.c.state == DeliveryState.PENDING.value)
    )
    return [DeliverySchedule(*row) for row in tx.execute(query)]


def has_room(tx: Connection) -> bool:
    """Whether one more batch may start in this transaction; holds a lock until it ends.

    No more batches are in flight than SendGrid can still cancel.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(BATCH_LOCK)))
    started = mail_group.c.state == MailBatchState.STARTED.value
    under_way = _count(tx, started)
    held = _count(tx, _HELD)
    return under_way < min(MAX_IN_FLIGHT, MAX_CANCELLED - held)


def begin(
    tx: Connection,
    group_id: str,
    digest_id: int,
    alike: RenderingKey,
    owner: str,
    *,
    now: datetime,
    until: datetime,
    limit: int,
    batch_id: str = "",
    send_at: datetime | None = None,
    mailer: str = "",
) -> tuple[MailBatch | None, int]:
    """Start a batch of up to `limit` readers; return it and how many were skipped.

    Readers who left, paused or were suppressed are skipped in the same transaction. Commit
    before the request leaves. None where nobody is left.
    """
    readers, skipped = claims.select_pending(tx, digest_id, now, limit, _of_rendering(alike))
    if not readers:
        return None, skipped
    tx.execute(
        insert(mail_group).values(
            id=group_id,
            digest_id=digest_id,
            rendering=alike.rendering,
            readers=len(readers),
            state=MailBatchState.STARTED.value,
            batch_id=batch_id or None,
            send_at=send_at,
            lease_owner=owner,
            lease_until=until,
            started_at=now,
            changed_at=now,
        )
    )
    claims.mark_sending(tx, [one.id for one in readers], now, group_id=group_id, mailer=mailer)
    return MailBatch(group_id, digest_id, tuple(readers), until, batch_id, send_at), skipped


@dataclass(frozen=True, slots=True)
class LostBatch:
    """A started batch whose process is dead."""

    id: str
    batch_id: str | None
    send_at: datetime | None


def lost_batches(tx: Connection, now: datetime, is_dead: Callable[[str], bool]) -> list[LostBatch]:
    """Started batches whose lease expired or whose process is dead."""
    group = mail_group.c
    rows = tx.execute(
        select(group.id, group.batch_id, group.send_at, group.lease_owner, group.lease_until)
        .where(group.state == MailBatchState.STARTED.value)
        .order_by(group.started_at)
    )
    return [LostBatch(*row[:3]) for row in rows if row[4] < now or is_dead(row[3])]


def expired_cancelled(tx: Connection, before: datetime) -> list[str]:
    """Cancelled batches whose send time was before then."""
    query = select(mail_group.c.batch_id).where(_HELD, mail_group.c.send_at < before)
    return [batch_id for batch_id in tx.scalars(query) if batch_id]


def release_batch(tx: Connection, batch_id: str) -> None:
    """Drop the batch id that the provider no longer holds."""
    tx.execute(update(mail_group).where(mail_group.c.batch_id == batch_id).values(batch_id=None))


def _count(tx: Connection, which: ColumnElement[bool]) -> int:
    return tx.scalar(select(func.count()).select_from(mail_group).where(which)) or 0


def _is_due(digest_id: int, now: datetime) -> ColumnElement[bool]:
    return (
        (delivery.c.digest_id == digest_id)
        & (delivery.c.state == DeliveryState.PENDING.value)
        & or_(
            delivery.c.not_before.is_(None),
            delivery.c.not_before <= literal(now, delivery.c.not_before.type),
        )
    )


def _of_rendering(key: RenderingKey) -> ColumnElement[bool]:
    """Condition: the subscription gets this rendering, and is due with its other readers."""
    return and_(
        FORMAT.is_not_distinct_from(key.format.value),
        MAX_PAPERS.is_not_distinct_from(key.max_papers),
        or_(*(has_schedule(schedule) for schedule in key.schedules)),
    )


_OPEN = (DeliveryState.SENDING.value, DeliveryState.UNKNOWN.value)
_UNDECIDED = (MailBatchState.STARTED.value, MailBatchState.UNKNOWN.value)


def accept(
    tx: Connection,
    group_id: str,
    now: datetime,
    *,
    provider_id: str = "",
    content_hash: str = "",
    reason: str = "",
) -> bool:
    """Mark a batch accepted: by answer, event or operator. False where decided already."""
    told = {"provider_id": provider_id[:128]} if provider_id else {}
    if not _transition(tx, group_id, MailBatchState.ACCEPTED, reason, now, **told):
        return False
    if content_hash:
        told["content_hash"] = content_hash
    _update_deliveries(tx, group_id, now, state=DeliveryState.ACCEPTED.value, reason=reason, **told)
    return True


def release(
    tx: Connection,
    group_id: str,
    state: MailBatchState,
    reason: str,
    now: datetime,
    *,
    not_before: datetime | None = None,
) -> bool:
    """Return all mails of a batch to `pending`: it was provably not accepted, or cancelled."""
    if not _transition(tx, group_id, state, reason, now):
        return False
    failed = delivery.c.failures + (1 if not_before else 0)
    _update_deliveries(
        tx,
        group_id,
        now,
        state=DeliveryState.PENDING.value,
        reason=reason,
        not_before=not_before,
        failures=failed,
    )
    return True


def remove_deliveries(
    tx: Connection,
    group_id: str,
    ids: Collection[str],
    state: DeliveryState,
    reason: str,
    now: datetime,
) -> None:
    """Remove deliveries from a batch that was not sent yet."""
    tx.execute(
        update(delivery)
        .where(
            delivery.c.group_id == group_id,
            delivery.c.id.in_(ids),
            delivery.c.state == DeliveryState.SENDING.value,
        )
        .values(state=state.value, reason=reason, group_id=None, changed_at=now)
    )
    this = update(mail_group).where(mail_group.c.id == group_id)
    tx.execute(this.values(readers=mail_group.c.readers - len(ids)))


def mark_unknown(tx: Connection, group_id: str, reason: str, now: datetime) -> bool:
    """Mark a batch unknown: it is not sent again without proof."""
    if not _transition(tx, group_id, MailBatchState.UNKNOWN, reason, now, MailBatchState.STARTED):
        return False
    _update_deliveries(tx, group_id, now, state=DeliveryState.UNKNOWN.value, reason=reason)
    return True


def accept_by_event(tx: Connection, group_id: str, now: datetime) -> None:
    """An event of one mail proves the batch: SendGrid accepts a request as a whole or not at all.

    A cancelled batch with an event was sent after all: its readers must not get it twice.
    """
    if accept(tx, group_id, now, reason="proven by an event"):
        return
    tx.execute(
        update(delivery)
        .where(
            delivery.c.group_id == group_id,
            delivery.c.state == DeliveryState.PENDING.value,
            select(mail_group.c.state).where(mail_group.c.id == group_id).scalar_subquery()
            != MailBatchState.ACCEPTED.value,
        )
        .values(
            state=DeliveryState.ACCEPTED.value,
            reason="an event came of a mail that was cancelled",
            changed_at=now,
        )
    )


@dataclass(frozen=True, slots=True)
class UnknownBatch:
    """A batch whose outcome is unknown."""

    id: str
    rubric: str
    date: date
    readers: int
    reason: str
    since: datetime


def unknown_batches(tx: Connection) -> list[UnknownBatch]:
    """Unknown batches, the oldest first."""
    group = mail_group.c
    query = (
        select(
            group.id, digest.c.rubric, digest.c.date, group.readers, group.reason, group.changed_at
        )
        .join_from(mail_group, digest)
        .where(group.state == MailBatchState.UNKNOWN.value)
        .order_by(group.changed_at, group.id)
    )
    return [UnknownBatch(*row) for row in tx.execute(query)]


def without_unknown_batches(
    tx: Connection, found: Sequence[UnknownDelivery]
) -> list[UnknownDelivery]:
    """Drop the unknown mails that belong to an unknown batch."""
    unknown = set(
        tx.scalars(
            select(delivery.c.id)
            .join(mail_group, mail_group.c.id == delivery.c.group_id)
            .where(mail_group.c.state == MailBatchState.UNKNOWN.value)
        )
    )
    return [one for one in found if one.id not in unknown]


def resolve(tx: Connection, group_id: str, now: datetime, *, sent: bool) -> bool:
    """Record the operator's decision on an unknown batch; one not sent is pending again."""
    state = tx.scalar(select(mail_group.c.state).where(mail_group.c.id == group_id))
    if state != MailBatchState.UNKNOWN:
        return False
    if sent:
        return accept(tx, group_id, now, reason="by the operator")
    return release(tx, group_id, MailBatchState.UNSENT, "by the operator", now)


def _transition(
    tx: Connection,
    group_id: str,
    becomes: MailBatchState,
    reason: str,
    now: datetime,
    *only_from: MailBatchState,
    **values: str | None,
) -> bool:
    """Compare-and-swap: False where another process has decided already."""
    states = [state.value for state in only_from] or _UNDECIDED
    moved = tx.execute(
        update(mail_group)
        .where(mail_group.c.id == group_id, mail_group.c.state.in_(states))
        .values(state=becomes.value, reason=reason, changed_at=now, **values)
    )
    return moved.rowcount == 1


def _update_deliveries(tx: Connection, group_id: str, now: datetime, **values: object) -> None:
    tx.execute(
        update(delivery)
        .where(delivery.c.group_id == group_id, delivery.c.state.in_(_OPEN))
        .values(changed_at=now, **values)
    )
