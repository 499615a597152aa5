"""Which subscription a reply is about, and whether its author may speak for it.

A token in the recipient address proves whose subscription a mail is about, whatever its From
says: readers have aliases and forward their mail. Without a token, the From address must be
aligned with DKIM or SPF.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.mail import SubscriberState
from newsletter.store import events, subscriptions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from newsletter.domain.mail import Subscription
    from newsletter.inbound.mime import ParsedMail
    from newsletter.store.events import MailedDelivery

ADDRESS = re.compile(r"[^\s<>@\",;]+@([^\s<>@\",;]+)")
MESSAGE_ID = re.compile(r"<([^<>\s]{3,200})>")
MAX_REFERENCES = 20


class IdentifiedReader(NamedTuple):
    subscription: Subscription
    verified: bool
    """Whether the reader wrote it. Else nothing is changed."""
    certain: bool = True
    """Whether it is about this subscription, and not another one of the reader."""
    delivery_id: str | None = None
    """The mail that was replied to, if it was one of this subscription."""


def identify(
    tx: Connection, mail: ParsedMail, subscription_id: str | None, *, aligned: bool
) -> IdentifiedReader | None:
    """The reader that a mail is about; `subscription_id` is that of its token, if it has one.

    Mail sent in batches has no token. The Message-ID it replies to tells the subscription, but
    people to whom it was forwarded can reply as well: the author must be the subscriber, and
    aligned.
    """
    replied_to = _replied_to(tx, mail)
    if subscription_id:
        known = subscriptions.by_id(tx, subscription_id)
        mine = replied_to is not None and replied_to.subscription_id == subscription_id
        delivery_id = replied_to.id if replied_to and mine else None
        return IdentifiedReader(known, verified=True, delivery_id=delivery_id) if known else None
    author = _author(tx, mail)
    known = subscriptions.by_id(tx, replied_to.subscription_id) if replied_to else None
    if replied_to and known:
        wrote_it = author is not None and author.subscriber_id == known.subscriber_id
        return IdentifiedReader(known, wrote_it and aligned, delivery_id=replied_to.id)
    if author is None:
        return None
    return IdentifiedReader(author, aligned, certain=_reads_one(tx, author))


def _reads_one(tx: Connection, author: Subscription) -> bool:
    found = subscriptions.of_subscriber(tx, author.subscriber_id)
    left = SubscriberState.UNSUBSCRIBED
    return sum(one.state is not left for one in found) <= 1


def _replied_to(tx: Connection, mail: ParsedMail) -> MailedDelivery | None:
    named = f"{mail.header('in-reply-to')} {mail.header('references')}"
    for message_id in MESSAGE_ID.findall(named)[:MAX_REFERENCES]:
        if delivery := events.delivery_by_message_id(tx, message_id):
            return delivery
    return None


def _author(tx: Connection, mail: ParsedMail) -> Subscription | None:
    address = ADDRESS.search(mail.header("from"))
    return subscriptions.find(tx, address[0]) if address else None
