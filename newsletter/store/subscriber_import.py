"""Import of subscribers in bulk: rows of a file, or of a command line."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import insert, select

from newsletter.domain.addresses import canonical, fingerprint
from newsletter.domain.mail import OWN_PREFERENCES, SubscriberState
from newsletter.domain.paging import paged
from newsletter.domain.subscriber_import import (
    FROM_FILE,
    FieldChange,
    Merged,
    merge,
    new_subscription,
)
from newsletter.store import StoreError, first_mails, subscriptions
from newsletter.store.subscribers import SubscriberChange
from newsletter.store.subscription_rows import of_row, query_rows
from newsletter.store.tables import rubric_suppression, subscriber, subscription, suppression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.domain.mail import Subscription
    from newsletter.domain.subscriber_csv import SubscriberRow


@dataclass(slots=True)
class ImportResult:
    """The rows of an import by their change, in order, and the rows to report singly."""

    rows: defaultdict[SubscriberChange, list[SubscriberRow]] = field(
        default_factory=lambda: defaultdict(list)
    )
    notable: list[tuple[SubscriberRow, Merged]] = field(default_factory=list)
    """Rows that change a known reader, or that differ from what the reader chose."""

    @property
    def counts(self) -> Counter[SubscriberChange]:
        return Counter({change: len(rows) for change, rows in self.rows.items()})


def _new_id() -> str:
    return uuid4().hex


def save_all(
    tx: Connection,
    rows: Iterable[SubscriberRow],
    consent: str,
    now: datetime,
    *,
    overwrite: bool = False,
    new_id: Callable[[], str] = _new_id,
) -> ImportResult:
    """Save each row: active with its consent, or waiting for a confirmation without.

    `new_id` makes the ids of new subscribers.
    """
    done = ImportResult()
    for page in paged(rows):
        for once in _without_repeats(page):
            _save_some(tx, once, consent.strip(), now, done, overwrite=overwrite, new_id=new_id)
    return done


def _without_repeats(rows: Sequence[SubscriberRow]) -> list[dict[str, SubscriberRow]]:
    """The rows by address key, in order; a repeated address starts a new part."""
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
    new_id: Callable[[], str],
) -> None:
    shut = _suppressed(tx, rows)
    known = _known(tx, rows)
    new: list[Subscription] = []
    for key, row in rows.items():
        if key in shut:
            done.rows[SubscriberChange.SUPPRESSED].append(row)
            continue
        if key not in known:
            done.rows[SubscriberChange.ADDED].append(row)
            new.append(new_subscription(row, consent, new_id(), now))
            continue
        _save_known(tx, row, known[key], consent, now, done, overwrite=overwrite)
    if new:
        pairs = [subscriptions.rows_of_new(one, now) for one in new]
        tx.execute(insert(subscriber), [of_reader for of_reader, _ in pairs])
        tx.execute(insert(subscription), [own for _, own in pairs])
        if consent:
            first_mails.add_imported(tx, [one["email_hash"] for one, _ in pairs], now)


def _save_known(
    tx: Connection,
    row: SubscriberRow,
    read: Sequence[Subscription],
    consent: str,
    now: datetime,
    done: ImportResult,
    *,
    overwrite: bool,
) -> None:
    """Save a row of a known address with the subscriptions `read`: change one, or add one."""
    known = next((one for one in read if one.rubric == row.rubric), None)
    added = known is None
    if known is None:
        known = _add(tx, row, read, consent, now)
    merged = merge(known, row, consent, overwrite=overwrite)
    result = subscriptions.change(tx, known, merged.person, now)
    if added:
        result = SubscriberChange.ADDED
        before = [one.rubric for one in read if one.state is not SubscriberState.UNSUBSCRIBED]
        more = FieldChange("rubrics", " ".join(before), " ".join([*before, row.rubric]))
        merged = replace(merged, changes=(more, *merged.changes))
    if merged.changes or merged.kept:
        done.notable.append((row, merged))
    done.rows[result].append(row)


def _add(
    tx: Connection, row: SubscriberRow, read: Sequence[Subscription], consent: str, now: datetime
) -> Subscription:
    """Add a subscription. Preferences that the reader chose for others do not apply to it."""
    given, active = consent or FROM_FILE, bool(consent)
    made = subscriptions.add(
        tx, read[0].subscriber_id, row.rubric, now, consent=given, active=active
    )
    known = subscriptions.by_id(tx, made)
    if known is None:
        message = f"subscription {made} vanished in its own transaction"
        raise StoreError(message)
    of_reader = tuple(name for name in known.chosen if name not in OWN_PREFERENCES)
    return replace(known, chosen=of_reader)


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


def _known(tx: Connection, rows: dict[str, SubscriberRow]) -> dict[str, list[Subscription]]:
    """The subscriptions of each address that has any."""
    found: dict[str, list[Subscription]] = {}
    stored = query_rows().where(subscriber.c.email_key.in_(rows))
    for row in tx.execute(stored.order_by(subscription.c.since, subscription.c.id)):
        found.setdefault(row.email_key, []).append(of_row(row))
    return found
