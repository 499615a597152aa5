"""Restore a subscriber who left or bounced, by the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, update

from newsletter.domain.addresses import fingerprint
from newsletter.domain.mail import SubscriberState, Subscription
from newsletter.store import signups, subscribers, subscriptions, suppressions
from newsletter.store.suppressions import Reason
from newsletter.store.tables import subscriber, suppression

RESTORED = "restored by the operator"

if TYPE_CHECKING:
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


def has_left(known: Subscription | None, reason: Reason | None) -> bool:
    """Whether there is anything to bring back from."""
    return reason is not None or (known is not None and known.state in GONE)


def restore(tx: Connection, email: str, consent: str, now: datetime) -> bool:
    """Mail this address again, with `consent` as its record. False where nothing was changed.

    Checks again what forbids it: a complaint may have come a moment ago.
    """
    known, reason = subscriptions.find(tx, email), suppressions.reason_for(tx, email)
    if refusal_reason(known, reason) or not has_left(known, reason):
        return False
    tx.execute(
        delete(suppression).where(
            suppression.c.email_hash == fingerprint(email), suppression.c.reason.in_(LIFTED)
        )
    )
    signups.clear(tx, email)
    suppressions.lift_rubric(tx, email, known.rubric if known else None)
    if known and known.state in GONE:
        subscribers.wake(tx, known.subscriber_id, RESTORED, now)
        mine = subscriber.c.id == known.subscriber_id
        tx.execute(update(subscriber).where(mine).values(soft_bounces=0))
        subscriptions.renew(tx, known.id, RESTORED, consent, now)
    return True
