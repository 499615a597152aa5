"""Readers for the operator's pages: search, and all that explains one reader's mail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, case, func, or_, select

from newsletter.domain.addresses import canonical, fingerprint
from newsletter.domain.mail import DeliveryState, EventKind, SubscriberState
from newsletter.store import votes
from newsletter.store.inbound import InboundState
from newsletter.store.subscription_rows import MAILABLE, MAY_BE_MAILED, SUBSCRIPTIONS
from newsletter.store.tables import (
    delivery,
    digest,
    event,
    inbound,
    rubric_suppression,
    signup,
    subscriber,
    subscription,
    suppression,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection

ACTIVE, PENDING = SubscriberState.ACTIVE.value, SubscriberState.PENDING.value
EVENTS = 10
RANK = case({ACTIVE: 2, PENDING: 1}, value=subscription.c.state, else_=0)


class ReaderFilter(NamedTuple):
    """Empty: any. With a rubric, `state` is that of the subscription to it."""

    text: str = ""
    rubric: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class ListedReader:
    id: str
    email: str
    name: str
    state: SubscriberState
    rubrics: tuple[str, ...]
    """Those that they did not leave."""


class MailEvent(NamedTuple):
    """What the provider, or a bounce mail, said of one mail."""

    kind: EventKind
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class MailedDigest:
    """One mail to a reader, with what is known of it."""

    id: str
    rubric: str
    date: date
    state: DeliveryState
    reason: str
    attempt: int
    changed_at: datetime
    events: tuple[MailEvent, ...]


class StateReason(NamedTuple):
    """Why something is as it is, and since when."""

    subject: str
    state: str
    reason: str
    at: datetime


class ReceivedReply(NamedTuple):
    state: InboundState
    at: datetime
    answered_at: datetime | None


class PlannedMails(NamedTuple):
    rubric: str
    date: date
    state: DeliveryState
    number: int


@dataclass(frozen=True, slots=True)
class ReaderFacts:
    """Why a reader gets mail or none, and what they did."""

    reasons: tuple[StateReason, ...]
    """Of the subscriber, then of each subscription."""
    suppressions: tuple[StateReason, ...]
    """Of the address, then of rubrics; the address' own has an empty subject."""
    votes: int
    replies: tuple[ReceivedReply, ...]
    confirmation_mails: int
    confirmation_mailed_at: datetime | None
    events: tuple[MailEvent, ...]
    """The newest that name no mail: of the provider's lists, and bounces that came late."""


def search(
    tx: Connection, wanted: ReaderFilter, limit: int, offset: int = 0
) -> tuple[int, list[ListedReader]]:
    """How many readers match, and a page of them by address. The erased are in neither."""
    state = _state(wanted.rubric)
    matching = and_(*_conditions(wanted, state))
    number = tx.scalar(select(func.count()).select_from(subscriber).where(matching)) or 0
    columns = [subscriber.c[name] for name in ("id", "email", "name")]
    page = select(*columns, state.label("state")).where(matching)
    rows = tx.execute(page.order_by(subscriber.c.email_key).limit(limit).offset(offset)).all()
    read = _rubrics_of(tx, [row.id for row in rows])
    return number, [
        ListedReader(row.id, row.email, row.name, SubscriberState(row.state), read.get(row.id, ()))
        for row in rows
    ]


def _conditions(wanted: ReaderFilter, state: ColumnElement[str]) -> list[ColumnElement[bool]]:
    found = [subscriber.c.email != ""]
    if text := wanted.text.strip():
        found.append(
            or_(
                subscriber.c.email.icontains(text, autoescape=True),
                subscriber.c.name.icontains(text, autoescape=True),
                subscriber.c.email_key == canonical(text),
            )
        )
    if wanted.rubric:
        mine = subscription.c.subscriber_id == subscriber.c.id
        reads = select(1).where(mine, subscription.c.rubric == wanted.rubric)
        found.append(reads.exists())
    if wanted.state:
        found.append(state == wanted.state)
    return found


def _state(rubric: str) -> ColumnElement[str]:
    """`domain.mail.state_of` of a subscriber's best subscription, or of that to one rubric."""
    mine = subscription.c.subscriber_id == subscriber.c.id
    chosen = mine & (subscription.c.rubric == rubric) if rubric else mine
    best = select(func.max(RANK)).where(chosen).correlate(subscriber).scalar_subquery()
    own = subscriber.c.state
    return case(
        (own == SubscriberState.COMPLAINED.value, SubscriberState.COMPLAINED.value),
        (best == 0, SubscriberState.UNSUBSCRIBED.value),
        (own == SubscriberState.BOUNCED.value, SubscriberState.BOUNCED.value),
        (best == 1, PENDING),
        else_=own,
    )


def _rubrics_of(tx: Connection, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    reads = subscription.c.state != SubscriberState.UNSUBSCRIBED.value
    query = select(subscription.c.subscriber_id, subscription.c.rubric).where(
        subscription.c.subscriber_id.in_(ids), reads
    )
    found: dict[str, tuple[str, ...]] = {}
    for key, rubric in tx.execute(query.order_by(subscription.c.rubric)):
        found[key] = (*found.get(key, ()), rubric)
    return found


def addresses(tx: Connection, ids: Sequence[str | None]) -> dict[str, str]:
    """The addresses of these readers by id, without the erased."""
    known = subscriber.c.id.in_([one for one in ids if one]) & (subscriber.c.email != "")
    return {
        row.id: row.email
        for row in tx.execute(select(subscriber.c.id, subscriber.c.email).where(known))
    }


def history(tx: Connection, subscriber_id: str, limit: int) -> list[MailedDigest]:
    """The newest mails to a reader, each with its events."""
    names = ("id", "state", "reason", "attempt", "changed_at")
    query = (
        select(*(delivery.c[name] for name in names), digest.c.rubric, digest.c.date)
        .join_from(delivery, digest)
        .where(delivery.c.subscriber_id == subscriber_id)
        .order_by(digest.c.date.desc(), digest.c.rubric)
        .limit(limit)
    )
    rows = tx.execute(query).all()
    said = _events_of(tx, [row.id for row in rows])
    return [
        MailedDigest(
            row.id,
            row.rubric,
            row.date,
            DeliveryState(row.state),
            row.reason,
            row.attempt,
            row.changed_at,
            tuple(said.get(row.id, ())),
        )
        for row in rows
    ]


def _events_of(tx: Connection, delivery_ids: Sequence[str]) -> dict[str, list[MailEvent]]:
    columns = event.c.delivery_id, event.c.kind, event.c.reason, event.c.at
    query = select(*columns).where(event.c.delivery_id.in_(delivery_ids))
    found: dict[str, list[MailEvent]] = {}
    for delivery_id, kind, reason, at in tx.execute(query.order_by(event.c.at, event.c.id)):
        found.setdefault(delivery_id, []).append(MailEvent(EventKind(kind), reason, at))
    return found


class ServedSubscription(NamedTuple):
    """Up to which date a subscription was mailed, or had mail before a move; and since when it is
    as it is.
    """

    latest: date | None
    joined: datetime


def served(tx: Connection, subscriber_id: str) -> dict[str, ServedSubscription]:
    """Of each subscription that gets mail now, by its id."""
    mine = delivery.c.subscriber_id == subscriber_id
    mailed = (
        select(func.max(digest.c.date))
        .join_from(delivery, digest)
        .where(mine, delivery.c.subscription_id == subscription.c.id)
        .where(delivery.c.state != DeliveryState.SKIPPED.value)
        .scalar_subquery()
    )
    columns = subscription.c.id, subscription.c.begins_after, mailed.label("mailed")
    since = subscription.c.state_at, subscriber.c.state_at.label("returned_at")
    query = select(*columns, *since).select_from(MAILABLE).where(MAY_BE_MAILED)
    found = tx.execute(query.where(subscription.c.subscriber_id == subscriber_id))
    return {
        row.id: ServedSubscription(
            max((day for day in (row.mailed, row.begins_after) if day), default=None),
            max(row.state_at, row.returned_at),
        )
        for row in found
    }


def count_of_rubric(tx: Connection, rubric: str) -> int:
    """How many read a rubric, paused, or were asked to confirm it."""
    here = subscription.c.state.in_([SubscriberState.ACTIVE.value, SubscriberState.PENDING.value])
    left = subscriber.c.state.in_(_LEFT)
    query = select(func.count()).select_from(SUBSCRIPTIONS).where(here, ~left)
    return tx.scalar(query.where(subscription.c.rubric == rubric, subscriber.c.email != "")) or 0


_LEFT = [
    SubscriberState.UNSUBSCRIBED.value,
    SubscriberState.BOUNCED.value,
    SubscriberState.COMPLAINED.value,
]


def planned_mails(tx: Connection) -> list[PlannedMails]:
    """Mails that are planned and not sent, by rubric and date, the newest first."""
    open_states = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)
    query = (
        select(digest.c.rubric, digest.c.date, delivery.c.state, func.count())
        .join_from(delivery, digest)
        .where(delivery.c.state.in_(open_states))
        .group_by(digest.c.rubric, digest.c.date, delivery.c.state)
        .order_by(digest.c.date.desc(), digest.c.rubric, delivery.c.state)
    )
    return [
        PlannedMails(rubric, day, DeliveryState(state), number)
        for rubric, day, state, number in tx.execute(query)
    ]


def facts(tx: Connection, subscriber_id: str, email: str, replies: int) -> ReaderFacts:
    """Reasons and figures of a reader, with so many of their newest replies."""
    columns = [subscriber.c[name] for name in ("state", "state_reason", "state_at")]
    own = tx.execute(select(*columns).where(subscriber.c.id == subscriber_id)).one()
    mine = subscription.c.subscriber_id == subscriber_id
    names = ("id", "rubric", "state", "state_reason", "state_at")
    order = subscription.c.since, subscription.c.id
    read = tx.execute(
        select(*(subscription.c[name] for name in names)).where(mine).order_by(*order)
    )
    rows = read.all()
    ids = [row.id for row in rows]
    mails, mailed_at = _confirmation(tx, email)
    return ReaderFacts(
        (StateReason("", *own), *(StateReason(*row[1:]) for row in rows)),
        tuple(_suppressions(tx, email)),
        votes.count_of(tx, subscriber_id),
        tuple(_replies(tx, ids, replies)),
        mails,
        mailed_at,
        tuple(_events_without_mail(tx, email)),
    )


def _events_without_mail(tx: Connection, email: str) -> list[MailEvent]:
    mine = (event.c.email_hash == fingerprint(email)) & (event.c.delivery_id == "")
    query = select(event.c.kind, event.c.reason, event.c.at).where(mine)
    newest = query.order_by(event.c.at.desc(), event.c.id).limit(EVENTS)
    return [MailEvent(EventKind(kind), *said) for kind, *said in tx.execute(newest)]


def _suppressions(tx: Connection, email: str) -> list[StateReason]:
    email_hash = fingerprint(email)
    of_all = select(suppression.c.reason, suppression.c.source, suppression.c.at)
    of_one = select(
        rubric_suppression.c.rubric, rubric_suppression.c.source, rubric_suppression.c.at
    )
    left = SubscriberState.UNSUBSCRIBED.value
    address = tx.execute(of_all.where(suppression.c.email_hash == email_hash)).all()
    rubrics = of_one.where(rubric_suppression.c.email_hash == email_hash)
    return [
        *(StateReason("", *row) for row in address),
        *(
            StateReason(rubric, left, source, at)
            for rubric, source, at in tx.execute(rubrics.order_by(rubric_suppression.c.rubric))
        ),
    ]


def _replies(tx: Connection, subscription_ids: Sequence[str], limit: int) -> list[ReceivedReply]:
    columns = inbound.c.state, inbound.c.received_at, inbound.c.answered_at
    query = select(*columns).where(inbound.c.subscription_id.in_(subscription_ids))
    newest = query.order_by(inbound.c.received_at.desc(), inbound.c.id).limit(limit)
    return [ReceivedReply(InboundState(state), *at) for state, *at in tx.execute(newest)]


def _confirmation(tx: Connection, email: str) -> tuple[int, datetime | None]:
    """How many confirmation mails were sent without an answer, and when the last one was."""
    query: Any = select(func.max(signup.c.mails), func.max(signup.c.mailed_at, type_=_MOMENT))
    mails, at = tx.execute(query.where(signup.c.email_hash == fingerprint(email))).one()
    return mails or 0, at


_MOMENT = signup.c.mailed_at.type
