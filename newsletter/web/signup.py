"""Sign-up with double opt-in: the form sends a link, and the button behind it subscribes.

The response and the email are the same for every address, so that nobody can find out who is
subscribed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.background import BackgroundTask

from newsletter.delivery.confirmation import confirmation_mail
from newsletter.domain.links import Purpose
from newsletter.domain.mail import READING, SubscriberState, Subscription
from newsletter.domain.preferences import parse_address
from newsletter.mailers import SendError, SendFailure
from newsletter.store import incidents, signups, subscribers, subscriptions, suppressions
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

BLOCKED_REASONS = (
    suppressions.Reason.BOUNCED,
    suppressions.Reason.COMPLAINED,
    suppressions.Reason.ERASED,
)


def subscribe(site: Site, request: Request, form: Form) -> Response:
    typed, slug = first(form, "email"), first(form, "rubric")
    rubric = next((rubric for rubric in site.public_rubrics if rubric.slug == slug), None)
    try:
        email = parse_address(typed)
    except ValueError as error:
        return front(site, chosen=slug, email=typed, error=str(error), status=422)
    if rubric is None:
        return front(site, email=typed, error="Please choose a topic.", status=422)
    caller = request.client.host if request.client else ""
    if refusal := _refuse_excess(site, caller):
        return refusal
    response = site.notice(
        "Check your inbox",
        f"If {email} can receive this digest, a confirmation link is on its way to it.",
        "Open the link and press the button to confirm. If nothing arrives within an hour, check "
        "your spam folder, then try again. Each unanswered confirmation email lengthens the wait "
        "before the next one.",
    )
    # The email is sent after the response, so that the response time reveals nothing either.
    response.background = BackgroundTask(_send_confirmation, site, email, rubric)
    return response


def _refuse_excess(site: Site, caller: str) -> Response | None:
    """An error page if one network or the whole form has reached its limit; else None.

    It does not depend on the email address. An alert tells the operator, at most once an hour.
    """
    now = site.app.clock()
    number = site.signup_limiter.count(caller, now)
    if number > site.signup_limiter.limit:
        reason = (
            f"One network requested more than {site.signup_limiter.limit} sign-ups within an hour"
        )
        _record_incident(
            site, "one network", f"{reason}, the last time at {now:%Y-%m-%d %H:%M} UTC."
        )
        return _try_again_later(
            site, 429, "Too many sign-ups from your network", "People on your network"
        )
    with site.app.store.read() as tx:
        full = signups.is_full(tx, now)
    if not full:
        return None
    reason = f"{signups.MAILS_AN_HOUR} mails to confirm with went out within an hour"
    _record_incident(site, "the whole form", f"{reason}; no more are sent until it is over.")
    return _try_again_later(site, 503, "Too many sign-ups right now", "People")


def _try_again_later(site: Site, status: int, title: str, who: str) -> Response:
    response = site.notice(
        title,
        f"{who} requested too many digests within the last hour. No email was sent to you.",
        "Please try again in an hour.",
        status=status,
    )
    response.headers["Retry-After"] = "3600"
    return response


def _record_incident(site: Site, what: str, reason: str) -> None:
    """Record an incident, from which an alert for the operator is made."""
    now = site.app.clock()
    if site.signup_limiter.count(f"incident of {what}", now) > 1:
        return  # At most one write an hour, however many requests arrive.
    log.warning("sign-ups are refused: %s", reason)
    with site.app.store.begin() as tx:
        incidents.record_incident(tx, IncidentKind.SIGNUP, what, now.date(), reason, now)


def _send_confirmation(site: Site, email: str, rubric: Rubric) -> None:
    """Send the confirmation link, unless the address is blocked or had one within the hour."""
    now = site.app.clock()
    with site.app.store.begin() as tx:
        wanted = _record_request(tx, email, rubric, now)
        read = subscriptions.of_address(tx, email) if wanted else []
    if wanted is None:
        return
    mail = confirmation_mail(
        site.app.renderer,
        site.app.links,
        site.app.sender,
        wanted,
        [rubric.title],
        now,
        read=[site.title_of(one.rubric) for one in read if one.state in READING],
    )
    try:
        site.app.mailer.send(mail)
    except SendError as error:
        _record_incident(site, "the mailer", f"A mail to confirm with was not sent: {error}")
        if error.failure is not SendFailure.UNKNOWN:
            with site.app.store.begin() as tx:
                signups.mark_not_sent(tx, email, now)


def _record_request(
    tx: Connection, email: str, rubric: Rubric, now: datetime
) -> Subscription | None:
    """Store the request. Returns the subscription to confirm; None if no mail may be sent.

    A subscription that is there stays as it is until the link is used, also one that was left.
    """
    if suppressions.reason_for(tx, email) in BLOCKED_REASONS:
        return None
    if not signups.request(tx, email, rubric.slug, now):
        return None
    found = subscriptions.of_address(tx, email)
    for one in found:
        if one.rubric == rubric.slug:
            return one
    if found:
        added = subscriptions.add(tx, found[0].subscriber_id, rubric.slug, now, active=False)
        return subscriptions.by_id(tx, added)
    wanted = Subscription(
        id=uuid4().hex, email=email, rubric=rubric.slug, state=SubscriberState.PENDING
    )
    subscriptions.insert_new(tx, wanted, now)
    return wanted


def show_confirm(site: Site, request: Request) -> Response:
    """A page with a button. Opening it, as link scanners do, confirms nothing."""
    known = _subscription(site, request)
    if known is None:
        return _link_expired(site)
    with site.app.store.read() as tx:
        added = [known, *_imported_beside(tx, known)]
    return site.page(
        "confirm.html",
        title="Confirm your subscription",
        email=known.email,
        rubrics=[site.title_of(one.rubric) for one in added],
    )


def _subscription(site: Site, request: Request) -> Subscription | None:
    subscription_id = site.app.links.read(Purpose.CONFIRM, request.path_params["token"])
    if subscription_id is None:
        return None
    with site.app.store.read() as tx:
        known = subscriptions.by_id(tx, subscription_id)
    return known if known and known.email else None


def confirm(site: Site, request: Request, _form: Form) -> Response:
    known, now = _subscription(site, request), site.app.clock()
    if known is None:
        return _link_expired(site)
    with site.app.store.begin() as tx:
        active = _activate(tx, known, now)
    if not active:
        return _link_expired(site)
    slug = active[0].rubric
    return site.page(
        "confirmed.html",
        title="You are subscribed",
        email=known.email,
        rubrics=[site.title_of(one.rubric) for one in active],
        archive=site.local_path(site.app.links.rubric_url(site.app.rubrics[slug]))
        if slug in site.app.rubrics
        else "",
        preferences=site.local_path(site.app.links.preferences_url(active[0].id)),
    )


def _activate(tx: Connection, known: Subscription, now: datetime) -> list[Subscription]:
    """Subscribe as requested. Returns what is active by it; nothing if the link is too old."""
    pending = signups.pending_request(tx, known.email, known.rubric)
    if pending and not pending.is_live(now):
        return []
    confirmed = f"confirmed {now:%Y-%m-%d %H:%M} UTC"
    beside = _imported_beside(tx, known)
    if pending:
        origin = known.consent if known.state is SubscriberState.PENDING else ""
        asked = f"{origin or 'web form'} of {pending.at:%Y-%m-%d %H:%M} UTC"
        _join(tx, known, f"{asked}, {confirmed}", now)
        signups.clear(tx, known.email, known.rubric)
    elif known.state is SubscriberState.PENDING:
        # Imported without consent.
        _join(tx, known, confirmed, now)
    for one in beside:
        _join(tx, one, f"{one.consent}, {confirmed}", now)
    found = (subscriptions.by_id(tx, one.id) for one in (known, *beside))
    return [one for one in found if one and one.state is SubscriberState.ACTIVE]


def _join(tx: Connection, known: Subscription, consent: str, now: datetime) -> None:
    if known.state in (SubscriberState.UNSUBSCRIBED, SubscriberState.BOUNCED):
        signups.rejoin(tx, known, known.rubric, consent, now)
        return
    subscriptions.activate(tx, known.id, consent, now)
    subscribers.resume(tx, known.subscriber_id, "web form", now)


def _imported_beside(tx: Connection, known: Subscription) -> list[Subscription]:
    """What else waits since an import: one mail asks to confirm all of it.

    A request on the web has no consent yet. It has a link of its own, whoever asked for it.
    """
    if known.state is not SubscriberState.PENDING or not known.consent:
        return []
    found = subscriptions.of_subscriber(tx, known.subscriber_id)
    waits = SubscriberState.PENDING
    return [one for one in found if one.state is waits and one.consent and one.id != known.id]


def _link_expired(site: Site) -> Response:
    return site.notice(
        "This link no longer works",
        "It is older than a week, was made for another purpose, or was copied incompletely.",
        "Subscribe again on the front page to get a new link.",
    )
