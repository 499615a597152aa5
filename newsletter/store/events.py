"""Who left and who came back, for those who keep lists of their own about it.

What is known of mails after they were accepted, and what follows from it.

    mail        unknown or sending --any event of it--> accepted
    subscriber  any --complaint--> complained     any --unsubscribe--> unsubscribed
                any --hard bounce--> bounced, suppressed
                active --soft bounces in a row (soft_bounces.py)--> bounced, not suppressed

Each step is either final or counted anew from all events of an address in the order of their own
times: so neither their order of arrival nor repetition changes where it ends.

Mail that came back is news of a delivery, as the provider's events are: the same edges.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, func, select, update

from newsletter.domain.addresses import canonical, fingerprint
from newsletter.domain.alerts import MIN_COMPLAINTS
from newsletter.domain.mail import DeliveryState, EventKind, SubscriberState
from newsletter.store import mail_batches, soft_bounces, subscribers, suppressions
from newsletter.store.soft_bounces import BY_BOUNCES
from newsletter.store.suppressions import Reason
from newsletter.store.tables import delivery, digest, event, subscriber
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

DEPARTURES_PAGE = 1000
GONE = (SubscriberState.UNSUBSCRIBED, SubscriberState.COMPLAINED)


def departed_addresses(tx: Connection, after: str = "") -> list[str]:
    """Addresses of those who left, or complained, and are not erased: the next page `after` one."""
    query = select(subscriber.c.email).where(
        subscriber.c.state.in_(GONE),
        subscriber.c.email != "",
        subscriber.c.email_key > (canonical(after) if after else ""),
    )
    return list(tx.scalars(query.order_by(subscriber.c.email_key).limit(DEPARTURES_PAGE)))


def returning_addresses(tx: Connection, since: datetime) -> list[str]:
    """The addresses of those who asked for mail after `since`."""
    query = select(subscriber.c.email).where(_asked_after(since))
    return list(tx.scalars(query.order_by(subscriber.c.email_key)))


def has_returned(tx: Connection, email: str, since: datetime) -> bool:
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


@dataclass(frozen=True, slots=True)
class Event:
    """One piece of news of a mail. Late ones bear no ids: then only the address tells whose."""

    kind: EventKind
    email: str
    at: datetime
    delivery_id: str = ""
    message_id: str = ""
    reason: str = ""
    group_id: str = ""
    smtp_id: str = ""
    """The mail's own Message-ID, without its brackets."""


KEPT = timedelta(days=90)
PAGE = 5000
"""Rows that one transaction deletes: there are two or three events of each mail."""
TOLD = 200
"""Events that one transaction takes: a post brings thousands, and others wait to write."""
ENDS = {
    EventKind.COMPLAINT: (SubscriberState.COMPLAINED, Reason.COMPLAINED),
    EventKind.UNSUBSCRIBE: (SubscriberState.UNSUBSCRIBED, Reason.UNSUBSCRIBED),
    EventKind.HARD_BOUNCE: (SubscriberState.BOUNCED, Reason.BOUNCED),
    EventKind.REPORTED_BOUNCE: (SubscriberState.BOUNCED, Reason.UNSUBSCRIBED),
}
"""What ends a reader, and why the address is not mailed: what its owner can take back."""
BOUNCES = (EventKind.SOFT_BOUNCE, EventKind.REPORTED_BOUNCE, EventKind.HARD_BOUNCE)
# In rising gravity: the fate of a mail is the gravest news of it.
SEVERITY = tuple(EventKind)


def apply(tx: Connection, told: Iterable[Event], now: datetime) -> int:
    """Keep what is new and draw the consequences, once for each delivery, group and address.

    Returns how many events were new. Rows are changed in an order that others keep to as well, so
    that no two wait for each other.
    """
    fresh = [one for one in told if _keep(tx, one, now)]
    for delivery_id in sorted({one.delivery_id for one in fresh if one.delivery_id}):
        _update_delivery(tx, delivery_id, now)
    for one in {(one.delivery_id, one.smtp_id): one for one in fresh if one.delivery_id}.values():
        _set_message_id(tx, one)
    for group_id in dict.fromkeys(one.group_id for one in fresh if one.group_id):
        mail_batches.accept_by_event(tx, group_id, now)
    about = {(canonical(one.email), one.kind): one for one in fresh}
    for _, one in sorted(about.items(), key=lambda item: item[0][0]):
        _update_subscriber(tx, one, now)
    return len(fresh)


def pages(told: Iterable[Event]) -> Iterator[list[Event]]:
    """`told` in pages of one transaction each; what is about one address stands together."""
    ordered = sorted(told, key=lambda one: (canonical(one.email), one.delivery_id, one.at))
    for start in range(0, len(ordered), TOLD):
        yield ordered[start : start + TOLD]


def subscriber_by_message_id(tx: Connection, message_id: str) -> str | None:
    """Whose mail it is that left in a group and that SendGrid gave this Message-ID."""
    return tx.scalar(select(delivery.c.subscriber_id).where(delivery.c.message_id == message_id))


def complaints(tx: Connection, since: datetime) -> tuple[int, int]:
    """Who complained since then, and mails accepted of the digests made since then.

    Each counts once: one who reports all his old mails must not stop everybody else's.
    The mails are counted only where it matters: there are millions of them.
    """
    complained = tx.scalar(
        select(func.count(event.c.email_hash.distinct())).where(
            event.c.kind == EventKind.COMPLAINT, event.c.at >= since
        )
    )
    if not complained or complained < MIN_COMPLAINTS:
        return complained or 0, 0
    made = select(digest.c.id).where(digest.c.at >= since)
    accepted = tx.scalar(
        select(func.count()).where(
            delivery.c.state == DeliveryState.ACCEPTED, delivery.c.digest_id.in_(made)
        )
    )
    return complained, accepted or 0


def delete_old_page(tx: Connection, kind: EventKind, now: datetime) -> bool:
    """Drop a page of the events of a kind that no decision looks at any more; whether more may be
    left.
    """
    old = select(event.c.id).where(
        event.c.kind == kind, event.c.at < now - KEPT, event.c.received_at < now - KEPT
    )
    return tx.execute(delete(event).where(event.c.id.in_(old.limit(PAGE)))).rowcount == PAGE


def identity(told: Event) -> str:
    """The same news has the same identity, whatever id the provider gives it this time."""
    parts = (
        told.kind.value,
        canonical(told.email),
        str(int(told.at.timestamp())),
        told.message_id,
        told.delivery_id,
        told.reason,
    )
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()


def _keep(tx: Connection, told: Event, now: datetime) -> bool:
    row = {
        "id": identity(told),
        "kind": told.kind,
        "email_hash": fingerprint(told.email),
        "delivery_id": told.delivery_id,
        "reason": told.reason.encode(errors="replace").decode(),
        "at": told.at,
        "received_at": now,
    }
    added = insert(tx, event).values(row).on_conflict_do_nothing().returning(event.c.id)
    return tx.scalar(added) is not None


def _update_delivery(tx: Connection, delivery_id: str, now: datetime) -> None:
    """Any event of a mail proves that it was taken; the gravest is its fate."""
    kinds = tx.scalars(
        select(event.c.kind).where(event.c.delivery_id == delivery_id).distinct()
    ).all()
    fate = max((EventKind(kind) for kind in kinds), key=SEVERITY.index)
    tx.execute(update(delivery).where(delivery.c.id == delivery_id).values(fate=fate))
    tx.execute(
        update(delivery)
        .where(
            delivery.c.id == delivery_id,
            delivery.c.state.in_([DeliveryState.UNKNOWN, DeliveryState.SENDING]),
        )
        .values(state=DeliveryState.ACCEPTED, reason="proven by an event", changed_at=now)
    )


def _set_message_id(tx: Connection, told: Event) -> None:
    """A mail of a group has no name of ours: replies name it as SendGrid did."""
    if told.smtp_id:
        tx.execute(
            update(delivery)
            .where(
                delivery.c.id == told.delivery_id,
                delivery.c.group_id.is_not(None),
                delivery.c.message_id.is_(None),
            )
            .values(message_id=told.smtp_id)
        )


def _update_subscriber(tx: Connection, told: Event, now: datetime) -> None:
    """Late bounces bear no ids: the address is what always can be matched."""
    end = ENDS.get(told.kind)
    subscriber_id = tx.scalar(
        select(subscriber.c.id).where(subscriber.c.email_key == canonical(told.email))
    )
    if end:
        suppressions.suppress(tx, told.email, end[1], "event", now)
    if subscriber_id is None:
        return
    if end:
        way = f"{told.kind}: {told.reason}" if told.reason else f"event: {told.kind}"
        subscribers.end_subscription(tx, subscriber_id, end[0], way, now, reason=end[1])
    elif told.kind is EventKind.SOFT_BOUNCE:
        soft_bounces.apply_soft_bounce(tx, subscriber_id, now)
    elif told.kind is EventKind.DELIVERED:
        soft_bounces.apply_delivered(tx, subscriber_id, now)


def recipient(tx: Connection, delivery_id: str) -> str:
    """To whom a mail of ours went; empty where there is none of that id, or it is forgotten."""
    if not delivery_id:
        return ""
    return tx.scalar(select(delivery.c.email).where(delivery.c.id == delivery_id)) or ""


def apply_once(tx: Connection, news: Event, now: datetime, same: timedelta) -> bool:
    """Draw the consequences once, though a report comes twice, or by the webhook as well.

    News without a delivery is the same as what was told of that address within `same`.
    """
    if news.delivery_id:
        known = select(func.count()).where(
            event.c.delivery_id == news.delivery_id, event.c.kind == news.kind
        )
        told = bool(tx.scalar(known))
    elif news.kind not in BOUNCES:
        told = False
    else:
        told = has_bounced(tx, news.email, news.at, same)
    return not told and apply(tx, [news], now) == 1
