"""Many subscribers taken over at once: a few statements for hundreds of rows, not for each."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from newsletter.addresses import canonical, fingerprint
from newsletter.store import subscribers
from newsletter.store.subscribers import Change
from newsletter.store.tables import subscriber, suppression

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.people import Subscriber

AT_ONCE = 500
"""Names in one question: SQLite of old took 999, and each further hundred gains little."""


def save_all(tx: Connection, given: Iterable[Subscriber], now: datetime) -> Counter[Change]:
    """What `subscribers.save` does with each of these in turn; how many met which end."""
    changes: Counter[Change] = Counter()
    rest = iter(given)
    while some := list(islice(rest, AT_ONCE)):
        for once in _without_repeats(some):
            changes += _save_some(tx, once, now)
    return changes


def _without_repeats(given: Sequence[Subscriber]) -> list[dict[str, Subscriber]]:
    """The same by key, in order; an address that comes again begins a new part."""
    parts: list[dict[str, Subscriber]] = [{}]
    for one in given:
        key = canonical(one.email)
        if key in parts[-1]:
            parts.append({})
        parts[-1][key] = one
    return parts


def _save_some(tx: Connection, given: dict[str, Subscriber], now: datetime) -> Counter[Change]:
    hashes = {fingerprint(one.email): key for key, one in given.items()}
    query = select(suppression.c.email_hash).where(suppression.c.email_hash.in_(hashes))
    shut = {hashes[found] for found in tx.scalars(query)}
    rows = tx.execute(select(subscriber).where(subscriber.c.email_key.in_(given)))
    known = {row.email_key: subscribers.of_row(row) for row in rows}
    changes = Counter({Change.SUPPRESSED: len(shut)})
    new: list[dict[str, Any]] = []
    for key, one in given.items():
        if key in shut:
            continue
        if key not in known:
            new.append({"id": one.id, "since": now, **subscribers.columns(one, now)})
            continue
        columns = subscribers.changed(known[key], one, now)
        if columns:
            mine = subscriber.c.id == known[key].id
            tx.execute(update(subscriber).where(mine).values(columns))
        changes[Change.UPDATED if columns else Change.UNCHANGED] += 1
    if new:
        tx.execute(insert(subscriber), new)
    changes[Change.ADDED] = len(new)
    return changes
