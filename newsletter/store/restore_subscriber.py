"""Restore a subscriber who left or bounced, by the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update

from newsletter.domain.addresses import fingerprint
from newsletter.domain.mail import SubscriberState, Subscription
from newsletter.store import reader_rubrics, signups, subscribers, subscriptions, suppressions
from newsletter.store.suppressions import Reason
from newsletter.store.tables import subscriber, subscription, suppression

RESTORED = "restored by the operator"

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

LIFTED = (Reason.UNSUBSCRIBED, Reason.BOUNCED)
GONE = (SubscriberState.UNSUBSCRIBED, SubscriberState.BOUNCED)


def refusal_reason(known: Subscription | None, reason: Reason | None) -> str:
    """Why this address is not brought back (pure); empty where it may be."""
    if reason is Reason.ERASED:
        return "asked to be forgotten"
    if reason is Reason.COMPLAINED or (known and known.state is SubscriberState.COMPLAINED):
        return "reported a digest as unwanted"
    return ""


def left(tx: Connection, email: str, rubrics: Sequence[str] = ()) -> list[Subscription]:
    """The subscriptions that would be brought back: of these rubrics, or those that were left last.

    Of an address that bounced, those that it read.
    """
    all_of = subscriptions.of_address(tx, email)
    found = [one for one in all_of if not reader_rubrics.is_deleted(tx, one.rubric)]
    if rubrics:
        return [one for one in found if one.rubric in rubrics and one.state in GONE]
    if bounced := [one for one in found if one.state is SubscriberState.BOUNCED]:
        return bounced
    gone = subscription.c.id.in_([one.id for one in found if one.state in GONE])
    last = select(func.max(subscription.c.state_at)).where(gone).scalar_subquery()
    ids = set(tx.scalars(select(subscription.c.id).where(gone, subscription.c.state_at == last)))
    return [one for one in found if one.id in ids]


def restore(
    tx: Connection, email: str, rubrics: Sequence[str], consent: str, now: datetime
) -> list[Subscription] | None:
    """Mail this address again, with `consent` as its record; return what it reads again.

    None where nothing was changed. Checks again what forbids it: a complaint may have come a
    moment ago.
    """
    known, reason = subscriptions.find(tx, email), suppressions.reason_for(tx, email)
    gone = left(tx, email, rubrics)
    if refusal_reason(known, reason) or not (gone or reason):
        return None
    tx.execute(
        delete(suppression).where(
            suppression.c.email_hash == fingerprint(email), suppression.c.reason.in_(LIFTED)
        )
    )
    signups.clear(tx, email)
    if known is None:
        suppressions.lift_rubric(tx, email, None)
    for one in gone:
        suppressions.lift_rubric(tx, email, one.rubric)
        subscribers.reactivate(tx, one.subscriber_id, RESTORED, now)
        mine = subscriber.c.id == one.subscriber_id
        tx.execute(update(subscriber).where(mine).values(soft_bounces=0))
        subscriptions.renew(tx, one.id, RESTORED, consent, now)
    return gone


def undo(tx: Connection, subscription_id: str, way: str, now: datetime) -> list[Subscription]:
    """Take back that a reader left, and what else they left at that moment; what they read again.

    Nothing where it is more than 30 days ago, or was not their own wish.
    """
    mine = subscription.c.id == subscription_id
    row = tx.execute(
        select(subscription.c.subscriber_id, subscription.c.state_at).where(mine)
    ).first()
    if row is None:
        return []
    together = select(subscription.c.id).where(
        subscription.c.subscriber_id == row.subscriber_id,
        subscription.c.state == SubscriberState.UNSUBSCRIBED.value,
        mine | (subscription.c.state_at == row.state_at),
    )
    restored = [
        one for one in tx.scalars(together).all() if subscriptions.restore(tx, one, way, now)
    ]
    found = (subscriptions.by_id(tx, one) for one in restored)
    return [one for one in found if one]
