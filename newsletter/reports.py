"""Reports of mail servers that come by mail: they count as the provider's events do, once each."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter import returned
from newsletter.links import TEST_READER
from newsletter.replies import Kind
from newsletter.store import returns, subscribers
from newsletter.store.events import Event, EventKind
from newsletter.store.inbound import State

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.links import Links
    from newsletter.returned import Returned
    from newsletter.store.inbound import Letter

SAME_REPORT = timedelta(hours=1)
"""Two reports without an id, this near to each other, are taken for one."""


def take(tx: Connection, links: Links, found: Letter, kind: Kind, now: datetime) -> State:
    """Take a delivery or feedback report as news of the mail that it is about.

    Anybody can write one: without a proof it never suppresses anybody, and a complaint of an
    address is left to a person.
    """
    told, complaint = returned.read(found.raw), kind is Kind.COMPLAINT
    proven = returns.recipient(tx, told.delivery_id)
    delivery_id = told.delivery_id if proven else ""
    token = links.read_address(told.token_address or found.envelope_to)
    if not proven and token and (person := subscribers.get(tx, token[1])):
        proven = person.email
    news = EventKind.COMPLAINT if complaint else _bounce(told, proven=bool(proven))
    reader = subscribers.find(tx, told.recipient) if told.recipient and not proven else None
    email = proven or (reader.email if reader and not complaint else "")
    if email and news:
        event = Event(news, email, found.received_at, delivery_id, reason=told.status)
        returns.tell(tx, event, now, SAME_REPORT)
    test = token is not None and token[1] == TEST_READER
    return State.LETTER if complaint and not (email or test) else State.DONE


def _bounce(told: Returned, *, proven: bool) -> EventKind | None:
    """As webhooks judge it; by hearsay no bounce is hard, or anybody could end a subscription."""
    if told.action == "failed":
        gone = proven and returned.says_gone(told.status)
        return EventKind.HARD_BOUNCE if gone else EventKind.SOFT_BOUNCE
    if told.action == "delayed":
        return EventKind.DEFERRED
    return EventKind.PROCESSED if told.action and proven else None
