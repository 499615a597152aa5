"""One row for each email that a digest owes somebody. The edges between its states are here.

    pending --claim--> sending --202--> accepted
                          |--refused for this address--> rejected
                          |--provably not taken--> pending (not before a time)
                          |--no answer, or the process died--> unknown --proof--> accepted
    pending --left, paused or suppressed meanwhile--> skipped

No edge leads from `sending` or `unknown` to `pending` but with proof that nothing was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal, or_, select, update

from newsletter.model import Delivery, DeliveryState, SubscriberState
from newsletter.store import subscribers
from newsletter.store.tables import delivery, subscriber, suppression

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection, Row

LOST = "the sending process ended, or fell silent, before an answer came"


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
            skipped += _leave_pending(
                tx, row, state=DeliveryState.SKIPPED, reason=obstacle, now=now
            )
        elif _leave_pending(
            tx,
            row,
            state=DeliveryState.SENDING,
            attempt=row.attempt + 1,
            email=row.email,
            lease_owner=owner,
            lease_until=until,
            now=now,
        ):
            reader, attempt = subscribers.of_row(row), row.attempt + 1
            claimed.append(
                Delivery(row.delivery_id, digest_id, reader, DeliveryState.SENDING, attempt)
            )
    return claimed, skipped


def _obstacle(row: Row[Any]) -> str:
    if row.reason:
        return f"suppressed: {row.reason}"
    return "" if row.state == SubscriberState.ACTIVE else str(row.state)


def _leave_pending(tx: Connection, row: Row[Any], *, now: datetime, **values: object) -> int:
    return tx.execute(
        update(delivery)
        .where(delivery.c.id == row.delivery_id, delivery.c.state == DeliveryState.PENDING)
        .values(changed_at=now, **values)
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
