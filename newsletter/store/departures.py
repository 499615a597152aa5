"""Who left and who came back, for those who keep lists of their own about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, func, select

from newsletter.addresses import canonical, fingerprint
from newsletter.people import SubscriberState
from newsletter.store.events import BOUNCES
from newsletter.store.soft_bounces import BY_BOUNCES
from newsletter.store.tables import event, subscriber

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Connection

PAGE = 1000
GONE = (SubscriberState.UNSUBSCRIBED, SubscriberState.COMPLAINED)


def gone(tx: Connection, after: str = "") -> list[str]:
    """Addresses of those who left, or complained, and are not erased: the next page `after` one."""
    query = select(subscriber.c.email).where(
        subscriber.c.state.in_(GONE),
        subscriber.c.email != "",
        subscriber.c.email_key > (canonical(after) if after else ""),
    )
    return list(tx.scalars(query.order_by(subscriber.c.email_key).limit(PAGE)))


def returned(tx: Connection, since: datetime) -> list[str]:
    """The addresses of those who asked for mail after `since`."""
    query = select(subscriber.c.email).where(_asked_after(since))
    return list(tx.scalars(query.order_by(subscriber.c.email_key)))


def came_back(tx: Connection, email: str, since: datetime) -> bool:
    """Whether the reader of an address asked for mail after `since`."""
    query = select(subscriber.c.id).where(
        subscriber.c.email_key == canonical(email), _asked_after(since)
    )
    return tx.scalar(query) is not None


def has_bounced(tx: Connection, email: str, at: datetime, within: timedelta) -> bool:
    """Whether we were told of a bounce of this address around that time."""
    number = select(func.count()).where(
        event.c.email_hash == fingerprint(email),
        event.c.kind.in_(BOUNCES),
        event.c.at.between(at - within, at + within),
    )
    return bool(tx.scalar(number))


def _asked_after(since: datetime) -> ColumnElement[bool]:
    """Active by a step of their own: neither by an import nor because bounces ended."""
    return and_(
        subscriber.c.state == SubscriberState.ACTIVE,
        subscriber.c.state_at > since,
        subscriber.c.state_reason.not_in(["", *BY_BOUNCES]),
    )
