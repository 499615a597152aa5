"""Polls of announcements, and their comparison with arXiv's RSS feed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from newsletter.domain.completeness import FeedCheck, Poll
from newsletter.store.tables import crosscheck, look
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime
    from typing import Any

    from sqlalchemy import Connection, Select, Table


def polls_of(tx: Connection, day: date, now: datetime | None = None) -> dict[str, Poll]:
    """The last poll of each category for the announcement of `day`, until `now`.

    A poll in the future comes from a clock that was set back, and is ignored.
    """
    columns = look.c.category, *(look.c[name] for name in Poll._fields)
    query = select(*columns).where(look.c.date == day)
    rows = tx.execute(query if now is None else query.where(look.c.at <= now))
    return {row[0]: Poll(*row[1:]) for row in rows}


def keep_polls(tx: Connection, day: date, looks: Mapping[str, Poll]) -> None:
    """Store the last poll of each category."""
    keys = ("date", "category")
    _upsert(
        tx, look, keys, [{"date": day, "category": n} | looks[n]._asdict() for n in sorted(looks)]
    )


def polled_empty(tx: Connection, day: date, categories: Iterable[str]) -> bool:
    """Whether all categories were polled for `day` and no poll found a paper."""
    seen = polls_of(tx, day)
    return set(categories) <= seen.keys() and not any(one.out_at for one in seen.values())


def keep_check(tx: Connection, day: date, check: FeedCheck, now: datetime) -> None:
    """Store the last feed check of a day; an empty one does not replace one with counts."""
    if not check.named and tx.execute(_named_check(day)).first():
        return
    apart = [list(one) for one in check.apart]
    given = {"state": check.state, "named": check.named, "apart": apart, "at": now}
    _upsert(tx, crosscheck, ("date",), [{"date": day} | given])


def _upsert(
    tx: Connection, table: Table, keys: Sequence[str], rows: Sequence[dict[str, Any]]
) -> None:
    """Write rows over those with their keys."""
    if not rows:
        return
    query = insert(tx, table)
    anew = {name: query.excluded[name] for name in rows[0] if name not in keys}
    tx.execute(query.on_conflict_do_update(index_elements=list(keys), set_=anew), rows)


def _named_check(day: date) -> Select[date]:
    fresh = crosscheck.c.state == "fresh"
    return select(crosscheck.c.date).where(crosscheck.c.date == day, fresh)


def check_of(tx: Connection, day: date) -> FeedCheck | None:
    row = tx.execute(select(crosscheck).where(crosscheck.c.date == day)).first()
    if row is None:
        return None
    named = {name: (there, of) for name, (there, of) in row.named.items()}
    return FeedCheck(row.state, named, tuple((one[0], one[1], one[2]) for one in row.apart))
