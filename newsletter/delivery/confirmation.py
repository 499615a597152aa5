"""Confirmation mail (double opt-in): a subscription starts only when its link is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from newsletter.delivery.message import notification
from newsletter.domain.mail import SubscriberState
from newsletter.mailers import SendError, SendFailure, connections_kept
from newsletter.store import signups, subscriptions, suppressions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from newsletter.domain.links import Links
    from newsletter.domain.mail import Email, Sender, Subscription
    from newsletter.domain.model import Rubric
    from newsletter.mailers import Mailer
    from newsletter.render import Renderer
    from newsletter.store import Store

IMPORTED_AN_HOUR = signups.MAILS_AN_HOUR // 2
"""Half of the hourly limit: an import must leave the rest to the sign-up form."""


class SentConfirmations(NamedTuple):
    """How many were mailed, and why it stopped early; empty if it did not."""

    sent: int = 0
    problem: str = ""


def confirmation_mail(
    renderer: Renderer,
    links: Links,
    sender: Sender,
    person: Subscription,
    titles: Sequence[str],
    now: datetime,
    *,
    read: Sequence[str] = (),
) -> Email:
    """The mail with the confirmation link of a subscription.

    `titles` are of the rubrics that it adds, `read` of those that the address reads already.
    """
    refuse_url = links.refuse_url(person.id)
    subject, html, text = renderer.mail(
        "confirm",
        rubrics=tuple(titles),
        read=tuple(title for title in read if title not in titles),
        again=any(title in titles for title in read),
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
        mail_id=uuid4().hex,
        sender=sender,
        now=now,
        refuse_url=refuse_url,
    )


def confirmation_builder(
    rubrics: Mapping[str, Rubric], renderer: Renderer, links: Links, sender: Sender, now: datetime
) -> Callable[[Sequence[Subscription]], Email]:
    """Builds the confirmation mail of a subscriber's pending subscriptions."""

    def build(pending: Sequence[Subscription]) -> Email:
        titles = [
            rubrics[one.rubric].title if one.rubric in rubrics else one.rubric for one in pending
        ]
        return confirmation_mail(renderer, links, sender, pending[0], titles, now)

    return build


def send_confirmations(
    store: Store,
    mailer: Mailer,
    emails: Iterable[str],
    build: Callable[[Sequence[Subscription]], Email],
    now: datetime,
) -> SentConfirmations:
    """Mail the pending subscribers among `emails` who were never asked. Repeat for the rest.

    Each gets one mail for all rubrics that wait; `build` makes it.
    """
    with connections_kept(mailer):
        return _send_confirmations(store, mailer, emails, build, now)


def _send_confirmations(
    store: Store,
    mailer: Mailer,
    emails: Iterable[str],
    build: Callable[[Sequence[Subscription]], Email],
    now: datetime,
) -> SentConfirmations:
    sent = 0
    for email in emails:
        with store.begin() as tx:
            found = subscriptions.of_address(tx, email)
            pending = [one for one in found if one.state is SubscriberState.PENDING]
            if not pending or suppressions.reason_for(tx, email):
                continue
            if signups.pending_request(tx, email):
                continue
            if signups.is_full(tx, now, IMPORTED_AN_HOUR):
                return SentConfirmations(sent, "the hourly limit is reached in this hour")
            if not signups.request(tx, email, pending[0].rubric, now, limit=IMPORTED_AN_HOUR):
                continue
        try:
            mailer.send(build(pending))
        except SendError as error:
            if problem := _undo(store, email, error):
                return SentConfirmations(sent, problem)
            continue
        sent += 1
    return SentConfirmations(sent)


def _undo(store: Store, email: str, error: SendError) -> str:
    """Undo the record of an unsent mail; the error if the next mail would fail the same way."""
    if error.failure in (SendFailure.UNKNOWN, SendFailure.REFUSED):
        return ""
    with store.begin() as tx:
        signups.clear(tx, email)
    return str(error)
