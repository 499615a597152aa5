"""Polls of announcements and feed checks; `apply` stores what one poll changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from newsletter.domain.announcements import previous
from newsletter.domain.completeness import FeedCheck, Poll, is_shown
from newsletter.store import paper_metadata, paper_versions, papers
from newsletter.store.tables import crosscheck, look
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime
    from typing import Any

    from sqlalchemy import Connection, Table

    from newsletter.domain.completeness import Decision

MAX_MISSED = 3
"""Most consecutive announcements that did not take place: arXiv's year-end break."""
FRESH = "fresh"
"""`FeedState.FRESH`: the feed is of that day in some category."""


def apply(tx: Connection, decision: Decision) -> int:
    """Store the result of one poll; return the number of papers that are new in some category.

    What another process has stored in the meantime stays as it is.
    """
    known = papers.dated_entries(tx, sorted(decision.polls), list(decision.papers))
    on_time = [entry for entry in decision.on_time if entry not in known]
    late = [entry for entry in decision.late if entry not in known]
    new = {entry.paper_id for entry in [*on_time, *late]}
    # Known papers too: one that left a category must not be counted there (late_papers.py).
    stored = new | {entry.paper_id for entry in known}
    papers.keep(tx, [decision.papers[key] for key in sorted(stored)])
    papers.list_papers(tx, decision.date, on_time, late=False)
    papers.list_papers(tx, decision.date, late, late=True)
    papers.mark_fetched(tx, decision.completed)
    keep_polls(tx, decision.date, decision.polls)
    if decision.check:
        keep_check(tx, decision.date, decision.check, decision.at)
    paper_versions.keep(tx, decision.versions, decision.at)
    paper_metadata.keep(tx, (one for one in decision.versions if one.version > 1), decision.at)
    return len(new)


def polls_of(tx: Connection, day: date, now: datetime | None = None) -> dict[str, Poll]:
    """The last poll of each category for the announcement of `day`, until `now`.

    A poll in the future comes from a clock that was set back, and is ignored.
    """
    columns = look.c.category, look.c.papers, look.c.since, look.c.at, look.c.looks, look.c.out_at
    query = select(*columns).where(look.c.date == day)
    rows = tx.execute(query if now is None else query.where(look.c.at <= now))
    return {row[0]: Poll(*row[1:]) for row in rows}


def keep_polls(tx: Connection, day: date, polls: Mapping[str, Poll]) -> None:
    """Store the last poll of each category."""
    rows = []
    for category, poll in sorted(polls.items()):
        row = poll._asdict()
        row["looks"] = row.pop("polls")
        rows.append({"date": day, "category": category, **row})
    _upsert(tx, look, rows)


def missed_before(tx: Connection, day: date, categories: Iterable[str]) -> list[date]:
    """The announcements right before `day` that did not take place, the newest first.

    An unknown holiday is recognized by this: all categories were polled, and no poll found a paper.
    """
    missed: list[date] = []
    for _ in range(MAX_MISSED):
        before = previous(missed[-1] if missed else day)
        polls = polls_of(tx, before)
        if not set(categories) <= polls.keys() or is_shown(polls.values()):
            break
        missed.append(before)
    return missed


def keep_check(tx: Connection, day: date, check: FeedCheck, now: datetime) -> None:
    """Store the last feed check of a day; one without counts does not replace one with counts."""
    is_fresh = crosscheck.c.state == FRESH
    fresh = select(crosscheck.c.date).where(crosscheck.c.date == day, is_fresh)
    if not check.listed and tx.execute(fresh).first():
        return
    row = {
        "date": day,
        "state": check.state,
        "named": check.listed,
        "apart": [list(one) for one in check.mismatches],
        "at": now,
    }
    _upsert(tx, crosscheck, [row])


def check_of(tx: Connection, day: date) -> FeedCheck | None:
    row = tx.execute(select(crosscheck).where(crosscheck.c.date == day)).first()
    if row is None:
        return None
    listed = {name: (there, of) for name, (there, of) in row.named.items()}
    return FeedCheck(row.state, listed, tuple((one[0], one[1], one[2]) for one in row.apart))


def _upsert(tx: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, or update those that have the same primary key."""
    if rows:
        query = insert(tx, table)
        keys = table.primary_key.columns
        changed = {name: query.excluded[name] for name in rows[0] if name not in keys}
        tx.execute(query.on_conflict_do_update(index_elements=list(keys), set_=changed), rows)
