"""State machine of single mails: claim rows, record outcomes, expire leases.

    pending --claim--> sending --202--> accepted
                          |--refused for this address--> rejected
                          |--provably not taken--> pending (not before a time)
                          |--no answer, or the process died--> unknown --proof--> accepted
    pending --left, paused or suppressed meanwhile--> skipped

    accepted into files --the operator runs with a real mailer--> pending

A row returns from `sending` or `unknown` to `pending` only with proof that nothing was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import String, and_, bindparam, func, literal, or_, select, update

from newsletter.domain.mail import Delivery, DeliveryState
from newsletter.store import bounces, first_mails
from newsletter.store.subscription_rows import ACTIVE, COLUMNS, of_row
from newsletter.store.tables import (
    delivery,
    digest,
    first_mail,
    subscriber,
    subscription,
    suppression,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection, Row

OUTBOX = "outbox"
SENDER_LOST = "the sending process ended, or stopped responding, before an answer came"


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """The outcome of one attempt. `failed` counts against the row's retry limit.

    `diagnostic` is the answer of the mail server that refused the recipient.
    """

    delivery: Delivery
    state: DeliveryState
    reason: str = ""
    provider_id: str = ""
    content_hash: str = ""
    not_before: datetime | None = None
    failed: bool = False
    diagnostic: str = ""


# Built once: a run executes them thousands of times.
_NEXT = (
    select(delivery.c.id.label("delivery_id"), delivery.c.attempt, suppression.c.reason)
    .add_columns(*COLUMNS, first_mail.c.email_hash.label("unmailed"))
    .select_from(
        delivery.join(subscription, subscription.c.id == delivery.c.subscription_id)
        .join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
        .outerjoin(suppression, suppression.c.email_hash == subscriber.c.email_hash)
        .outerjoin(
            first_mail,
            and_(
                first_mail.c.email_hash == subscriber.c.email_hash,
                first_mail.c.mailed_at.is_(None),
            ),
        )
    )
    .where(
        delivery.c.digest_id == bindparam("of_digest"),
        delivery.c.state == DeliveryState.PENDING.value,
        or_(delivery.c.not_before.is_(None), delivery.c.not_before <= bindparam("now")),
    )
    .order_by(delivery.c.id)
    .limit(bindparam("most"))
    .with_for_update(of=delivery, skip_locked=True)
)
_LEAVE_PENDING = (
    update(delivery)
    .where(delivery.c.id == bindparam("row"), delivery.c.state == DeliveryState.PENDING.value)
    .values(changed_at=bindparam("now"))
)
_SKIP = _LEAVE_PENDING.values(
    state=DeliveryState.SKIPPED.value, reason=bindparam("why"), email=bindparam("address")
)
# One statement for all rows of a claim; it reads the current address. The empty string makes SQLite
# find the rows by id instead of by the index on the state.
_SEND = (
    update(delivery)
    .where(
        delivery.c.id.in_(bindparam("rows", expanding=True)),
        delivery.c.state + "" == DeliveryState.PENDING.value,
    )
    .values(
        state=DeliveryState.SENDING.value,
        attempt=delivery.c.attempt + 1,
        email=select(subscriber.c.email)
        .where(subscriber.c.id == delivery.c.subscriber_id)
        .scalar_subquery(),
        group_id=bindparam("group", type_=String),
        mailer=bindparam("by_mailer", type_=String),
        lease_owner=bindparam("owner", type_=String),
        lease_until=bindparam("until", type_=delivery.c.lease_until.type),
        changed_at=bindparam("now"),
    )
)
_RECORD = (
    update(delivery)
    .where(
        delivery.c.id == bindparam("row"),
        delivery.c.attempt == bindparam("of_attempt"),
        delivery.c.state.in_([DeliveryState.SENDING.value, bindparam("also_from", type_=String)]),
    )
    .values(
        state=bindparam("becomes"),
        reason=bindparam("why"),
        not_before=bindparam("wait"),
        provider_id=func.coalesce(bindparam("given_id", type_=String), delivery.c.provider_id),
        content_hash=func.coalesce(bindparam("content", type_=String), delivery.c.content_hash),
        failures=delivery.c.failures + bindparam("failed"),
        lease_owner=None,
        lease_until=None,
        changed_at=bindparam("now"),
    )
)


def claim(
    tx: Connection,
    digest_id: int,
    owner: str,
    *,
    now: datetime,
    until: datetime,
    limit: int,
    mailer: str = "",
    slowly: bool = True,
) -> tuple[list[Delivery], int]:
    """Claim up to `limit` rows until `until`; return them and how many were skipped.

    Readers who left, paused or were suppressed meanwhile are skipped in the same transaction.
    Commit before the first request leaves. `slowly` limits first mails to imported addresses.
    """
    claimed, skipped = select_pending(tx, digest_id, now, limit, slowly=slowly)
    if claimed:
        mark_sending(tx, [one.id for one in claimed], now, owner=owner, until=until, mailer=mailer)
    return claimed, skipped


def select_pending(
    tx: Connection,
    digest_id: int,
    now: datetime,
    limit: int,
    who: ColumnElement[bool] | None = None,
    *,
    slowly: bool = True,
) -> tuple[list[Delivery], int]:
    """Select the next sendable rows of readers that match `who`; and how many were skipped."""
    query = _NEXT if who is None else _NEXT.where(who)
    rows = tx.execute(query, {"of_digest": digest_id, "now": now, "most": limit}).all()
    skip = [
        {"row": row.delivery_id, "now": now, "address": row.email, "why": obstacle}
        for row in rows
        if (obstacle := _obstacle(row))
    ]
    if skip:
        tx.execute(_SKIP, skip)
    mailed = [row for row in rows if not _obstacle(row)]
    if any(row.unmailed for row in mailed):
        mailed = _limit_first_mails(tx, digest_id, mailed, now, slowly=slowly)
    if tries := [row.subscriber_id for row in mailed if row.state_reason == bounces.TRY]:
        bounces.start_try(tx, tries, now)
    sending = DeliveryState.SENDING
    chosen = [
        Delivery(row.delivery_id, digest_id, of_row(row), sending, row.attempt + 1)
        for row in mailed
    ]
    return chosen, len(skip)


def _limit_first_mails(
    tx: Connection, digest_id: int, rows: Sequence[Row[Any]], now: datetime, *, slowly: bool
) -> list[Row[Any]]:
    """Drop the first mails that exceed the hourly limit."""
    if not slowly:
        return list(rows)
    new = [row.unmailed for row in rows if row.unmailed]
    left = first_mails.remaining(tx, digest_id, now)
    leaving = new if left is None else new[:left]
    if leaving:
        first_mails.mark_sent(tx, leaving, now)
    if len(leaving) < len(new):
        first_mails.postpone(tx, digest_id, now)
    waiting = set(new[len(leaving) :])
    return [row for row in rows if row.unmailed not in waiting]


def mark_sending(
    tx: Connection,
    ids: Sequence[str],
    now: datetime,
    *,
    owner: str | None = None,
    until: datetime | None = None,
    group_id: str | None = None,
    mailer: str = "",
) -> None:
    """Mark rows selected in this transaction as `sending`, singly or in a batch."""
    given = {"owner": owner, "until": until, "group": group_id, "by_mailer": mailer}
    tx.execute(_SEND, {"rows": list(ids), "now": now, **given})


def _obstacle(row: Row[Any]) -> str:
    if row.reason:
        return f"suppressed: {row.reason}"
    return next((str(one) for one in (row.own_state, row.state) if one != ACTIVE), "")


def record(tx: Connection, outcomes: Sequence[SendOutcome], now: datetime) -> int:
    """Store the outcomes of attempts. Returns how many rows still were in the expected state.

    An answer after the lease has expired is still proof: it turns `unknown` into `accepted`.
    """
    # Same order as `events.apply`, so that the two cannot deadlock.
    ordered = sorted(outcomes, key=lambda outcome: outcome.delivery.id)
    changes = [_change(outcome, now) for outcome in ordered]
    return tx.execute(_RECORD, changes).rowcount if changes else 0


def _change(outcome: SendOutcome, now: datetime) -> dict[str, object]:
    proof = outcome.state is DeliveryState.ACCEPTED
    return {
        "row": outcome.delivery.id,
        "of_attempt": outcome.delivery.attempt,
        "also_from": (DeliveryState.UNKNOWN if proof else DeliveryState.SENDING).value,
        "becomes": outcome.state.value,
        "why": outcome.reason,
        "wait": outcome.not_before,
        "given_id": outcome.provider_id[:128] or None,
        "content": outcome.content_hash or None,
        "failed": int(outcome.failed),
        "now": now,
    }


def expire_leases(tx: Connection, now: datetime, is_dead: Callable[[str], bool]) -> int:
    """Rows of dead senders become `unknown`, never `pending`: the mail may have left."""
    sending = delivery.c.state == DeliveryState.SENDING
    owners = tx.scalars(select(delivery.c.lease_owner).where(sending).distinct()).all()
    if not owners:
        return 0
    dead = [owner for owner in owners if owner and is_dead(owner)]
    late = or_(delivery.c.lease_until < now, delivery.c.lease_owner.in_(dead))
    return tx.execute(
        update(delivery)
        .where(sending, late)
        .values(state=DeliveryState.UNKNOWN, reason=SENDER_LOST, changed_at=now)
    ).rowcount


def next_attempt_at(tx: Connection, digest_id: int, now: datetime) -> datetime | None:
    """When the first pending row may be sent: `now` or later; None where none is pending."""
    due = func.coalesce(delivery.c.not_before, literal(now, delivery.c.not_before.type))
    query = select(func.min(due, type_=delivery.c.not_before.type)).where(
        delivery.c.digest_id == digest_id, delivery.c.state == DeliveryState.PENDING
    )
    first: datetime | None = tx.scalar(query)
    return max(first, now) if first else None


def count_outbox_only(tx: Connection, digest_ids: Collection[int]) -> int:
    """Count mailable readers whose mail of these digests was only written to the outbox folder."""
    return tx.scalar(select(func.count()).where(*_outbox_only(digest_ids))) or 0


def requeue_outbox_only(tx: Connection, digest_ids: Collection[int], now: datetime) -> None:
    """Make mails that were only written to the outbox folder pending again."""
    tx.execute(
        update(delivery)
        .where(*_outbox_only(digest_ids))
        .values(
            state=DeliveryState.PENDING.value,
            reason="it was in files alone",
            provider_id=None,
            content_hash=None,
            not_before=None,
            changed_at=now,
        )
    )


def _outbox_only(digest_ids: Collection[int]) -> tuple[ColumnElement[bool], ...]:
    active = (
        select(subscription.c.id)
        .join_from(subscription, subscriber)
        .where(
            subscription.c.id == delivery.c.subscription_id,
            subscription.c.state == ACTIVE,
            subscriber.c.state == ACTIVE,
            ~select(1).where(suppression.c.email_hash == subscriber.c.email_hash).exists(),
        )
    )
    return (
        delivery.c.digest_id.in_(digest_ids),
        delivery.c.state == DeliveryState.ACCEPTED.value,
        delivery.c.mailer == OUTBOX,
        active.exists(),
    )


def failures(tx: Connection, delivery_id: str) -> int:
    return tx.scalar(select(delivery.c.failures).where(delivery.c.id == delivery_id)) or 0


@dataclass(frozen=True, slots=True)
class UnknownDelivery:
    """A mail whose outcome is unknown: the operator decides."""

    id: str
    email: str
    rubric: str
    date: date
    reason: str
    since: datetime


def unknown_deliveries(tx: Connection, limit: int | None = None) -> list[UnknownDelivery]:
    """`unknown` rows, the oldest first; all of them, or `limit`."""
    query = (
        select(
            delivery.c.id,
            delivery.c.email,
            digest.c.rubric,
            digest.c.date,
            delivery.c.reason,
            delivery.c.changed_at,
        )
        .join_from(delivery, digest)
        .where(delivery.c.state == DeliveryState.UNKNOWN.value)
        .order_by(delivery.c.changed_at, delivery.c.id)
        .limit(limit)
    )
    return [UnknownDelivery(*row) for row in tx.execute(query)]


def resolve(tx: Connection, delivery_id: str, now: datetime, *, sent: bool) -> bool:
    """Record the operator's decision on an unknown mail; one that was not sent is pending again.

    This is the only way from `unknown` to `pending`. False where the row is not `unknown`.
    """
    state = DeliveryState.ACCEPTED if sent else DeliveryState.PENDING
    done = tx.execute(
        update(delivery)
        .where(delivery.c.id == delivery_id, delivery.c.state == DeliveryState.UNKNOWN.value)
        .values(state=state.value, reason="by the operator", not_before=None, changed_at=now)
    )
    return done.rowcount == 1
