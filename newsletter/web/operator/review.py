"""The review page: replies that need a person, and mails whose outcome is unknown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from newsletter.domain.sanitize import clean
from newsletter.errors import OperatorError
from newsletter.operations import review
from newsletter.operations.review import ReviewDecision
from newsletter.store import mail_batches, subscriptions
from newsletter.store.operator import actions as action_log
from newsletter.store.operator import review_queue
from newsletter.store.operator.actions import ActionKind
from newsletter.store.reports import operator_views
from newsletter.store.reports.operator_views import SHOWN_CHARACTERS
from newsletter.web.forms import first
from newsletter.web.operator import auth
from newsletter.web.operator.actions import Change, operator_page, perform, shown_action, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.store.claims import UnknownDelivery
    from newsletter.store.mail_batches import UnknownBatch
    from newsletter.store.operator.actions import OperatorAction
    from newsletter.store.reports.operator_views import ReviewReply
    from newsletter.web.context import Site
    from newsletter.web.forms import Form
    from newsletter.web.operator.auth import SentForm

HERE = "/review"
MAX_SHOWN = 25
"""Maximum entries of each queue; the others follow as these are resolved."""
MAX_ID = 64
ADDRESS = re.compile(r"([^\s<>@\",;:]{1,64})@([^\s<>@\",;:]{1,255})")
DECISIONS = (ActionKind.ANSWER_REPLY, ActionKind.RESOLVE_MAIL, ActionKind.RESOLVE_BATCH)
REPLY_KINDS = {"review": "possible unsubscribe request", "letter": "message"}


def show(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    with site.app.store.read() as tx:
        reply_count, replies = operator_views.replies(tx, MAX_SHOWN)
        mail_count, mails = review_queue.unknown_mails(tx, MAX_SHOWN)
        batches = mail_batches.unknown_batches(tx)
        done = action_log.by_id(tx, request.query_params.get("done", "")[:32])
        shown_replies = [_shown_reply(site, tx, each) for each in replies]
        shown_mails = [_shown_mail(site, tx, each) for each in mails]
        shown_batches = [_shown_batch(site, tx, each) for each in batches[:MAX_SHOWN]]
    return operator_page(
        site,
        session,
        "operator_review.html",
        here=HERE,
        title="Review",
        done={**shown_action(done), "words": _outcome(site, done)}
        if done and done.kind in DECISIONS
        else None,
        undone=request.query_params.get("said") == "undone",
        replies=shown_replies,
        reply_count=reply_count,
        mails=shown_mails,
        mail_count=mail_count,
        batches=shown_batches,
        batch_count=len(batches),
        cut_at=SHOWN_CHARACTERS,
    )


def answer_reply(site: Site, _request: Request, sent: SentForm) -> Response:
    """Close a reply, or treat it as an unsubscribe request."""
    unsubscribe = _pressed_button(sent.fields, "done", "unsubscribe") == "unsubscribe"
    mail_id = first(sent.fields, "id")[:MAX_ID]
    with site.app.store.read() as tx:
        subscriber_id = review_queue.reply_state(tx, mail_id).get("subscriber_id")

    def apply(tx: Connection, now: datetime) -> None:
        _require(review.answer_reply(tx, mail_id, now, unsubscribe=unsubscribe))

    return perform(
        site,
        sent,
        Change(
            ActionKind.ANSWER_REPLY,
            mail_id,
            lambda tx: review_queue.reply_state(tx, mail_id),
            apply,
            HERE,
            subscriber_id,
        ),
    )


def resolve_mail(site: Site, _request: Request, sent: SentForm) -> Response:
    """Mark an unknown mail, or a batch of them, as sent, or have it sent with the next run."""
    was_sent = _pressed_button(sent.fields, "sent", "resend") == "sent"
    mail_id = first(sent.fields, "id")[:MAX_ID]
    with site.app.store.read() as tx:
        subscriber_id = review_queue.mail_state(tx, mail_id).get("subscriber_id")

    def apply(tx: Connection, now: datetime) -> None:
        _require(review.resolve_mail(tx, mail_id, now, sent=was_sent))

    return perform(
        site,
        sent,
        Change(
            ActionKind.RESOLVE_MAIL if subscriber_id else ActionKind.RESOLVE_BATCH,
            mail_id,
            lambda tx: _mail_or_batch(tx, mail_id),
            apply,
            HERE,
            subscriber_id,
        ),
    )


def _mail_or_batch(tx: Connection, mail_id: str) -> Mapping[str, Any]:
    return review_queue.mail_state(tx, mail_id) or review_queue.batch_state(tx, mail_id)


def _require(decision: ReviewDecision) -> None:
    if decision in (ReviewDecision.NOT_WAITING, ReviewDecision.NOBODY):
        message = f"{decision[:1].upper()}{decision[1:]}."
        raise OperatorError(message)


def _outcome(site: Site, action: OperatorAction) -> str:
    """What a decision did, in a sentence."""
    after = action.after
    if action.kind is ActionKind.ANSWER_REPLY:
        if action.before.get("subscription") == after.get("subscription"):
            return "The reply is closed. Nothing else was changed."
        title = site.title_of(str(after.get("rubric")))
        return f"The sender is unsubscribed from “{title}”, and the reply is closed."
    sent = after.get("state") == "accepted"
    what = "The mail" if action.kind is ActionKind.RESOLVE_MAIL else "The batch"
    return f"{what} is {ReviewDecision.SENT if sent else ReviewDecision.RESENT}."


def _pressed_button(form: Form, *known: str) -> str:
    """The value of the pressed button. Raises HTTPException 400 if unknown."""
    pressed = first(form, "action")
    if pressed not in known:
        raise HTTPException(400)
    return pressed


def _shown_reply(site: Site, tx: Connection, reply: ReviewReply) -> dict[str, Any]:
    about = subscriptions.by_id(tx, reply.subscription_id) if reply.subscription_id else None
    said = masked(clean(reply.said)).strip()
    return {
        "id": reply.id,
        "sender": masked(reply.sender),
        "kind": REPLY_KINDS.get(reply.state.value, reply.state.value),
        "known": about is not None,
        "rubric": site.title_of(about.rubric) if about else "",
        "said": said,
        "is_cut": len(reply.said) >= SHOWN_CHARACTERS,
        "at": reply.received_at,
        "stamp": stamp(review_queue.reply_state(tx, reply.id)),
    }


def _shown_mail(site: Site, tx: Connection, mail: UnknownDelivery) -> dict[str, Any]:
    return {
        "id": mail.id,
        "to": masked(mail.email),
        "rubric": site.title_of(mail.rubric),
        "date": mail.date,
        "reason": masked(mail.reason),
        "since": mail.since,
        "stamp": stamp(review_queue.mail_state(tx, mail.id)),
    }


def _shown_batch(site: Site, tx: Connection, batch: UnknownBatch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "to": f"{batch.readers:,} readers in one request",
        "rubric": site.title_of(batch.rubric),
        "date": batch.date,
        "reason": masked(batch.reason),
        "since": batch.since,
        "stamp": stamp(review_queue.batch_state(tx, batch.id)),
    }


def masked(text: str) -> str:
    """`text` with each email address reduced to its first letter and domain."""
    return ADDRESS.sub(lambda found: f"{found[1][0]}…@{found[2]}", text)
