"""Subscribers: one row for each address, however it is spelled; bulk import; state changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from newsletter.domain.addresses import canonical, fingerprint
from newsletter.domain.mail import PREFERENCES, EventKind, Format, Subscriber, SubscriberState
from newsletter.domain.subscriber_import import Merged, merge, new_subscriber
from newsletter.store import first_mails, suppressions, votes
from newsletter.store.suppressions import Reason
from newsletter.store.tables import delivery, event, paper_lookup, subscriber, suppression

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.domain.subscriber_csv import SubscriberRow

IMPORT_PAGE = 500
"""Rows per statement: old SQLite allows 999 parameters, and more gains little."""


@dataclass(slots=True)
class ImportResult:
    """What became of the rows: how many met which end, and those of which more is to be said."""

    counts: Counter[SubscriberChange] = field(default_factory=Counter)
    notable: list[tuple[SubscriberRow, Merged]] = field(default_factory=list)
    """Rows that change a known reader, or would but for what the reader chose."""
    refused: list[tuple[SubscriberRow, Merged]] = field(default_factory=list)
    """Rows that would move a known reader to another rubric: nothing of them was kept."""


def save_all(
    tx: Connection,
    rows: Iterable[SubscriberRow],
    consent: str,
    now: datetime,
    *,
    overwrite: bool = False,
) -> ImportResult:
    """Save each row: active with its consent, or waiting for a confirmation without."""
    done = ImportResult()
    rest = iter(rows)
    while some := list(islice(rest, IMPORT_PAGE)):
        for once in _without_repeats(some):
            _save_some(tx, once, consent.strip(), now, done, overwrite=overwrite)
    return done


def _without_repeats(rows: Sequence[SubscriberRow]) -> list[dict[str, SubscriberRow]]:
    """The same by key, in order; an address that comes again begins a new part."""
    parts: list[dict[str, SubscriberRow]] = [{}]
    for one in rows:
        key = canonical(one.email)
        if key in parts[-1]:
            parts.append({})
        parts[-1][key] = one
    return parts


def _save_some(
    tx: Connection,
    rows: dict[str, SubscriberRow],
    consent: str,
    now: datetime,
    done: ImportResult,
    *,
    overwrite: bool,
) -> None:
    hashes = {fingerprint(one.email): key for key, one in rows.items()}
    query = select(suppression.c.email_hash).where(suppression.c.email_hash.in_(hashes))
    shut = {hashes[found] for found in tx.scalars(query)}
    stored = tx.execute(select(subscriber).where(subscriber.c.email_key.in_(rows)))
    known = {row.email_key: of_row(row) for row in stored}
    done.counts[SubscriberChange.SUPPRESSED] += len(shut)
    new: list[dict[str, Any]] = []
    for key, row in rows.items():
        if key in shut:
            continue
        if key not in known:
            made = new_subscriber(row, consent, uuid4().hex, now)
            new.append({"id": made.id, "since": now, **subscriber_columns(made, now)})
            continue
        merged = merge(known[key], row, consent, overwrite=overwrite)
        if merged.moves_to:
            done.refused.append((row, merged))
            continue
        if merged.changes or merged.kept:
            done.notable.append((row, merged))
        done.counts[change(tx, known[key], merged.person, now)] += 1
    if new:
        tx.execute(insert(subscriber), new)
        if consent:
            first_mails.add_imported(tx, [one["email_hash"] for one in new], now)
    done.counts[SubscriberChange.ADDED] += len(new)


RESTORED = "restored by the operator"
UNDO = timedelta(days=30)
PAGE = 1000


class SubscriberChange(StrEnum):
    """What `save` did with one address."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SUPPRESSED = "suppressed"
    """It left, bounced or complained: nothing was stored, and nothing will be sent."""


def save(tx: Connection, given: Subscriber, now: datetime) -> SubscriberChange:
    """Add a subscriber, or take over everything that was given for a known address.

    The known id stays. Neither a pause nor a departure is undone by it; a pending one becomes
    active when `given` is.
    """
    if suppressions.reason_for(tx, given.email):
        return SubscriberChange.SUPPRESSED
    known = find(tx, given.email)
    if known is None:
        tx.execute(
            insert(subscriber).values(id=given.id, since=now, **subscriber_columns(given, now))
        )
        return SubscriberChange.ADDED
    waits = known.state is SubscriberState.PENDING and given.state is SubscriberState.ACTIVE
    merged = replace(
        given,
        id=known.id,
        since=known.since,
        state=given.state if waits else known.state,
        consent=given.consent if waits or not known.consent else known.consent,
    )
    return change(tx, known, merged, now)


def set_preferences(
    tx: Connection, subscriber_id: str, wished: Mapping[str, Any], now: datetime
) -> SubscriberChange:
    """Store preferences that a reader set; later imports do not change them."""
    known = get(tx, subscriber_id)
    if known is None or suppressions.reason_for(tx, known.email):
        return SubscriberChange.SUPPRESSED
    new = {name for name in wished if wished[name] != getattr(known, name)}
    chosen = tuple(name for name in PREFERENCES if name in {*known.chosen, *new})
    return change(tx, known, replace(known, **wished, chosen=chosen), now)


def change(
    tx: Connection, known: Subscriber, wanted: Subscriber, now: datetime
) -> SubscriberChange:
    """Update only changed columns, so that concurrent changes of others stay."""
    if wanted == known:
        return SubscriberChange.UNCHANGED
    before, after = subscriber_columns(known, now), subscriber_columns(wanted, now)
    new = {name: value for name, value in after.items() if value != before[name]}
    if not new:
        return SubscriberChange.UNCHANGED
    if wanted.state is not known.state:
        new["state_at"] = now
    tx.execute(update(subscriber).where(subscriber.c.id == known.id).values(new))
    return SubscriberChange.UPDATED


def get(tx: Connection, subscriber_id: str) -> Subscriber | None:
    return _first(tx, select(subscriber).where(subscriber.c.id == subscriber_id))


def find(tx: Connection, email: str) -> Subscriber | None:
    """The subscriber of an address, however it is spelled."""
    return _first(tx, select(subscriber).where(subscriber.c.email_key == canonical(email)))


def all_subscribers(tx: Connection) -> Iterator[Subscriber]:
    """All rows but the erased, by address."""
    return _pages(tx, select(subscriber).where(subscriber.c.email != ""))


def bounced_because(tx: Connection) -> dict[str, str]:
    """Why mail to the bounced comes back, by their ids: all that the mail server said last."""
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


def mailable(tx: Connection, rubric: str | None = None) -> Iterator[Subscriber]:
    """Those who get digests, of one rubric or all: active, and not suppressed; by address."""
    query = (
        select(subscriber)
        .outerjoin(suppression, suppression.c.email_hash == subscriber.c.email_hash)
        .where(
            subscriber.c.state == SubscriberState.ACTIVE,
            suppression.c.email_hash.is_(None),
        )
    )
    return _pages(tx, query if rubric is None else query.where(subscriber.c.rubric == rubric))


def _pages(tx: Connection, query: Select[Any]) -> Iterator[Subscriber]:
    """Page by key: drivers fetch a whole result at once."""
    last = ""
    while True:
        after = query.where(subscriber.c.email_key > last).order_by(subscriber.c.email_key)
        rows = tx.execute(after.limit(PAGE)).all()
        yield from map(of_row, rows)
        if len(rows) < PAGE:
            return
        last = rows[-1].email_key


def count_by_rubric(tx: Connection) -> dict[str, int]:
    """How many get each rubric's digests; rubrics without readers are left out."""
    query = (
        select(subscriber.c.rubric, func.count().label("number"))
        .outerjoin(suppression, suppression.c.email_hash == subscriber.c.email_hash)
        .where(subscriber.c.state == SubscriberState.ACTIVE, suppression.c.email_hash.is_(None))
        .group_by(subscriber.c.rubric)
    )
    return {row.rubric: row.number for row in tx.execute(query)}


def count_states(tx: Connection) -> dict[SubscriberState, int]:
    query = (
        select(subscriber.c.state, func.count())
        .where(subscriber.c.email != "")
        .group_by(subscriber.c.state)
    )
    return {SubscriberState(state): number for state, number in tx.execute(query)}


def activate(tx: Connection, subscriber_id: str, consent: str, now: datetime) -> bool:
    """Double opt-in is complete: `consent` is its record. False where nobody waited for it.

    Whoever had left and asked to come back is let in again by this, and by nothing else.
    """
    known = get(tx, subscriber_id)
    if known is None or known.state is not SubscriberState.PENDING:
        return False
    suppressions.lift(tx, known.email)
    if suppressions.reason_for(tx, known.email):
        return False
    done = tx.execute(
        update(subscriber)
        .where(subscriber.c.id == subscriber_id, subscriber.c.state == SubscriberState.PENDING)
        .values(
            state=SubscriberState.ACTIVE, state_reason="confirmed", state_at=now, consent=consent
        )
    )
    return done.rowcount == 1


def reopen(tx: Connection, subscriber_id: str, way: str, now: datetime) -> bool:
    """Who left asks to come back: pending again. Nothing but a confirmation is sent till then."""
    return _move(tx, subscriber_id, SubscriberState.UNSUBSCRIBED, SubscriberState.PENDING, way, now)


def pause(tx: Connection, subscriber_id: str, way: str, now: datetime) -> bool:
    """False where the subscriber is not active."""
    return _move(tx, subscriber_id, SubscriberState.ACTIVE, SubscriberState.PAUSED, way, now)


def resume(tx: Connection, subscriber_id: str, way: str, now: datetime) -> bool:
    """False where the subscriber is not paused."""
    return _move(tx, subscriber_id, SubscriberState.PAUSED, SubscriberState.ACTIVE, way, now)


def unsubscribe(tx: Connection, subscriber_id: str, way: str, now: datetime) -> bool:
    """Unsubscribe at once. `way` says how (`one-click`, `reply`, ...). False where already gone."""
    return end_subscription(tx, subscriber_id, SubscriberState.UNSUBSCRIBED, way, now)


def end_subscription(
    tx: Connection,
    subscriber_id: str,
    end: SubscriberState,
    way: str,
    now: datetime,
    *,
    reason: Reason | None = None,
) -> bool:
    """End a subscription and suppress its address, in one. False where it had this end already.

    `reason` is for the address, where it is lighter than the end.
    """
    known = get(tx, subscriber_id)
    if known is None or not known.email:
        return False
    suppressions.suppress(tx, known.email, reason or Reason(end.value), way, now)
    done = tx.execute(
        update(subscriber)
        .where(subscriber.c.id == subscriber_id, subscriber.c.state.not_in(_ENDS[end]))
        .values(state=end, state_reason=way, state_at=now)
    )
    return done.rowcount == 1


# A complaint may follow any end; a bounce does not rewrite how somebody left.
_ENDS = {
    SubscriberState.UNSUBSCRIBED: (
        SubscriberState.UNSUBSCRIBED,
        SubscriberState.COMPLAINED,
    ),
    SubscriberState.BOUNCED: (
        SubscriberState.BOUNCED,
        SubscriberState.UNSUBSCRIBED,
        SubscriberState.COMPLAINED,
    ),
    SubscriberState.COMPLAINED: (SubscriberState.COMPLAINED,),
}


def restore(tx: Connection, subscriber_id: str, way: str, now: datetime) -> bool:
    """Take a departure back, within 30 days of it. False where there is none to take back."""
    row = tx.execute(select(subscriber).where(subscriber.c.id == subscriber_id)).one_or_none()
    if row is None or row.state != SubscriberState.UNSUBSCRIBED or row.state_at < now - UNDO:
        return False
    if not suppressions.lift(tx, row.email):
        return False
    return _move(tx, subscriber_id, SubscriberState.UNSUBSCRIBED, SubscriberState.ACTIVE, way, now)


def erase(tx: Connection, subscriber_id: str, now: datetime) -> bool:
    """Erase a person: only the hash that prevents further mail stays.

    The address stays in the erasure queue until the provider has erased it (`suppressions.py`).
    """
    known = get(tx, subscriber_id)
    if known is None or not known.email:
        return False
    suppressions.queue_erasure(tx, known.email, now)
    suppressions.suppress(tx, known.email, Reason.ERASED, "erasure", now)
    tx.execute(
        update(subscriber)
        .where(subscriber.c.id == subscriber_id)
        .values(
            email="",
            email_key=f"erased {subscriber_id}",
            email_hash="",
            name="",
            consent="",
            state=SubscriberState.UNSUBSCRIBED,
            state_reason="erased",
            state_at=now,
        )
    )
    tx.execute(update(delivery).where(delivery.c.subscriber_id == subscriber_id).values(email=""))
    votes.erase(tx, subscriber_id)
    tx.execute(delete(paper_lookup).where(paper_lookup.c.subscriber_id == subscriber_id))
    return True


def of_row(row: Row[Any]) -> Subscriber:
    """The subscriber in a row of its table, or of a join that starts with it."""
    return Subscriber(
        id=row.id,
        email=row.email,
        rubric=row.rubric,
        name=row.name,
        timezone=row.timezone,
        send_at=time.fromisoformat(row.send_at) if row.send_at else None,
        days=tuple(row.days),
        max_papers=row.max_papers,
        format=Format(row.format),
        state=SubscriberState(row.state),
        consent=row.consent,
        since=row.since,
        chosen=tuple(row.chosen),
    )


def subscriber_columns(given: Subscriber, now: datetime) -> dict[str, Any]:
    """All that the table keeps of one, but for its id and the day it came."""
    return {
        "email": given.email,
        "email_key": canonical(given.email),
        "email_hash": fingerprint(given.email),
        "name": given.name,
        "rubric": given.rubric,
        "timezone": given.timezone,
        "send_at": f"{given.send_at:%H:%M}" if given.send_at else None,
        "days": list(given.days),
        "max_papers": given.max_papers,
        "format": given.format,
        "state": given.state,
        "state_at": now,
        "consent": given.consent,
        "chosen": list(given.chosen),
    }


def _first(tx: Connection, query: Select[Any]) -> Subscriber | None:
    row = tx.execute(query).one_or_none()
    return of_row(row) if row else None


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
        .where(subscriber.c.id == subscriber_id, subscriber.c.state == before)
        .values(state=after, state_reason=way, state_at=now)
    )
    return done.rowcount == 1
