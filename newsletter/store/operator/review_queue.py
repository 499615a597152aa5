"""The review queues of the operator's page: their entries as a decision finds and leaves them.

A state is what a form is stamped with and what the log of actions keeps; empty for an entry that is
not there.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from newsletter.domain.mail import DeliveryState
from newsletter.store.claims import UnknownDelivery
from newsletter.store.inbound import InboundState
from newsletter.store.mail_batches import MailBatchState
from newsletter.store.tables import delivery, digest, inbound, mail_group, subscription

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, Connection

    State = Mapping[str, Any]

_REOPENED = (InboundState.REVIEW, InboundState.PERSONAL)


def reply_state(tx: Connection, mail_id: str) -> State:
    """The state of a reply, and of the subscription that it is about."""
    query = (
        select(
            inbound.c.state,
            inbound.c.subscription_id,
            subscription.c.subscriber_id,
            subscription.c.rubric,
            subscription.c.state.label("subscription"),
        )
        .select_from(
            inbound.outerjoin(subscription, subscription.c.id == inbound.c.subscription_id)
        )
        .where(inbound.c.id == mail_id)
    )
    row = tx.execute(query).mappings().one_or_none()
    return dict(row) if row else {}


def reopen_reply(tx: Connection, mail_id: str, state: InboundState) -> bool:
    """Put a closed reply back into the queue. False where it is not closed."""
    closed = (inbound.c.id == mail_id) & (inbound.c.state == InboundState.DONE)
    if state not in _REOPENED:
        return False
    return tx.execute(update(inbound).where(closed).values(state=state)).rowcount == 1


def unknown_mails(tx: Connection, limit: int) -> tuple[int, list[UnknownDelivery]]:
    """How many mails outside of unknown batches are unknown, and the oldest of them."""
    columns = delivery.c.id, delivery.c.email, digest.c.rubric, digest.c.date
    oldest = (
        select(*columns, delivery.c.reason, delivery.c.changed_at)
        .join_from(delivery, digest)
        .where(_unknown_alone())
        .order_by(delivery.c.changed_at, delivery.c.id)
        .limit(limit)
    )
    number = tx.scalar(select(func.count()).select_from(delivery).where(_unknown_alone())) or 0
    return number, [UnknownDelivery(*row) for row in tx.execute(oldest)]


def _unknown_alone() -> ColumnElement[bool]:
    """Unknown batches are few, and decided as a whole."""
    batches = select(mail_group.c.id).where(mail_group.c.state == MailBatchState.UNKNOWN.value)
    unknown: ColumnElement[bool] = delivery.c.state == DeliveryState.UNKNOWN.value
    return unknown & (delivery.c.group_id.is_(None) | delivery.c.group_id.not_in(batches))


def mail_state(tx: Connection, delivery_id: str) -> State:
    """The state of one mail. Whatever happens to it changes its time or what became of it."""
    columns = ("state", "reason", "fate", "changed_at", "subscriber_id")
    query = select(*(delivery.c[name] for name in columns)).where(delivery.c.id == delivery_id)
    row = tx.execute(query).mappings().one_or_none()
    return {**row, "changed_at": row["changed_at"].isoformat()} if row else {}


def reopen_mail(
    tx: Connection, delivery_id: str, decided: State, reason: str, at: datetime
) -> bool:
    """Make a mail unknown again. False where it is not as it was `decided`: claimed, say."""
    done = tx.execute(
        update(delivery)
        .where(
            delivery.c.id == delivery_id,
            delivery.c.state == decided["state"],
            delivery.c.changed_at == datetime.fromisoformat(decided["changed_at"]),
        )
        .values(state=DeliveryState.UNKNOWN.value, reason=reason, changed_at=at)
    )
    return done.rowcount == 1


def batch_state(tx: Connection, batch_id: str) -> State:
    """The state of a batch of mails that went out in one request."""
    query = select(mail_group.c.state, mail_group.c.readers).where(mail_group.c.id == batch_id)
    row = tx.execute(query).mappings().one_or_none()
    return dict(row) if row else {}
