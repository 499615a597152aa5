"""The mail that asks an address whether it wants the digest: only its link begins anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from newsletter.delivery.message import notification
from newsletter.domain.mail import SubscriberState
from newsletter.mailers import SendError, Verdict
from newsletter.store import signups, subscribers, suppressions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from newsletter.context import App
    from newsletter.domain.links import Links
    from newsletter.domain.mail import Email, Sender, Subscriber
    from newsletter.render import Renderer
    from newsletter.store import Store

IMPORTED_AN_HOUR = signups.MAILS_AN_HOUR // 2
"""A long list must not take from the web form all that may be sent in an hour."""


class InvitedCount(NamedTuple):
    """How many were mailed, and why it ended before all were; empty where it did not."""

    sent: int = 0
    trouble: str = ""


def invitation(
    renderer: Renderer,
    links: Links,
    sender: Sender,
    person: Subscriber,
    title: str,
    now: datetime,
) -> Email:
    """The mail with the confirmation link; `title` is the rubric's."""
    refuse_url = links.refuse_url(person.id)
    subject, html, text = renderer.mail(
        "confirm",
        rubric=title,
        email=person.email,
        confirm_url=links.confirm_url(person.id),
        refuse_url=refuse_url,
    )
    return notification(
        to_email=person.email,
        to_name="",
        subject=subject,
        html=html,
        text=text,
        letter_id=uuid4().hex,
        sender=sender,
        now=now,
        refuse_url=refuse_url,
    )


def invite_pending(app: App, emails: Iterable[str], now: datetime) -> InvitedCount:
    """Mail each of these who waits and was never asked. Whoever is left is asked another time."""
    sent = 0
    for email in emails:
        with app.store.begin() as tx:
            person = subscribers.find(tx, email)
            if person is None or person.state is not SubscriberState.PENDING:
                continue
            if suppressions.reason_for(tx, email) or signups.pending_request(tx, email):
                continue
            if not signups.request(tx, email, person.rubric, now, most=IMPORTED_AN_HOUR):
                return InvitedCount(sent, "no more may be sent in this hour")
        rubric = app.rubrics.get(person.rubric)
        title = rubric.title if rubric else person.rubric
        mail = invitation(app.renderer, app.links, app.sender, person, title, now)
        try:
            app.mailer.send(mail)
        except SendError as error:
            if trouble := _after(app.store, email, error):
                return InvitedCount(sent, trouble)
            continue
        sent += 1
    return InvitedCount(sent)


def _after(store: Store, email: str, error: SendError) -> str:
    """Forget what was not sent; the trouble in words where the next mail would meet it too."""
    if error.verdict in (Verdict.UNKNOWN, Verdict.REFUSED):
        return ""
    with store.begin() as tx:
        signups.clear(tx, email)
    return str(error)
