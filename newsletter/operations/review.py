"""Decisions of the operator, the same from the command line and on the operator's page."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from newsletter.errors import OperatorError
from newsletter.store import claims, inbound, mail_batches, restore_subscriber, subscriptions
from newsletter.store.operator import review_queue
from newsletter.store.reports import operator_views

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Connection

    from newsletter.store.operator.actions import OperatorAction

UNDO_WAY = "undone by the operator"


class ReviewDecision(StrEnum):
    """The outcome, as the operator page and the commands show it."""

    DONE = "done"
    UNSUBSCRIBED = "unsubscribed"
    SENT = "marked as sent"
    RESENT = "queued again for the next run"
    NOT_WAITING = "already resolved"
    NOBODY = "the sender is not a known subscriber; use: newsletter subscribers remove"


def answer_reply(
    tx: Connection, mail_id: str, now: datetime, *, unsubscribe: bool
) -> ReviewDecision:
    """Close a reply, or treat it as an unsubscribe request.

    Nothing changes if an unsubscribe request has an unknown sender.
    """
    found = operator_views.reply(tx, mail_id)
    if found is None:
        return ReviewDecision.NOT_WAITING
    if unsubscribe and not found.subscription_id:
        return ReviewDecision.NOBODY
    inbound.set_state(tx, mail_id, inbound.InboundState.DONE)
    if unsubscribe and found.subscription_id:
        subscriptions.leave(tx, found.subscription_id, "reply, by the operator", now)
        return ReviewDecision.UNSUBSCRIBED
    return ReviewDecision.DONE


def resolve_mail(tx: Connection, delivery_id: str, now: datetime, *, sent: bool) -> ReviewDecision:
    """Mark an unknown mail as sent, or have it sent with the next run.

    The id may be that of a batch: its mails are then decided together.
    """
    known = claims.resolve(tx, delivery_id, now, sent=sent)
    if not known and not mail_batches.resolve(tx, delivery_id, now, sent=sent):
        return ReviewDecision.NOT_WAITING
    return ReviewDecision.SENT if sent else ReviewDecision.RESENT


def reply_now(tx: Connection, action: OperatorAction) -> Mapping[str, Any]:
    return review_queue.reply_state(tx, action.subject)


def reopen_reply(tx: Connection, action: OperatorAction, now: datetime) -> None:
    """Put the reply back into the queue, and its sender back to their rubric.

    Raises OperatorError for an unsubscribe of more than 30 days ago.
    """
    before, after = action.before, action.after
    if before.get("subscription") != after.get("subscription"):
        subscription_id = str(after["subscription_id"])
        if not restore_subscriber.undo(tx, subscription_id, UNDO_WAY, now):
            message = "An unsubscribe can be undone for 30 days."
            raise OperatorError(message)
    review_queue.reopen_reply(tx, action.subject, inbound.InboundState(before["state"]))


def mail_now(tx: Connection, action: OperatorAction) -> Mapping[str, Any]:
    return review_queue.mail_state(tx, action.subject)


def reopen_mail(tx: Connection, action: OperatorAction, now: datetime) -> None:
    """Make the mail unknown again. Raises OperatorError if it was claimed a moment ago."""
    reason = str(action.before["reason"])
    if not review_queue.reopen_mail(tx, action.subject, action.after, reason, now):
        message = "The mail is being sent."
        raise OperatorError(message)
