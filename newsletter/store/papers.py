"""Papers, their listings by category and date, and which announcements are complete.

A paper keeps the text of its first listing, because that text was scored.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from sqlalchemy import Row, Text, and_, cast, exists, func, select, update

from newsletter.domain.announcements import FetchRecord, ListingEntry
from newsletter.domain.model import Listing, Paper
from newsletter.domain.paging import paged
from newsletter.store.tables import digest, digest_paper, fetched, listing, paper
from newsletter.store.upsert import insert_new

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date, datetime
    from typing import Any

    from sqlalchemy import ColumnElement, Connection

FIELDS = tuple(field.name for field in fields(Paper))
EARLIER = listing.alias("earlier")


def keep(tx: Connection, papers: Sequence[Paper]) -> None:
    """Store papers. Of stored ones only the categories are updated: cross-lists come later."""
    rows = {found.id: _row(found) for found in papers}
    for page in paged(rows):
        chosen = select(paper.c.id, paper.c.categories).where(paper.c.id.in_(page))
        known = {row.id: row.categories for row in tx.execute(chosen)}
        insert_new(tx, paper, [rows[key] for key in page if key not in known])
        for key, categories in known.items():
            if categories != rows[key]["categories"]:
                renewed = {"categories": rows[key]["categories"]}
                tx.execute(update(paper).where(paper.c.id == key).values(renewed))


def list_papers(tx: Connection, day: date, entries: Iterable[ListingEntry], *, late: bool) -> None:
    """List papers under `day`; an entry that is already listed, under any date, stays as it is."""
    rows = [{**entry._asdict(), "date": day, "late": late} for entry in entries]
    for page in paged(rows):
        insert_new(tx, listing, page)


def dated_entries(
    tx: Connection, categories: Sequence[str], ids: Sequence[str]
) -> dict[ListingEntry, tuple[date, bool]]:
    """The listings of these papers in any of the categories: date, and whether late."""
    columns = listing.c.category, listing.c.paper_id, listing.c.date, listing.c.late
    found: dict[ListingEntry, tuple[date, bool]] = {}
    for page in paged(ids):
        chosen = select(*columns).where(
            listing.c.category.in_(categories), listing.c.paper_id.in_(page)
        )
        found |= {
            ListingEntry(row.category, row.paper_id): (row.date, row.late)
            for row in tx.execute(chosen)
        }
    return found


def listed(tx: Connection, categories: Sequence[str], day: date) -> list[Listing]:
    """The papers whose first listing among these categories has the date `day`, by id."""
    # Of one date, a paper is late in all of its categories or in none: its window decides.
    rows = tx.execute(
        select(paper, listing.c.late)
        .join(listing, listing.c.paper_id == paper.c.id)
        .where(_first_listed(categories, day))
    )
    found: dict[str, Listing] = {}
    for row in rows:
        found.setdefault(row.id, Listing(paper_of(row), late=row.late))
    return [found[key] for key in sorted(found)]


def listed_ids(tx: Connection, categories: Sequence[str], day: date) -> list[str]:
    """The ids of the papers that `listed` returns."""
    chosen = select(listing.c.paper_id).where(_first_listed(categories, day))
    return sorted(set(tx.scalars(chosen)))


def _first_listed(categories: Sequence[str], day: date) -> ColumnElement[bool]:
    first = ~exists().where(
        and_(
            EARLIER.c.paper_id == listing.c.paper_id,
            EARLIER.c.category.in_(categories),
            EARLIER.c.date < day,
        )
    )
    return and_(listing.c.date == day, listing.c.category.in_(categories), first)


def by_ids(tx: Connection, ids: Sequence[str]) -> Iterator[Paper]:
    """Those of the papers that are stored, in the order of `ids`."""
    for page in paged(ids):
        rows = {row.id: row for row in tx.execute(select(paper).where(paper.c.id.in_(page)))}
        yield from (paper_of(rows[key]) for key in dict.fromkeys(page) if key in rows)


def newest(tx: Connection, limit: int) -> list[Paper]:
    """The papers submitted last, newest first."""
    rows = tx.execute(select(paper).order_by(paper.c.published.desc(), paper.c.id).limit(limit))
    return [paper_of(row) for row in rows]


def count_between(tx: Connection, category: str, start: datetime, end: datetime) -> int:
    """Number of papers submitted in [start, end) that are listed in a category and still in it."""
    query = select(func.count()).select_from(paper).where(_between(category, start, end))
    return int(tx.execute(query).scalar_one())


def ids_between(tx: Connection, category: str, start: datetime, end: datetime) -> set[str]:
    """The papers that `count_between` counts."""
    return set(tx.scalars(select(paper.c.id).where(_between(category, start, end))))


def _between(category: str, start: datetime, end: datetime) -> ColumnElement[bool]:
    here = exists().where(and_(listing.c.paper_id == paper.c.id, listing.c.category == category))
    still = cast(paper.c.categories, Text).contains(f'"{category}"', autoescape=True)
    return and_(paper.c.published >= start, paper.c.published < end, still, here)


def uncovered_between(
    tx: Connection, slug: str, categories: Sequence[str], first: date, last: date
) -> list[tuple[date, str, Paper]]:
    """Papers between two dates that have digests of the rubric, but that no digest covers.

    Date, category and paper, by date and id.
    """
    made = select(digest.c.date).where(digest.c.rubric == slug, digest.c.since == digest.c.date)
    covered = exists().where(
        and_(digest_paper.c.rubric == slug, digest_paper.c.paper_id == listing.c.paper_id)
    )
    rows = tx.execute(
        select(paper, listing.c.date, listing.c.category)
        .join_from(listing, paper)
        .where(
            listing.c.date.in_(made.where(digest.c.date.between(first, last))),
            listing.c.category.in_(categories),
            ~covered,
        )
        .order_by(listing.c.date, paper.c.id)
    )
    return [(row.date, row.category, paper_of(row)) for row in rows]


def dates(tx: Connection, categories: Sequence[str], limit: int) -> list[date]:
    """The newest `limit` dates that have papers in any of the categories, newest first."""
    query = select(listing.c.date).where(listing.c.category.in_(categories)).distinct()
    return list(tx.scalars(query.order_by(listing.c.date.desc()).limit(limit)))


def fetches(
    tx: Connection, categories: Sequence[str], since: date | None = None
) -> list[FetchRecord]:
    """The complete announcements of the categories, the earliest first.

    With `since`: those from that date on, and the first one of each category.
    """
    columns = [fetched.c[name] for name in FetchRecord._fields]
    chosen = select(*columns).where(fetched.c.category.in_(categories))
    if since is not None:
        other = fetched.alias("other")
        of_same = other.c.category == fetched.c.category
        first = select(func.min(other.c.date)).where(of_same).scalar_subquery()
        chosen = chosen.where((fetched.c.date >= since) | (fetched.c.date == first))
    return [FetchRecord(*row) for row in tx.execute(chosen.order_by(fetched.c.date))]


def unfetched(tx: Connection, categories: Sequence[str], day: date) -> set[str]:
    """The categories in which the announcement of `day` is not complete."""
    chosen = select(fetched.c.category).where(
        fetched.c.category.in_(categories), fetched.c.date == day
    )
    return set(categories) - set(tx.scalars(chosen))


def has_papers(tx: Connection, day: date) -> bool:
    """Whether a complete category has papers of `day`: then arXiv shows that announcement."""
    chosen = select(fetched.c.date).where(fetched.c.date == day, fetched.c.papers > 0).limit(1)
    return tx.execute(chosen).first() is not None


def mark_fetched(tx: Connection, records: Iterable[FetchRecord]) -> None:
    """Record which categories of an announcement are complete; an existing record stays."""
    insert_new(tx, fetched, [record._asdict() for record in records])


def _row(found: Paper) -> dict[str, Any]:
    values = {name: getattr(found, name) for name in FIELDS}
    return values | {"authors": list(found.authors), "categories": list(found.categories)}


def paper_of(row: Row[Any]) -> Paper:
    values = {name: getattr(row, name) for name in FIELDS}
    return Paper(**values | {"authors": tuple(row.authors), "categories": tuple(row.categories)})
