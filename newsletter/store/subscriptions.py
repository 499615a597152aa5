"""Subscriptions: what each subscriber reads, one row for each rubric; joining, leaving, moving.

    pending --activate--> active --leave--> unsubscribed --restore, add--> active

A subscriber's state (`subscribers.py`) and a suppression stop the mail of all subscriptions.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import case, func, insert, select, update

from newsletter.domain.addresses import canonical, fingerprint
from newsletter.domain.mail import (
    OF_SUBSCRIBER,
    OF_SUBSCRIPTION,
    OWN_PREFERENCES,
    PREFERENCES,
    DeliveryState,
    SubscriberState,
    Subscription,
)
from newsletter.store import reader_rubrics, subscribers, suppressions
from newsletter.store.subscribers import SubscriberChange
from newsletter.store.subscription_rows import (
    COLUMNS,
    MAILABLE,
    MAY_BE_MAILED,
    SUBSCRIPTIONS,
    of_row,
    query_rows,
)
from newsletter.store.suppressions import Reason
from newsletter.store.tables import delivery, digest, subscriber, subscription

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date, datetime

    from sqlalchemy import Connection, Select

UNDO = timedelta(days=30)
PAGE = 1000
MOVED = "moved to another rubric"
ACTIVE = SubscriberState.ACTIVE.value
NO_LIMIT = 0


def by_id(tx: Connection, subscription_id: str) -> Subscription | None:
    row = tx.execute(query_rows().where(subscription.c.id == subscription_id)).one_or_none()
    return of_row(row) if row else None


def of_subscriber(tx: Connection, subscriber_id: str) -> list[Subscription]:
    """All subscriptions of a subscriber: active, pending, then those they left; oldest first."""
    query = query_rows().where(subscription.c.subscriber_id == subscriber_id)
    return [of_row(row) for row in tx.execute(query.order_by(*_LIVE_FIRST))]


def of_address(tx: Connection, email: str) -> list[Subscription]:
    """All subscriptions of an address, however it is spelled, in the order of `of_subscriber`."""
    # Two statements by an index each: PostgreSQL joins a table without statistics row by row.
    known = tx.scalar(select(subscriber.c.id).where(subscriber.c.email_key == canonical(email)))
    return of_subscriber(tx, known) if known else []


def find(tx: Connection, email: str) -> Subscription | None:
    """The first subscription of an address."""
    return next(iter(of_address(tx, email)), None)


def all_subscriptions(tx: Connection) -> Iterator[Subscription]:
    """All rows but those of the erased, by address."""
    return _pages(tx, query_rows().where(subscriber.c.email != ""))


def mailable(tx: Connection, rubric: str | None = None) -> Iterator[Subscription]:
    """Those that get digests, of one rubric or all: active, and not suppressed; by address."""
    query = select(*COLUMNS).select_from(MAILABLE).where(MAY_BE_MAILED)
    return _pages(tx, query if rubric is None else query.where(subscription.c.rubric == rubric))


_LIVE_FIRST = (
    case({ACTIVE: 0, SubscriberState.PENDING.value: 1}, value=subscription.c.state, else_=2),
    subscription.c.since,
    subscription.c.id,
)


def _pages(tx: Connection, query: Select[Any]) -> Iterator[Subscription]:
    """Page by key: drivers fetch a whole result at once."""
    last = ""
    while True:
        after = query.where(subscriber.c.email_key > last).order_by(subscriber.c.email_key)
        keys = after.with_only_columns(subscriber.c.email_key).distinct().limit(PAGE)
        page = tx.scalars(keys).all()
        if not page:
            return
        among = query.where(subscriber.c.email_key.between(page[0], page[-1]))
        rows = tx.execute(among.order_by(subscriber.c.email_key, subscription.c.rubric))
        yield from map(of_row, rows)
        if len(page) < PAGE:
            return
        last = page[-1]


def count_by_rubric(tx: Connection) -> dict[str, int]:
    """How many get each rubric's digests; rubrics without readers are left out."""
    query = (
        select(subscription.c.rubric, func.count().label("number"))
        .select_from(MAILABLE)
        .where(MAY_BE_MAILED)
        .group_by(subscription.c.rubric)
    )
    return {row.rubric: row.number for row in tx.execute(query)}


def count(tx: Connection) -> int:
    """The number of subscriptions, in whatever state; without those of the erased."""
    query = select(func.count()).select_from(SUBSCRIPTIONS).where(subscriber.c.email != "")
    return tx.scalar(query) or 0


def insert_new(tx: Connection, given: Subscription, now: datetime) -> None:
    """Add a new subscriber, and their first subscription with the same id."""
    of_reader, own = rows_of_new(given, now)
    tx.execute(insert(subscriber).values(of_reader))
    tx.execute(insert(subscription).values(own))


def rows_of_new(given: Subscription, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of a new subscriber and of their first subscription."""
    of_reader = {"id": given.id, **columns(given), "state": _subscriber_state(given)}
    own = {
        "id": given.id,
        "subscriber_id": given.id,
        "rubric": given.rubric,
        "state": _own_state(given),
        "consent": given.consent,
        "since": now,
    }
    return {**of_reader, "state_at": now}, {**own, "state_at": now}


def columns(given: Subscription) -> dict[str, Any]:
    """What is stored of the subscriber; the keys are columns."""
    return {
        "email": given.email,
        "email_key": canonical(given.email),
        "email_hash": fingerprint(given.email),
        "name": given.name,
        "timezone": given.timezone,
        "send_at": f"{given.send_at:%H:%M}" if given.send_at else None,
        "days": list(given.days),
        "max_papers": given.max_papers,
        "format": str(given.format),
        "chosen": list(given.chosen),
    }


def _own_state(given: Subscription) -> str:
    return str(given.state) if given.state in OF_SUBSCRIPTION else ACTIVE


def _subscriber_state(given: Subscription) -> str:
    return str(given.state) if given.state in OF_SUBSCRIBER else ACTIVE


def add(
    tx: Connection,
    subscriber_id: str,
    rubric: str,
    now: datetime,
    *,
    consent: str = "",
    way: str = "",
    active: bool = True,
    begins_after: date | None = None,
) -> str:
    """Subscribe a known subscriber to one more rubric; return the subscription's id.

    It is pending unless `active`. A subscription that was left becomes active, or pending again;
    one that is active stays as it is. What is suppressed is for the caller to check or to lift.
    `way` says how the reader asked for it; it is empty where the operator added it.
    """
    wanted = SubscriberState.ACTIVE if active else SubscriberState.PENDING
    state = {"state": wanted.value, "state_reason": way, "state_at": now}
    mine = (subscription.c.subscriber_id == subscriber_id) & (subscription.c.rubric == rubric)
    before = tx.execute(select(subscription.c.id, subscription.c.state).where(mine)).one_or_none()
    if before is None:
        added = uuid4().hex
        row = {"id": added, "subscriber_id": subscriber_id, "rubric": rubric, "since": now}
        values = {**row, **state, "consent": consent, "begins_after": begins_after}
        tx.execute(insert(subscription).values(values))
        return added
    if before.state not in (ACTIVE, wanted.value):
        given = {"consent": consent} if consent else {}
        begins = {"begins_after": begins_after} if begins_after else {}
        tx.execute(update(subscription).where(mine).values({**state, **given, **begins}))
    return str(before.id)


def set_preferences(
    tx: Connection, subscription_id: str, wished: Mapping[str, Any], now: datetime
) -> SubscriberChange:
    """Store preferences that a reader set; later imports do not change them."""
    known = by_id(tx, subscription_id)
    if known is None or suppressions.reason_for(tx, known.email):
        return SubscriberChange.SUPPRESSED
    new = {name for name in wished if wished[name] != getattr(known, name)}
    chosen = tuple(name for name in PREFERENCES if name in {*known.chosen, *new})
    return change(tx, known, replace(known, **wished, chosen=chosen), now)


def change(
    tx: Connection, known: Subscription, wanted: Subscription, now: datetime
) -> SubscriberChange:
    """Update only changed columns, so that concurrent changes of others stay.

    Days, length and format are the subscriber's where this is their only subscription, else its
    own. Another rubric is a move.
    """
    of_reader, own = _changed_columns(tx, known, wanted, now)
    if of_reader:
        mine = subscriber.c.id == known.subscriber_id
        tx.execute(update(subscriber).where(mine).values(of_reader))
    if own:
        tx.execute(update(subscription).where(subscription.c.id == known.id).values(own))
    moved = wanted.rubric != known.rubric
    if moved:
        move(tx, known.id, wanted.rubric, now, way=MOVED)
    return SubscriberChange.UPDATED if of_reader or own or moved else SubscriberChange.UNCHANGED


def _changed_columns(
    tx: Connection, known: Subscription, wanted: Subscription, now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    before, after = columns(known), columns(wanted)
    changed = {name: value for name, value in after.items() if value != before[name]}
    own: dict[str, Any] = {}
    if wanted.consent != known.consent:
        own["consent"] = wanted.consent
    if wanted.state is not known.state:
        own |= {"state": _own_state(wanted), "state_at": now}
    preferences = [name for name in (*OWN_PREFERENCES, "chosen") if name in changed]
    if not preferences:
        return changed, own
    if is_only(tx, known):
        # Left from when there were several, its own values would hide the subscriber's.
        return changed, own | {name: None for name in preferences if name != "chosen"}
    own |= {name: changed.pop(name) for name in preferences if name != "chosen"}
    if "max_papers" in own:
        own["max_papers"] = own["max_papers"] or NO_LIMIT
    own["chosen"] = [name for name in wanted.chosen if name in OWN_PREFERENCES]
    if "chosen" in changed:
        of_all = [name for name in wanted.chosen if name not in OWN_PREFERENCES]
        changed["chosen"] = of_all + _chosen_for_others(tx, known)
    return changed, own


def _chosen_for_others(tx: Connection, known: Subscription) -> list[str]:
    """The preferences among `OWN_PREFERENCES` that the reader set for all subscriptions."""
    stored = tx.execute(
        select(subscriber.c.chosen).where(subscriber.c.id == known.subscriber_id)
    ).scalar_one()
    return [name for name in OWN_PREFERENCES if name in stored]


def is_only(tx: Connection, known: Subscription) -> bool:
    """Whether this is its subscriber's only subscription."""
    mine = subscription.c.subscriber_id == known.subscriber_id
    return tx.scalar(select(func.count()).select_from(subscription).where(mine)) == 1


def activate(tx: Connection, subscription_id: str, consent: str, now: datetime) -> bool:
    """Activate a pending subscription after double opt-in; `consent` is the record of it.

    False if it is not pending. A reader who had left is no longer suppressed.
    """
    known = by_id(tx, subscription_id)
    if known is None or known.state is not SubscriberState.PENDING:
        return False
    suppressions.lift(tx, known.email, known.rubric)
    if suppressions.reason_for(tx, known.email):
        return False
    return _transition(
        tx, known.id, SubscriberState.PENDING, SubscriberState.ACTIVE, "confirmed", now, consent
    )


def leave(tx: Connection, subscription_id: str, way: str, now: datetime) -> bool:
    """Unsubscribe at once. `way` says how (`one-click`, `reply`, ...). False where already gone.

    No import undoes it. The last subscription that is left suppresses the address as well.
    """
    known = by_id(tx, subscription_id)
    if known is None or not known.email:
        return False
    suppressions.suppress_rubric(tx, known.email, known.rubric, way, now)
    left = _end(tx, known.id, way, now)
    active = subscription.c.state == ACTIVE
    others = select(subscription.c.id).where(subscription.c.subscriber_id == known.subscriber_id)
    if not tx.scalar(select(others.where(active).exists())):
        suppressions.suppress(tx, known.email, Reason.UNSUBSCRIBED, way, now)
    return left and known.state is not SubscriberState.COMPLAINED


def leave_all(
    tx: Connection, subscriber_id: str, way: str, now: datetime, reason: Reason | None = None
) -> bool:
    """Unsubscribe from all rubrics, and suppress the address. False where already gone.

    `reason` is for the address, where it is another than that they unsubscribed.
    """
    email = _address(tx, subscriber_id)
    if not email:
        return False
    suppressions.suppress(tx, email, reason or Reason.UNSUBSCRIBED, way, now)
    mine = select(subscription.c.id, subscription.c.rubric).where(
        subscription.c.subscriber_id == subscriber_id,
        subscription.c.state != SubscriberState.UNSUBSCRIBED.value,
    )
    found = tx.execute(mine).all()
    for subscription_id, rubric in found:
        suppressions.suppress_rubric(tx, email, rubric, way, now)
        _end(tx, subscription_id, way, now)
    return bool(found)


def end_all(
    tx: Connection,
    subscriber_id: str,
    end: SubscriberState,
    way: str,
    now: datetime,
    *,
    reason: Reason | None = None,
) -> bool:
    """End all mail to a subscriber and suppress the address, in one. False where it ended so.

    `reason` is for the address, where it is lighter than the end.
    """
    if end is SubscriberState.UNSUBSCRIBED:
        return leave_all(tx, subscriber_id, way, now, reason)
    email = _address(tx, subscriber_id)
    if not email:
        return False
    suppressions.suppress(tx, email, reason or Reason(end.value), way, now)
    return subscribers.end(tx, subscriber_id, end, way, now)


def restore(tx: Connection, subscription_id: str, way: str, now: datetime) -> bool:
    """Undo an unsubscribe within 30 days. False if there is none to undo."""
    query = select(subscription.c.state_at).where(
        subscription.c.id == subscription_id,
        subscription.c.state == SubscriberState.UNSUBSCRIBED.value,
        subscription.c.state_at >= now - UNDO,
    )
    known = by_id(tx, subscription_id)
    if known is None or not known.email or tx.scalar(query) is None:
        return False
    if known.state is SubscriberState.COMPLAINED or reader_rubrics.is_deleted(tx, known.rubric):
        return False
    if not suppressions.lift(tx, known.email, known.rubric):
        return False
    subscribers.reactivate(tx, known.subscriber_id, way, now)
    left, active = SubscriberState.UNSUBSCRIBED, SubscriberState.ACTIVE
    return _transition(tx, subscription_id, left, active, way, now)


def renew(tx: Connection, subscription_id: str, way: str, consent: str, now: datetime) -> None:
    """Make a subscription active with a new consent, whatever it was."""
    values = {"state": ACTIVE, "state_reason": way, "state_at": now, "consent": consent}
    mine = subscription.c.id == subscription_id
    tx.execute(update(subscription).where(mine).values(values))


def move(
    tx: Connection, subscription_id: str, rubric: str, now: datetime, *, way: str = MOVED
) -> Subscription | None:
    """Unsubscribe from one rubric and subscribe to another, in one.

    The other begins after the last date that was mailed of the first, so that nobody gets a date
    twice. A pending subscription had no mail: only its rubric changes. Returns the new one.
    """
    known = by_id(tx, subscription_id)
    if known is None or rubric == known.rubric or known.state is SubscriberState.UNSUBSCRIBED:
        return known
    suppressions.lift_rubric(tx, known.email, rubric)
    there = [one for one in of_subscriber(tx, known.subscriber_id) if one.rubric == rubric]
    if known.state is SubscriberState.PENDING and not there:
        mine = subscription.c.id == subscription_id
        tx.execute(update(subscription).where(mine).values(rubric=rubric))
        return replace(known, rubric=rubric)
    active = known.state is not SubscriberState.PENDING
    _end(tx, known.id, way, now)
    last = _last_mailed(tx, known, now)
    moved = add(
        tx,
        known.subscriber_id,
        rubric,
        now,
        consent=known.consent,
        active=active,
        begins_after=last,
    )
    if not there:
        _take_own_preferences(tx, known.id, moved)
    return by_id(tx, moved)


def _take_own_preferences(tx: Connection, source_id: str, target_id: str) -> None:
    names = (*OWN_PREFERENCES, "chosen")
    source = select(*(subscription.c[name] for name in names)).where(subscription.c.id == source_id)
    own = tx.execute(source).one()._asdict()
    tx.execute(update(subscription).where(subscription.c.id == target_id).values(own))


def _last_mailed(tx: Connection, known: Subscription, now: datetime) -> date | None:
    """The last date that a subscription was mailed; what is still waiting is skipped.

    The update waits for a process that claims such a mail just now.
    """
    of_reader = delivery.c.subscriber_id == known.subscriber_id
    mine = of_reader & (delivery.c.subscription_id == known.id)
    waits = delivery.c.state == DeliveryState.PENDING.value
    skipped = {"state": DeliveryState.SKIPPED.value, "reason": MOVED, "changed_at": now}
    tx.execute(update(delivery).where(mine, waits).values(skipped))
    had = select(func.max(digest.c.date)).join_from(delivery, digest)
    last: date | None = tx.scalar(had.where(mine, delivery.c.state != DeliveryState.SKIPPED.value))
    earlier: date | None = tx.scalar(
        select(subscription.c.begins_after).where(subscription.c.id == known.id)
    )
    return max((one for one in (last, earlier) if one), default=None)


def _address(tx: Connection, subscriber_id: str) -> str:
    return tx.scalar(select(subscriber.c.email).where(subscriber.c.id == subscriber_id)) or ""


def _end(tx: Connection, subscription_id: str, way: str, now: datetime) -> bool:
    gone = SubscriberState.UNSUBSCRIBED.value
    mine = (subscription.c.id == subscription_id) & (subscription.c.state != gone)
    values = {"state": gone, "state_reason": way, "state_at": now}
    return tx.execute(update(subscription).where(mine).values(values)).rowcount == 1


def _transition(
    tx: Connection,
    subscription_id: str,
    before: SubscriberState,
    after: SubscriberState,
    way: str,
    now: datetime,
    consent: str | None = None,
) -> bool:
    mine = (subscription.c.id == subscription_id) & (subscription.c.state == before.value)
    values = {"state": after.value, "state_reason": way, "state_at": now}
    given = {} if consent is None else {"consent": consent}
    return tx.execute(update(subscription).where(mine).values({**values, **given})).rowcount == 1
