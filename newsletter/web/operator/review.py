"""The review queues: replies that need a person, and mails whose outcome is unknown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from newsletter.domain.sanitize import clean
from newsletter.operations import review
from newsletter.operations.review import ReviewDecision
from newsletter.web.forms import first
from newsletter.web.operator import auth

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.store.claims import UnknownDelivery
    from newsletter.store.reports.operator_views import ReviewReply
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

ADDRESS = re.compile(r"([^\s<>@\",;:]{1,64})@([^\s<>@\",;:]{1,255})")
DECISIONS = {each.name.lower(): each for each in ReviewDecision}
REPLY_KINDS = {"review": "possible unsubscribe request", "letter": "message"}


def answer_reply(site: Site, request: Request, form: Form) -> Response:
    auth.require_csrf_token(site, request, form)
    unsubscribe = _pressed_button(form, "done", "unsubscribe") == "unsubscribe"
    with site.app.store.begin() as tx:
        done = review.answer_reply(tx, first(form, "id"), site.app.clock(), unsubscribe=unsubscribe)
    return _redirect(site, done)


def resolve_mail(site: Site, request: Request, form: Form) -> Response:
    auth.require_csrf_token(site, request, form)
    sent = _pressed_button(form, "sent", "resend") == "sent"
    with site.app.store.begin() as tx:
        done = review.resolve_mail(tx, first(form, "id"), site.app.clock(), sent=sent)
    return _redirect(site, done)


def _pressed_button(form: Form, *known: str) -> str:
    """The value of the pressed button. Raises HTTPException 400 if unknown."""
    pressed = first(form, "action")
    if pressed not in known:
        raise HTTPException(400)
    return pressed


def _redirect(site: Site, done: ReviewDecision) -> Response:
    return RedirectResponse(f"{site.prefix}/operator?said={done.name.lower()}", 303)


def shown_reply(reply: ReviewReply) -> dict[str, Any]:
    return {
        "id": reply.id,
        "sender": masked(reply.sender),
        "kind": REPLY_KINDS.get(reply.state.value, reply.state.value),
        "known": bool(reply.subscription_id),
        "said": masked(clean(reply.said)).strip(),
        "at": reply.received_at,
    }


def shown_mail(mail: UnknownDelivery) -> dict[str, Any]:
    return {
        "id": mail.id,
        "email": masked(mail.email),
        "rubric": mail.rubric,
        "date": mail.date,
        "reason": masked(mail.reason),
        "since": mail.since,
    }


def masked(text: str) -> str:
    """`text` with each email address reduced to its first letter and domain."""
    return ADDRESS.sub(lambda found: f"{found[1][0]}…@{found[2]}", text)
