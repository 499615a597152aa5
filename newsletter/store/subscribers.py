"""Subscribers: one row for each address, however it is spelled; what stops all their mail."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import case, delete, func, select, update

from newsletter.domain.mail import EventKind, SubscriberState, state_of
from newsletter.store import inbound, reader_rubrics, suppressions, votes
from newsletter.store.operator import actions
from newsletter.store.suppressions import Reason
from newsletter.store.tables import (
    delivery,
    event,
    paper_lookup,
    rubric_mail,
    subscriber,
    subscription,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection
    from sqlalchemy.sql.selectable import Exists

PAUSE_OVER = "the pause is over"


class SubscriberChange(StrEnum):
    """What an import or a form did with one address."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SUPPRESSED = "suppressed"
    """It left, bounced or complained: nothing was stored, and nothing will be sent."""


def bounced_because(tx: Connection) -> dict[str, str]:
    """By subscriber id, the mail server's last answer about the readers who bounced."""
    said = (
        select(event.c.reason)
        .where(event.c.email_hash == subscriber.c.email_hash)
        .where(event.c.kind == EventKind.SOFT_BOUNCE)
        .order_by(event.c.at.desc())
        .limit(1)
        .scalar_subquery()
    )
    bounced = subscriber.c.state == SubscriberState.BOUNCED
    query = select(subscriber.c.id, subscriber.c.state_reason, said.label("said")).where(bounced)
    return {
        row.id: f"{row.state_reason}: {row.said}"
        if row.said and row.state_reason.startswith("soft")
        else row.state_reason
        for row in tx.execute(query)
    }


def count_states(tx: Connection) -> dict[SubscriberState, int]:
    """Subscribers by state: of several subscriptions the best state counts."""
    ranks = (SubscriberState.UNSUBSCRIBED, SubscriberState.PENDING, SubscriberState.ACTIVE)
    rank = case(
        {state.value: number for number, state in enumerate(ranks)}, value=subscription.c.state
    )
    best = select(subscription.c.subscriber_id, func.max(rank).label("best")).group_by(
        subscription.c.subscriber_id
    )
    of_each = best.subquery()
    query = (
        select(subscriber.c.state, of_each.c.best, func.count())
        .join_from(subscriber, of_each, of_each.c.subscriber_id == subscriber.c.id)
        .where(subscriber.c.email != "")
        .group_by(subscriber.c.state, of_each.c.best)
    )
    found: dict[SubscriberState, int] = {}
    for stored, number, readers in tx.execute(query):
        state = state_of(ranks[number], stored)
        found[state] = found.get(state, 0) + readers
    return found


def pause(tx: Connection, subscriber_id: str, way: str, now: datetime) -> bool:
    """Pause all mail. False where there is none, or it is paused."""
    return _move(tx, subscriber_id, SubscriberState.ACTIVE, SubscriberState.PAUSED, way, now)


def pause_until(
    tx: Connection, subscriber_id: str, until: datetime | None, way: str, now: datetime
) -> bool:
    """Pause all mail to a subscriber until then; None: until they resume. Replaces another pause.

    False for a subscriber who is neither active nor paused, or who left all rubrics.
    """
    pausable = (SubscriberState.ACTIVE.value, SubscriberState.PAUSED.value)
    done = tx.execute(
        update(subscriber)
        .where(subscriber.c.id == subscriber_id, subscriber.c.state.in_(pausable), _reads())
        .values(
            state=SubscriberState.PAUSED.value,
            state_reason=way,
            state_at=now,
            paused_until=until,
        )
    )
    return done.rowcount == 1


def paused_until(tx: Connection, subscriber_id: str) -> datetime | None:
    """When the pause of a subscriber ends; None if they are not paused, or it has no end."""
    query = select(subscriber.c.paused_until).where(
        subscriber.c.id == subscriber_id, subscriber.c.state == SubscriberState.PAUSED.value
    )
    until: datetime | None = tx.scalar(query)
    return until


def end_pauses(tx: Connection, now: datetime) -> int:
    """End the pauses whose time is over; return how many."""
    paused = subscriber.c.state == SubscriberState.PAUSED.value
    done = tx.execute(
        update(subscriber)
        .where(paused, subscriber.c.paused_until <= now)
        .values(
            state=SubscriberState.ACTIVE.value,
            state_reason=PAUSE_OVER,
            state_at=now,
            paused_until=None,
        )
    )
    return done.rowcount


def resume(tx: Connection, subscriber_id: str, way: str, now: datetime) -> bool:
    """False where the subscriber is not paused."""
    return _move(tx, subscriber_id, SubscriberState.PAUSED, SubscriberState.ACTIVE, way, now)


def reactivate(tx: Connection, subscriber_id: str, way: str, now: datetime) -> None:
    """The subscriber asked for mail: neither a pause nor bounces stop it any longer."""
    stopped = (SubscriberState.PAUSED.value, SubscriberState.BOUNCED.value)
    tx.execute(
        update(subscriber)
        .where(subscriber.c.id == subscriber_id, subscriber.c.state.in_(stopped))
        .values(state=SubscriberState.ACTIVE.value, state_reason=way, state_at=now)
    )


def end(tx: Connection, subscriber_id: str, end: SubscriberState, way: str, now: datetime) -> bool:
    """The subscriber bounced or complained. False where that is known."""
    known = (end.value, SubscriberState.COMPLAINED.value)
    done = tx.execute(
        update(subscriber)
        .where(subscriber.c.id == subscriber_id, subscriber.c.state.not_in(known))
        .values(state=end.value, state_reason=way, state_at=now)
    )
    return done.rowcount == 1


def erase(tx: Connection, subscriber_id: str, now: datetime) -> bool:
    """Erase a person: only the hashes that prevent further mail stay.

    The address stays in the erasure queue until the provider has erased it (`suppressions.py`).
    """
    mine = subscriber.c.id == subscriber_id
    email = tx.scalar(select(subscriber.c.email).where(mine))
    if not email:
        return False
    suppressions.queue_erasure(tx, email, now)
    inbound.forget(tx, subscriber_id, email)
    actions.blank(tx, subscriber_id)
    suppressions.suppress(tx, email, Reason.ERASED, "erasure", now)
    columns = subscription.c.id, subscription.c.rubric
    read = select(*columns).where(subscription.c.subscriber_id == subscriber_id)
    for subscription_id, rubric in tx.execute(read).all():
        suppressions.suppress_rubric(tx, email, rubric, "erasure", now)
        votes.erase(tx, subscription_id)
    reader_rubrics.erase(tx, subscriber_id)
    blank = {"email": "", "email_key": f"erased {subscriber_id}", "email_hash": "", "name": ""}
    erased = {"state_reason": reader_rubrics.ERASED, "state_at": now}
    active = SubscriberState.ACTIVE.value
    tx.execute(update(subscriber).where(mine).values(**blank, **erased, state=active))
    tx.execute(
        update(subscription)
        .where(subscription.c.subscriber_id == subscriber_id)
        .values(**erased, state=SubscriberState.UNSUBSCRIBED.value, consent="")
    )
    tx.execute(update(delivery).where(delivery.c.subscriber_id == subscriber_id).values(email=""))
    for counts in (paper_lookup, rubric_mail):
        tx.execute(delete(counts).where(counts.c.subscriber_id == subscriber_id))
    return True


def _move(
    tx: Connection,
    subscriber_id: str,
    before: SubscriberState,
    after: SubscriberState,
    way: str,
    now: datetime,
) -> bool:
    done = tx.execute(
        update(subscriber)
        .where(subscriber.c.id == subscriber_id, subscriber.c.state == before.value, _reads())
        .values(state=after.value, state_reason=way, state_at=now, paused_until=None)
    )
    return done.rowcount == 1


def _reads() -> Exists:
    """Whether a subscriber of an update has a subscription that is neither left nor pending."""
    mine = subscription.c.subscriber_id == subscriber.c.id
    active = subscription.c.state == SubscriberState.ACTIVE.value
    return select(subscription.c.id).where(mine, active).exists()
