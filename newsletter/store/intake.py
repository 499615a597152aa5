"""Many subscribers taken over at once: a few statements for hundreds of rows, not for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import insert, select

from newsletter.addresses import canonical, fingerprint
from newsletter.importing import Merged, merge, new_subscriber
from newsletter.store import first_mails, subscribers
from newsletter.store.subscribers import Change
from newsletter.store.tables import subscriber, suppression

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.roster import Row

AT_ONCE = 500
"""Names in one question: SQLite of old took 999, and each further hundred gains little."""


@dataclass(slots=True)
class Intake:
    """What became of the rows: how many met which end, and those of which more is to be said."""

    counts: Counter[Change] = field(default_factory=Counter)
    notable: list[tuple[Row, Merged]] = field(default_factory=list)
    """Rows that change a known reader, or would but for what the reader chose."""
    refused: list[tuple[Row, Merged]] = field(default_factory=list)
    """Rows that would move a known reader to another rubric: nothing of them was kept."""


def save_all(
    tx: Connection, rows: Iterable[Row], consent: str, now: datetime, *, overwrite: bool = False
) -> Intake:
    """Save each row: active with its consent, or waiting for a confirmation without."""
    done = Intake()
    rest = iter(rows)
    while some := list(islice(rest, AT_ONCE)):
        for once in _without_repeats(some):
            _save_some(tx, once, consent.strip(), now, done, overwrite=overwrite)
    return done


def _without_repeats(rows: Sequence[Row]) -> list[dict[str, Row]]:
    """The same by key, in order; an address that comes again begins a new part."""
    parts: list[dict[str, Row]] = [{}]
    for one in rows:
        key = canonical(one.email)
        if key in parts[-1]:
            parts.append({})
        parts[-1][key] = one
    return parts


def _save_some(
    tx: Connection,
    rows: dict[str, Row],
    consent: str,
    now: datetime,
    done: Intake,
    *,
    overwrite: bool,
) -> None:
    hashes = {fingerprint(one.email): key for key, one in rows.items()}
    query = select(suppression.c.email_hash).where(suppression.c.email_hash.in_(hashes))
    shut = {hashes[found] for found in tx.scalars(query)}
    stored = tx.execute(select(subscriber).where(subscriber.c.email_key.in_(rows)))
    known = {row.email_key: subscribers.of_row(row) for row in stored}
    done.counts[Change.SUPPRESSED] += len(shut)
    new: list[dict[str, Any]] = []
    for key, row in rows.items():
        if key in shut:
            continue
        if key not in known:
            made = new_subscriber(row, consent, uuid4().hex, now)
            new.append({"id": made.id, "since": now, **subscribers.columns(made, now)})
            continue
        merged = merge(known[key], row, consent, overwrite=overwrite)
        if merged.moves_to:
            done.refused.append((row, merged))
            continue
        if merged.changes or merged.kept:
            done.notable.append((row, merged))
        done.counts[subscribers.change(tx, known[key], merged.person, now)] += 1
    if new:
        tx.execute(insert(subscriber), new)
        if consent:
            first_mails.note(tx, [one["email_hash"] for one in new], now)
    done.counts[Change.ADDED] += len(new)
