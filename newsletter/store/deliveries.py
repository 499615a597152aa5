"""One row for each email that a digest owes somebody. The edges between its states are here.

    pending --claim--> sending --202--> accepted
                          |--refused for this address--> rejected
                          |--provably not taken--> pending (not before a time)
                          |--no answer, or the process died--> unknown --proof--> accepted
    pending --left, paused or suppressed meanwhile--> skipped

No edge leads from `sending` or `unknown` to `pending` but with proof that nothing was taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from newsletter.model import Delivery, DeliveryState, SubscriberState
from newsletter.store import subscribers
from newsletter.store.tables import delivery, mailing, subscriber, suppression

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

LOST = "the sending process ended, or fell silent, before an answer came"


@dataclass(frozen=True, slots=True)
class Audience:
    """Who was counted when a digest's rows were made: candidates = prepared + excluded."""

    candidates: int
    prepared: int
    excluded: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to. `failed` when it counts against the row's patience."""

    delivery: Delivery
    state: DeliveryState
    reason: str = ""
    provider_id: str = ""
    content_hash: str = ""
    not_before: datetime | None = None
    failed: bool = False


def freeze_audience(
    tx: Connection,
    digest_id: int,
    rubric: str,
    now: datetime,
    only: Sequence[str] | None = None,
) -> Audience:
    """Make the rows of a digest that are missing, and count who gets none and why.

    `only` names the subscribers whose hour has come; None means everyone. Safe to repeat.
    """
    chosen = subscriber.c.rubric == rubric
    if only is not None:
        chosen &= subscriber.c.id.in_(only)
    joined = subscriber.outerjoin(suppression, suppression.c.email_hash == subscriber.c.email_hash)
    wanted = (
        select(
            _new_id(tx),
            literal(digest_id),
            subscriber.c.id,
            subscriber.c.email,
            literal(DeliveryState.PENDING.value),
            literal(0),
            literal(0),
            literal(""),
            literal(now, delivery.c.created_at.type),
            literal(now, delivery.c.changed_at.type),
        )
        .select_from(joined)
        .where(
            chosen,
            subscriber.c.state == SubscriberState.ACTIVE,
            suppression.c.email_hash.is_(None),
        )
    )
    columns = ["id", "digest_id", "subscriber_id", "email", "state", "attempt", "failures"]
    columns += ["reason", "created_at", "changed_at"]
    tx.execute(_insert(tx)(delivery).from_select(columns, wanted).on_conflict_do_nothing())
    return _count_audience(tx, digest_id, rubric, now)


def _count_audience(tx: Connection, digest_id: int, rubric: str, now: datetime) -> Audience:
    prepared = delivery.c.id.is_not(None)
    query = (
        select(subscriber.c.state, suppression.c.reason, prepared, func.count())
        .select_from(
            subscriber.outerjoin(
                suppression, suppression.c.email_hash == subscriber.c.email_hash
            ).outerjoin(
                delivery,
                (delivery.c.subscriber_id == subscriber.c.id) & (delivery.c.digest_id == digest_id),
            )
        )
        .where(subscriber.c.rubric == rubric, subscriber.c.email != "")
        .group_by(subscriber.c.state, suppression.c.reason, prepared)
    )
    excluded: dict[str, int] = {}
    made = 0
    for state, suppressed, has_row, number in tx.execute(query):
        if has_row:
            made += number
            continue
        later = "not yet due" if state == SubscriberState.ACTIVE else state
        reason = str(suppressed or later)
        excluded[reason] = excluded.get(reason, 0) + number
    audience = Audience(made + sum(excluded.values()), made, excluded)
    row = {"candidates": audience.candidates, "excluded": excluded, "at": now}
    tx.execute(
        _insert(tx)(mailing)
        .values(digest_id=digest_id, halted="", **row)
        .on_conflict_do_update(index_elements=["digest_id"], set_=row)
    )
    return audience


def claim(
    tx: Connection, digest_id: int, owner: str, *, now: datetime, until: datetime, limit: int
) -> tuple[list[Delivery], int]:
    """Up to `limit` rows, now `sending` and ours until `until`; and how many were skipped.

    Who has left, paused or been suppressed since the rows were made is skipped here, in the
    transaction that claims. Commit before the first request leaves.
    """
    query = (
        select(delivery.c.id.label("delivery_id"), delivery.c.attempt, suppression.c.reason)
        .add_columns(*subscriber.c)
        .select_from(
            delivery.join(subscriber).outerjoin(
                suppression, suppression.c.email_hash == subscriber.c.email_hash
            )
        )
        .where(
            delivery.c.digest_id == digest_id,
            delivery.c.state == DeliveryState.PENDING,
            or_(delivery.c.not_before.is_(None), delivery.c.not_before <= now),
        )
        .order_by(delivery.c.id)
        .limit(limit)
        .with_for_update(of=delivery, skip_locked=True)
    )
    claimed, skipped = [], 0
    for row in tx.execute(query).all():
        obstacle = _obstacle(row)
        if obstacle:
            skipped += _skip(tx, row.delivery_id, obstacle, now)
            continue
        changed = tx.execute(
            update(delivery)
            .where(delivery.c.id == row.delivery_id, delivery.c.state == DeliveryState.PENDING)
            .values(
                state=DeliveryState.SENDING,
                attempt=row.attempt + 1,
                email=row.email,
                lease_owner=owner,
                lease_until=until,
                changed_at=now,
            )
        )
        if changed.rowcount:
            reader = subscribers.of_row(row)
            claimed.append(
                Delivery(row.delivery_id, digest_id, reader, DeliveryState.SENDING, row.attempt + 1)
            )
    return claimed, skipped


def _obstacle(row: Any) -> str:  # noqa: ANN401 - a row of the query above
    if row.reason:
        return f"suppressed: {row.reason}"
    return "" if row.state == SubscriberState.ACTIVE else str(row.state)


def _skip(tx: Connection, delivery_id: str, reason: str, now: datetime) -> int:
    return tx.execute(
        update(delivery)
        .where(delivery.c.id == delivery_id, delivery.c.state == DeliveryState.PENDING)
        .values(state=DeliveryState.SKIPPED, reason=reason, changed_at=now)
    ).rowcount


def record(tx: Connection, outcome: Outcome, now: datetime) -> bool:
    """Write what an attempt came to. False when the row has moved on without it.

    An answer that arrives after its lease is still proof: it turns `unknown` into `accepted`.
    """
    before = [DeliveryState.SENDING]
    if outcome.state is DeliveryState.ACCEPTED:
        before.append(DeliveryState.UNKNOWN)
    values: dict[str, Any] = {
        "state": outcome.state,
        "reason": outcome.reason,
        "not_before": outcome.not_before,
        "lease_owner": None,
        "lease_until": None,
        "changed_at": now,
    }
    if outcome.provider_id:
        values["provider_id"] = outcome.provider_id[:128]
    if outcome.content_hash:
        values["content_hash"] = outcome.content_hash
    if outcome.failed:
        values["failures"] = delivery.c.failures + 1
    done = tx.execute(
        update(delivery)
        .where(
            delivery.c.id == outcome.delivery.id,
            delivery.c.attempt == outcome.delivery.attempt,
            delivery.c.state.in_(before),
        )
        .values(values)
    )
    return done.rowcount == 1


def expire(tx: Connection, now: datetime, is_dead: Callable[[str], bool]) -> int:
    """Rows that somebody stopped sending become `unknown`: never `pending`, it may be out."""
    sending = delivery.c.state == DeliveryState.SENDING
    owners = tx.scalars(select(delivery.c.lease_owner).where(sending).distinct()).all()
    dead = [owner for owner in owners if owner and is_dead(owner)]
    late = or_(delivery.c.lease_until < now, delivery.c.lease_owner.in_(dead))
    return tx.execute(
        update(delivery)
        .where(sending, late)
        .values(state=DeliveryState.UNKNOWN, reason=LOST, changed_at=now)
    ).rowcount


def resume(tx: Connection, digest_id: int) -> None:
    """Somebody asks for this digest to go on: forget the halt, and do not wait for old delays."""
    tx.execute(update(mailing).where(mailing.c.digest_id == digest_id).values(halted=""))
    tx.execute(
        update(delivery)
        .where(
            delivery.c.digest_id == digest_id,
            delivery.c.state == DeliveryState.PENDING,
            delivery.c.not_before.is_not(None),
        )
        .values(not_before=None, failures=0)
    )


def halt(tx: Connection, digest_id: int, reason: str) -> None:
    tx.execute(update(mailing).where(mailing.c.digest_id == digest_id).values(halted=reason))


def next_try(tx: Connection, digest_id: int, now: datetime) -> datetime | None:
    """When the first waiting row may be sent: `now` or later; None where none waits."""
    due = func.coalesce(delivery.c.not_before, literal(now, delivery.c.not_before.type))
    query = select(func.min(due, type_=delivery.c.not_before.type)).where(
        delivery.c.digest_id == digest_id, delivery.c.state == DeliveryState.PENDING
    )
    first: datetime | None = tx.scalar(query)
    return max(first, now) if first else None


def failures(tx: Connection, delivery_id: str) -> int:
    return tx.scalar(select(delivery.c.failures).where(delivery.c.id == delivery_id)) or 0


def count(tx: Connection, digest_id: int) -> dict[DeliveryState, int]:
    """How many rows of a digest are in which state; states without rows are left out."""
    query = (
        select(delivery.c.state, func.count())
        .where(delivery.c.digest_id == digest_id)
        .group_by(delivery.c.state)
    )
    return {DeliveryState(state): number for state, number in tx.execute(query)}


def _insert(tx: Connection) -> Any:  # noqa: ANN401 - two dialects, one shape
    return postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert


def _new_id(tx: Connection) -> Any:  # noqa: ANN401 - an SQL expression
    """A random id of 32 hex digits, made by the database: an audience never passes through here."""
    if tx.dialect.name == "postgresql":
        return func.replace(func.gen_random_uuid().cast(_text()), "-", "")
    return func.lower(func.hex(func.randomblob(16)))


def _text() -> Any:  # noqa: ANN401 - an SQL type
    return delivery.c.reason.type
