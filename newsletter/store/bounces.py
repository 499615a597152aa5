"""Bounces end subscriptions: hard ones at once, soft ones after several in a row.

    hard bounce, complaint or unsubscribe --> the subscription ends, the address is suppressed

Soft bounces:

    active --five in a row over fourteen days--> bounced --a week later--> active, for one mail
    bounced --a mail arrived, or a try did not bounce--> active
    bounced --a month of tries--> bounced for good; the sign-up form lets them in again

All events of an address decide, by their own times (`domain/bounce_codes.py`), so their order of
arrival does not matter. Nobody is suppressed by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from newsletter.domain.addresses import canonical
from newsletter.domain.bounce_codes import SILENCE, Step, ended_at, in_a_row, next_step
from newsletter.domain.mail import DeliveryState, EventKind, SubscriberState
from newsletter.store import subscriptions, suppressions
from newsletter.store.suppressions import Reason
from newsletter.store.tables import delivery, event, subscriber, subscription, suppression

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select

    from newsletter.store.events import Event

ENDED = "soft bounces"
TRY = "one try after soft bounces"
GIVEN_UP = "soft bounces, and a month of tries"
BY_BOUNCES = (ENDED, TRY, GIVEN_UP)
PAGE = 500
ENDS = {
    EventKind.COMPLAINT: (SubscriberState.COMPLAINED, Reason.COMPLAINED),
    EventKind.UNSUBSCRIBE: (SubscriberState.UNSUBSCRIBED, Reason.UNSUBSCRIBED),
    EventKind.HARD_BOUNCE: (SubscriberState.BOUNCED, Reason.BOUNCED),
    EventKind.REPORTED_BOUNCE: (SubscriberState.BOUNCED, Reason.UNSUBSCRIBED),
}
"""The state and the reason of suppression that an event leads to."""


def apply_to_subscriber(tx: Connection, reported: Event, now: datetime) -> None:
    """Apply an event to the subscriber by address: late bounces carry no ids."""
    end = ENDS.get(reported.kind)
    subscriber_id = tx.scalar(
        select(subscriber.c.id).where(subscriber.c.email_key == canonical(reported.email))
    )
    if end:
        suppressions.suppress(tx, reported.email, end[1], "event", now)
    if subscriber_id is None:
        return
    if end:
        way = (
            f"{reported.kind}: {reported.reason}" if reported.reason else f"event: {reported.kind}"
        )
        subscriptions.end_all(tx, subscriber_id, end[0], way, now, reason=end[1])
    elif reported.kind is EventKind.SOFT_BOUNCE:
        apply_soft_bounce(tx, subscriber_id, now)
    elif reported.kind is EventKind.DELIVERED:
        apply_delivered(tx, subscriber_id, now)


def apply_soft_bounce(tx: Connection, subscriber_id: str, now: datetime) -> None:
    """Apply a soft bounce: the reader becomes `bounced` after enough in a row. A try goes on."""
    row = _bounces_in_a_row(tx, subscriber_id, now)
    this = update(subscriber).where(subscriber.c.id == subscriber_id)
    tx.execute(this.values(soft_bounces=len(row)))
    if ended_at(row):
        active = subscriber.c.state == SubscriberState.ACTIVE
        tx.execute(
            this.where(active, subscriber.c.state_reason != TRY).values(
                state=SubscriberState.BOUNCED, state_reason=ENDED, state_at=now
            )
        )


def apply_delivered(tx: Connection, subscriber_id: str, now: datetime) -> None:
    """Apply a delivered mail: it may end a series of bounces."""
    row = _bounces_in_a_row(tx, subscriber_id, now)
    this = update(subscriber).where(subscriber.c.id == subscriber_id)
    tx.execute(this.values(soft_bounces=len(row)))
    if ended_at(row) is None:
        _resume(tx, subscriber_id, now)


def start_try(tx: Connection, subscriber_ids: Sequence[str], now: datetime) -> None:
    """Record a try: no other mail is sent before its event, or for a week."""
    tx.execute(
        update(subscriber)
        .where(subscriber.c.id.in_(subscriber_ids), subscriber.c.state_reason == TRY)
        .values(state=SubscriberState.BOUNCED, state_reason=ENDED, state_at=now)
    )


def review_page(tx: Connection, now: datetime, after: str) -> str:
    """Take the next step for a page of paused readers. Returns the last id, empty at the end."""
    query = select(subscriber.c.id, subscriber.c.state_at).where(
        subscriber.c.state == SubscriberState.BOUNCED,
        subscriber.c.state_reason == ENDED,
        subscriber.c.email_hash.not_in(_suppressed()),
        subscriber.c.id > after,
    )
    found = tx.execute(query.order_by(subscriber.c.id).limit(PAGE)).all()
    for subscriber_id, last_try in found:
        _take_step(tx, subscriber_id, last_try, now)
    return found[-1].id if len(found) == PAGE else ""


def _take_step(tx: Connection, subscriber_id: str, last_try: datetime, now: datetime) -> None:
    bounced, arrived = _bounces_and_arrivals(tx, subscriber_id, now)
    last = max(arrived, default=None)
    step = next_step(in_a_row(bounced, arrived), last_try, now, last)
    # They may have left meanwhile, or another process has taken the step.
    this = update(subscriber).where(
        subscriber.c.id == subscriber_id,
        subscriber.c.state == SubscriberState.BOUNCED,
        subscriber.c.state_reason == ENDED,
        subscriber.c.state_at == last_try,
    )
    if step is Step.RESUME:
        _resume(tx, subscriber_id, now)
    elif step is Step.TRY:
        tx.execute(this.values(state=SubscriberState.ACTIVE, state_reason=TRY, state_at=now))
    elif step is Step.GIVE_UP:
        tx.execute(this.values(state_reason=GIVEN_UP, state_at=now))


def _resume(tx: Connection, subscriber_id: str, now: datetime) -> None:
    tx.execute(
        update(subscriber)
        .where(
            subscriber.c.id == subscriber_id,
            subscriber.c.state_reason.in_(BY_BOUNCES),
            subscriber.c.state.in_([SubscriberState.BOUNCED, SubscriberState.ACTIVE]),
            subscriber.c.email_hash.not_in(_suppressed()),
        )
        .values(state=SubscriberState.ACTIVE, state_reason=ENDED, state_at=now)
    )


def _bounces_in_a_row(tx: Connection, subscriber_id: str, now: datetime) -> list[datetime]:
    """When their mails bounced, one time for each mail, since the last that arrived."""
    return in_a_row(*_bounces_and_arrivals(tx, subscriber_id, now))


def _bounces_and_arrivals(
    tx: Connection, subscriber_id: str, now: datetime
) -> tuple[list[datetime], list[datetime]]:
    """When their mails bounced, one time for each mail; and when one arrived."""
    found = select(subscriber.c.email_hash, *_ASKED).where(subscriber.c.id == subscriber_id)
    email_hash, state, reason, since = tx.execute(found).one()
    events = select(event.c.kind, event.c.delivery_id, event.c.at).where(
        event.c.email_hash == email_hash,
        event.c.kind.in_([EventKind.SOFT_BOUNCE, EventKind.DELIVERED]),
    )
    bounced: dict[str | datetime, datetime] = {}
    arrived = _presumed_arrived(tx, subscriber_id, now)
    # They confirmed by a link in a mail, so that mail arrived.
    if state == SubscriberState.ACTIVE and reason not in ("", *BY_BOUNCES):
        arrived.append(since)
    arrived += tx.scalars(_SUBSCRIBED.where(subscription.c.subscriber_id == subscriber_id))
    for kind, delivery_id, at in tx.execute(events):
        if kind == EventKind.DELIVERED:
            arrived.append(at)
        else:
            bounced[delivery_id or at] = min(at, bounced.get(delivery_id, at))
    return list(bounced.values()), arrived


_ASKED = (subscriber.c.state, subscriber.c.state_reason, subscriber.c.state_at)
_SUBSCRIBED = select(subscription.c.state_at).where(
    subscription.c.state == SubscriberState.ACTIVE, subscription.c.state_reason != ""
)


def _presumed_arrived(tx: Connection, subscriber_id: str, now: datetime) -> list[datetime]:
    """When the last mail was accepted that has no event for long: SMTP never reports a delivery."""
    query = (
        select(delivery.c.changed_at)
        .where(
            delivery.c.subscriber_id == subscriber_id,
            delivery.c.state == DeliveryState.ACCEPTED,
            delivery.c.fate == "",
            delivery.c.mailer != "outbox",  # What lies in a file did not arrive.
            delivery.c.changed_at <= now - SILENCE,
        )
        .order_by(delivery.c.changed_at.desc())
        .limit(1)
    )
    return list(tx.scalars(query))


def _suppressed() -> Select[tuple[str]]:
    return select(suppression.c.email_hash)
