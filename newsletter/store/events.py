"""Provider events (delivered, bounce, complaint, unsubscribe) and their effects.

    mail        unknown or sending --any event of it--> accepted
    subscriber  any --complaint--> complained     any --unsubscribe--> unsubscribed
                any --hard bounce--> bounced, suppressed
                active --soft bounces in a row (bounces.py)--> bounced, not suppressed

Each transition is final, or computed from all events of an address in the order of their own times.
So neither the order of arrival nor repetition changes the result. Bounce mails (DSN) are stored as
events too. `bounces.py` decides which events end a subscription.
Departures and returns are listed for the sync with the provider's suppression lists.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import and_, delete, func, select, update

from newsletter.domain.addresses import canonical, fingerprint
from newsletter.domain.alerts import MIN_COMPLAINTS
from newsletter.domain.mail import DeliveryState, EventKind, SubscriberState
from newsletter.domain.paging import paged
from newsletter.store import bounces, mail_batches
from newsletter.store.bounces import BY_BOUNCES
from newsletter.store.tables import delivery, digest, event, subscriber, subscription
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

DEPARTURES_PAGE = 1000


def departed_addresses(tx: Connection, after: str = "") -> list[str]:
    """A page of the addresses that unsubscribed or complained and are not erased, `after` one.

    A reader who left one rubric and reads another is not among them.
    """
    mine = select(subscription.c.id).where(subscription.c.subscriber_id == subscriber.c.id)
    reads = mine.where(subscription.c.state != SubscriberState.UNSUBSCRIBED.value).exists()
    query = select(subscriber.c.email).where(
        (subscriber.c.state == SubscriberState.COMPLAINED.value) | ~reads,
        subscriber.c.email != "",
        subscriber.c.email_key > (canonical(after) if after else ""),
    )
    return list(tx.scalars(query.order_by(subscriber.c.email_key).limit(DEPARTURES_PAGE)))


def returning_addresses(tx: Connection, since: datetime) -> list[str]:
    """Addresses whose readers asked for mail again after `since`."""
    query = select(subscriber.c.email).where(_asked_after(since))
    return list(tx.scalars(query.order_by(subscriber.c.email_key)))


def has_returned(tx: Connection, email: str, since: datetime) -> bool:
    """Whether the reader of an address asked for mail after `since`."""
    query = select(subscriber.c.id).where(
        subscriber.c.email_key == canonical(email), _asked_after(since)
    )
    return tx.scalar(query) is not None


def has_bounced(tx: Connection, email: str, at: datetime, within: timedelta) -> bool:
    """Whether a bounce of this address is stored around that time."""
    number = select(func.count()).where(
        event.c.email_hash == fingerprint(email),
        event.c.kind.in_(BOUNCES),
        event.c.at.between(at - within, at + within),
    )
    return bool(tx.scalar(number))


def _asked_after(since: datetime) -> ColumnElement[bool]:
    """Active by a step of their own: neither by an import nor because bounces ended."""
    mine = select(subscription.c.id).where(
        subscription.c.subscriber_id == subscriber.c.id,
        subscription.c.state == SubscriberState.ACTIVE.value,
    )
    woke = (subscriber.c.state_at > since) & subscriber.c.state_reason.not_in(["", *BY_BOUNCES])
    joined = (subscription.c.state_at > since) & (subscription.c.state_reason != "")
    return and_(
        subscriber.c.state == SubscriberState.ACTIVE,
        (woke & mine.exists()) | mine.where(joined).exists(),
    )


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a mail. Late events have no ids and are matched by their address."""

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
EVENTS_PER_TRANSACTION = 200
"""A post has thousands of events; short transactions let others write in between."""
BOUNCES = (EventKind.SOFT_BOUNCE, EventKind.REPORTED_BOUNCE, EventKind.HARD_BOUNCE)
# By severity: a mail's `fate` is its most severe event.
SEVERITY = tuple(EventKind)


def apply(tx: Connection, events: Iterable[Event], now: datetime) -> int:
    """Store new events and apply their effects, once for each delivery, batch and address.

    Returns how many events were new. Rows are updated in the same order as elsewhere, so that no
    two transactions deadlock.
    """
    fresh = [one for one in events if _keep(tx, one, now)]
    for delivery_id in sorted({one.delivery_id for one in fresh if one.delivery_id}):
        _update_delivery(tx, delivery_id, now)
    for one in {(one.delivery_id, one.smtp_id): one for one in fresh if one.delivery_id}.values():
        _set_message_id(tx, one)
    for group_id in dict.fromkeys(one.group_id for one in fresh if one.group_id):
        mail_batches.accept_by_event(tx, group_id, now)
    about = {(canonical(one.email), one.kind): one for one in fresh}
    for _, one in sorted(about.items(), key=lambda item: item[0][0]):
        bounces.apply_to_subscriber(tx, one, now)
    return len(fresh)


def pages(events: Iterable[Event]) -> Iterator[list[Event]]:
    """`events` in pages of one transaction each, grouped by address."""
    ordered = sorted(events, key=lambda one: (canonical(one.email), one.delivery_id, one.at))
    return paged(ordered, EVENTS_PER_TRANSACTION)


class MailedDelivery(NamedTuple):
    id: str
    subscription_id: str


def delivery_by_message_id(tx: Connection, message_id: str) -> MailedDelivery | None:
    """The delivery of the mail with this Message-ID: ours, or the one that SendGrid gave it."""
    columns = select(delivery.c.id, delivery.c.subscription_id)
    of_batch = delivery.c.message_id == message_id
    own = delivery.c.id == message_id.partition("@")[0]
    for condition in (of_batch, own):
        if row := tx.execute(columns.where(condition)).first():
            return MailedDelivery(*row)
    return None


def complaints(tx: Connection, since: datetime) -> tuple[int, int]:
    """Count complaining readers since then, and accepted mails of digests made since then.

    Each reader counts once: one who reports all their old mails must not stop everybody's mail.
    The mails are counted only where needed: there may be millions.
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
    """Delete a page of old events of a kind that no decision needs. True where more may be left."""
    old = select(event.c.id).where(
        event.c.kind == kind, event.c.at < now - KEPT, event.c.received_at < now - KEPT
    )
    return tx.execute(delete(event).where(event.c.id.in_(old.limit(PAGE)))).rowcount == PAGE


def identity(told: Event) -> str:
    """Hash of the event's content: a repeated event has the same id."""
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
    """Any event of a mail proves that it was accepted; the most severe is its `fate`."""
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
    """Store SendGrid's Message-ID of a batched mail: replies refer to it."""
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


def recipient(tx: Connection, delivery_id: str) -> str:
    """The recipient of a delivery; empty where it is unknown or deleted."""
    if not delivery_id:
        return ""
    return tx.scalar(select(delivery.c.email).where(delivery.c.id == delivery_id)) or ""


def apply_once(tx: Connection, news: Event, now: datetime, same: timedelta) -> bool:
    """Apply a report once, though it comes twice, or by the webhook as well.

    A report without a delivery id is a repetition of any bounce of its address within `same`.
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
