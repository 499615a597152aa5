"""What only a person can decide, done alike from the command line and on the operator's page."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from newsletter.store import claims, inbound, mail_batches, subscriptions
from newsletter.store.reports import operator_views

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


class ReviewDecision(StrEnum):
    """The outcome, as the operator page and the commands show it."""

    DONE = "done"
    UNSUBSCRIBED = "unsubscribed"
    SENT = "marked as sent"
    RESENT = "queued again for the next run"
    NOT_WAITING = "already resolved"
    NOBODY = "the sender is not a known subscriber; use: newsletter subscribers remove"


def answer_reply(
    tx: Connection, letter_id: str, now: datetime, *, unsubscribe: bool
) -> ReviewDecision:
    """Close a reply, or treat it as an unsubscribe request.

    Nothing changes if an unsubscribe request has an unknown sender.
    """
    found = operator_views.reply(tx, letter_id)
    if found is None:
        return ReviewDecision.NOT_WAITING
    if unsubscribe and not found.subscription_id:
        return ReviewDecision.NOBODY
    inbound.set_state(tx, letter_id, inbound.InboundState.DONE)
    if unsubscribe and found.subscription_id:
        subscriptions.leave(tx, found.subscription_id, "reply, by the operator", now)
        return ReviewDecision.UNSUBSCRIBED
    return ReviewDecision.DONE


def resolve_mail(tx: Connection, delivery_id: str, now: datetime, *, sent: bool) -> ReviewDecision:
    """Mark an unknown mail as sent, or have it sent with the next run.

    The id may be that of a batch: its mails are then decided together.
    """
    if not any(known.resolve(tx, delivery_id, now, sent=sent) for known in (claims, mail_batches)):
        return ReviewDecision.NOT_WAITING
    return ReviewDecision.SENT if sent else ReviewDecision.RESENT
