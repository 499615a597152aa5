"""Import of subscribers in bulk: rows of a file, or of a command line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import insert, select

from newsletter.domain.addresses import canonical, fingerprint
from newsletter.domain.mail import SubscriberState
from newsletter.domain.subscriber_import import Merged, merge, new_subscription
from newsletter.store import first_mails, subscriptions
from newsletter.store.subscribers import SubscriberChange
from newsletter.store.subscription_rows import of_row, query_rows
from newsletter.store.tables import rubric_suppression, subscriber, subscription, suppression

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.domain.mail import Subscription
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
    shut = _suppressed(tx, rows)
    known = _known(tx, rows)
    done.counts[SubscriberChange.SUPPRESSED] += len(shut)
    new: list[Subscription] = []
    for key, row in rows.items():
        if key in shut:
            continue
        if key not in known:
            new.append(new_subscription(row, consent, uuid4().hex, now))
            continue
        merged = merge(known[key], row, consent, overwrite=overwrite)
        if merged.moves_to:
            done.refused.append((row, merged))
            continue
        if merged.changes or merged.kept:
            done.notable.append((row, merged))
        done.counts[subscriptions.change(tx, known[key], merged.person, now)] += 1
    if new:
        pairs = [subscriptions.rows_of_new(one, now) for one in new]
        tx.execute(insert(subscriber), [of_reader for of_reader, _ in pairs])
        tx.execute(insert(subscription), [own for _, own in pairs])
        if consent:
            first_mails.add_imported(tx, [one["email_hash"] for one, _ in pairs], now)
    done.counts[SubscriberChange.ADDED] += len(new)


def _suppressed(tx: Connection, rows: dict[str, SubscriberRow]) -> set[str]:
    """The keys of addresses that are suppressed, or left the rubric of their row."""
    hashes = {fingerprint(one.email): key for key, one in rows.items()}
    query = select(suppression.c.email_hash).where(suppression.c.email_hash.in_(hashes))
    shut = {hashes[found] for found in tx.scalars(query)}
    left = select(rubric_suppression.c.email_hash, rubric_suppression.c.rubric).where(
        rubric_suppression.c.email_hash.in_(hashes)
    )
    for email_hash, rubric in tx.execute(left):
        key = hashes[email_hash]
        if rows[key].rubric == rubric:
            shut.add(key)
    return shut


def _known(tx: Connection, rows: dict[str, SubscriberRow]) -> dict[str, Subscription]:
    """By key the subscription to the rubric of a row; if they read others only, one of these."""
    found: dict[str, Subscription] = {}
    stored = query_rows().where(subscriber.c.email_key.in_(rows))
    for row in tx.execute(stored.order_by(subscription.c.since.desc(), subscription.c.id)):
        one = of_row(row)
        before = found.get(row.email_key)
        if before is None or _fits(one, rows[row.email_key]) >= _fits(before, rows[row.email_key]):
            found[row.email_key] = one
    return found


def _fits(one: Subscription, row: SubscriberRow) -> tuple[bool, bool]:
    live = one.state is not SubscriberState.UNSUBSCRIBED
    return live, live and one.rubric == row.rubric
