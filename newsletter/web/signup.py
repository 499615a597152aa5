"""Double opt-in: the form notes a wish and mails a link, and only its owner's click fulfils it.

The answer to the form is the same for every address, and so is the mail: nobody learns here who
reads what.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.background import BackgroundTask

from newsletter.delivery.confirmation import invitation
from newsletter.domain.links import Purpose
from newsletter.domain.mail import Subscriber, SubscriberState
from newsletter.domain.preferences import parse_address
from newsletter.mailers import SendError, Verdict
from newsletter.store import incidents, signups, subscribers, suppressions
from newsletter.store.incidents import IncidentKind
from newsletter.web.forms import first
from newsletter.web.home import front

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.model import Rubric
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

log = logging.getLogger(__name__)

SHUT = (suppressions.Reason.BOUNCED, suppressions.Reason.COMPLAINED, suppressions.Reason.ERASED)


def subscribe(desk: Site, request: Request, form: Form) -> Response:
    typed, slug = first(form, "email"), first(form, "rubric")
    rubric = next((rubric for rubric in desk.public if rubric.slug == slug), None)
    try:
        email = parse_address(typed)
    except ValueError as error:
        return front(desk, chosen=slug, email=typed, fault=str(error), status=422)
    if rubric is None:
        return front(desk, email=typed, fault="Please choose what to read.", status=422)
    caller = request.client.host if request.client else ""
    if refusal := _too_many(desk, caller):
        return refusal
    response = desk.notice(
        "Please look into your mailbox",
        f"If {email} can get this digest, a mail with a link is on its way to it.",
        "Open the link and press the button: only then does anything begin. "
        "If nothing comes within an hour, look among the spam, then try again. "
        "The more such mails stay unanswered, the longer an address waits for the next one.",
    )
    # The mail goes after the answer, so that its time tells nothing about the address either.
    response.background = BackgroundTask(_invite, desk, email, rubric)
    return response


def _too_many(desk: Site, caller: str) -> Response | None:
    """The answer to one ask too many of a network, or of all; None where a mail may go.

    It depends on nobody's address. The operator is told, once for each hour of a network.
    """
    now = desk.clock()
    number = desk.callers.count(caller, now)
    if number > desk.callers.most:
        said = f"One network asked for more than {desk.callers.most} sign-ups within an hour"
        _note(desk, "one network", f"{said}, the last time at {now:%Y-%m-%d %H:%M} UTC.")
        return _later(
            desk, 429, "Too many sign-ups came from your network", "From your network too many"
        )
    with desk.store.read() as tx:
        full = signups.is_full(tx, now)
    if not full:
        return None
    said = f"{signups.MAILS_AN_HOUR} mails to confirm with went out within an hour"
    _note(desk, "the whole form", f"{said}; no more are sent until it is over.")
    return _later(desk, 503, "Too many people are signing up", "Just now too many people")


def _later(desk: Site, status: int, title: str, who: str) -> Response:
    response = desk.notice(
        title,
        f"{who} asked for a digest within this hour, and no mail was sent to you.",
        "Please try again in an hour.",
        status=status,
    )
    response.headers["Retry-After"] = "3600"
    return response


def _note(desk: Site, what: str, reason: str) -> None:
    """Keep for the operator that people could not sign up, and why."""
    now = desk.clock()
    if desk.callers.count(f"told of {what}", now) > 1:
        return  # Once an hour is enough: a flood must not become as many writes.
    log.warning("sign-ups are held back: %s", reason)
    with desk.store.begin() as tx:
        incidents.record_incident(tx, IncidentKind.SIGNUP, what, now.date(), reason, now)


def _invite(desk: Site, email: str, rubric: Rubric) -> None:
    """Mail the link to confirm with, to whoever may be mailed and was not in the last hour."""
    now = desk.clock()
    with desk.store.begin() as tx:
        person = _wish(tx, email, rubric, now)
    if person is None:
        return
    mail = invitation(desk.renderer, desk.links, desk.sender, person, rubric.title, now)
    try:
        desk.mailer.send(mail)
    except SendError as error:
        _note(desk, "the mailer", f"A mail to confirm with was not sent: {error}")
        if error.verdict is not Verdict.UNKNOWN:
            with desk.store.begin() as tx:
                signups.unsent(tx, email, now)


def _wish(tx: Connection, email: str, rubric: Rubric, now: datetime) -> Subscriber | None:
    """Note the wish. The subscriber to mail; None where no mail may go."""
    if suppressions.reason_for(tx, email) in SHUT:
        return None
    if not signups.ask(tx, email, rubric.slug, now):
        return None
    if known := subscribers.find(tx, email):
        return known
    pending = Subscriber(
        id=uuid4().hex, email=email, rubric=rubric.slug, state=SubscriberState.PENDING
    )
    added = subscribers.save(tx, pending, now)
    return pending if added is subscribers.SubscriberChange.ADDED else None


def ask_to_confirm(desk: Site, request: Request) -> Response:
    """A page with a button. Opening it, as link scanners do, confirms nothing."""
    known = _person(desk, request)
    if known is None:
        return _too_old(desk)
    with desk.store.read() as tx:
        wish = signups.of(tx, known.email)
    slug = wish.rubric if wish else known.rubric
    rubric = desk.rubrics.get(slug)
    title = rubric.title if rubric else slug
    return desk.page("confirm.html", title="One last step", email=known.email, rubric=title)


def _person(desk: Site, request: Request) -> Subscriber | None:
    subscriber_id = desk.links.read(Purpose.CONFIRM, request.path_params["token"])
    if subscriber_id is None:
        return None
    with desk.store.read() as tx:
        known = subscribers.get(tx, subscriber_id)
    return known if known and known.email else None


def confirm(desk: Site, request: Request, _form: Form) -> Response:
    known, now = _person(desk, request), desk.clock()
    if known is None:
        return _too_old(desk)
    with desk.store.begin() as tx:
        slug = _fulfil(tx, known, now)
    if not slug:
        return _too_old(desk)
    return desk.page(
        "confirmed.html",
        title="You are subscribed",
        email=known.email,
        rubric=desk.rubrics[slug].title if slug in desk.rubrics else slug,
        archive=desk.local(desk.links.rubric_url(desk.rubrics[slug]))
        if slug in desk.rubrics
        else "",
        preferences=desk.local(desk.links.preferences_url(known.id)),
    )


def _fulfil(tx: Connection, known: Subscriber, now: datetime) -> str:
    """Do what was asked for; the rubric now read, or the empty string where the link is too old."""
    wish = signups.of(tx, known.email)
    if wish is None:
        return _without_wish(tx, known, now)
    if not wish.is_live(now):
        return ""
    imported = known.state is SubscriberState.PENDING and known.consent
    origin = known.consent if imported else "web form"
    consent = f"{origin} of {wish.at:%Y-%m-%d %H:%M} UTC, confirmed {now:%Y-%m-%d %H:%M} UTC"
    if known.state in (SubscriberState.UNSUBSCRIBED, SubscriberState.BOUNCED):
        if not signups.rejoin(tx, known.id, known.email, wish.rubric, consent, now):
            return ""
    else:
        subscribers.activate(tx, known.id, consent, now)
        subscribers.resume(tx, known.id, "web form", now)
        current = subscribers.get(tx, known.id) or known
        subscribers.save(tx, replace(current, rubric=wish.rubric), now)
        if current.state is not SubscriberState.ACTIVE:
            return ""
    signups.done(tx, known.email)
    return wish.rubric


def _without_wish(tx: Connection, known: Subscriber, now: datetime) -> str:
    """Imported without consent and mailed by the operator; or a link that was used before."""
    if known.state is SubscriberState.PENDING:
        subscribers.activate(tx, known.id, f"confirmed {now:%Y-%m-%d %H:%M} UTC", now)
        return known.rubric
    return known.rubric if known.state is SubscriberState.ACTIVE else ""


def _too_old(desk: Site) -> Response:
    return desk.notice(
        "This link does not work any more",
        "It is older than a week, was made for something else, or was copied incompletely.",
        "Ask for the digest again on the front page; a new link comes by mail.",
    )
