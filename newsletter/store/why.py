"""Queries about one paper: its listings, the digest that covers it, the scores around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Text, func, literal_column, select

from newsletter.domain.model import Outcome, Unscored
from newsletter.domain.paging import paged
from newsletter.store.papers import paper_of
from newsletter.store.tables import (
    call,
    digest,
    digest_paper,
    fetched,
    listing,
    paper,
    score,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from typing import Any

    from sqlalchemy import ColumnElement, Connection, Row

    from newsletter.domain.model import Paper

TITLE_START = literal_column("lower(substr(paper.title, 1, 200))", Text)
"""As the index of titles has it: with its numbers as parameters no database would use it."""
READ = ("paper_id", "reading", "relevance", "novelty", "similarity")
LAST_CHARACTER = "\U0010ffff"
"""Greater than any character of a title."""


class CoveringRow(NamedTuple):
    """The digest that covers a paper; `unscored` where an outcome is recorded."""

    digest_id: int
    unscored: Unscored | None


class StoredReading(NamedTuple):
    """The scores of one reading of a paper."""

    paper_id: str
    reading: int
    relevance: int
    novelty: int


def papers_by_title(tx: Connection, title: str, limit: int) -> list[Paper]:
    """The newest papers whose title is `title`, in any case; else those it is the beginning of."""
    wanted = func.lower(title)
    whole = (
        select(paper).where(wanted == TITLE_START).order_by(paper.c.published.desc()).limit(limit)
    )
    if found := tx.execute(whole).all():
        return [paper_of(row) for row in found]
    # PostgreSQL's index of beginnings knows these operators only, which bind like ||.
    at_least, below = ("~>=~", "~<~") if tx.dialect.name == "postgresql" else (">=", "<")
    end = wanted.concat(LAST_CHARACTER).self_group()
    begins = TITLE_START.bool_op(at_least)(wanted) & TITLE_START.bool_op(below)(end)
    return [paper_of(row) for row in tx.execute(select(paper).where(begins).limit(limit))]


def listing_dates(tx: Connection, found: Paper) -> dict[str, date]:
    """The date of a paper's listing in each of its categories."""
    mine = listing.c.category.in_(found.categories) & (listing.c.paper_id == found.id)
    return {row.category: row.date for row in tx.execute(select(listing).where(mine))}


def covering(tx: Connection, slugs: Sequence[str], paper_id: str) -> dict[str, CoveringRow]:
    """By rubric, the digest that covers a paper."""
    mine = digest_paper.c.rubric.in_(slugs) & (digest_paper.c.paper_id == paper_id)
    found = {}
    for row in tx.execute(select(digest_paper).where(mine)):
        unscored = Unscored(Outcome(row.outcome), row.reason or "") if row.outcome else None
        found[row.rubric] = CoveringRow(row.digest_id, unscored)
    return found


def issue_dates(tx: Connection, slugs: Sequence[str]) -> dict[str, tuple[date, date]]:
    """By rubric, the dates of its first and newest digest."""
    mine = digest.c.rubric.in_(slugs) & (digest.c.since == digest.c.date)
    columns = digest.c.rubric, func.min(digest.c.date), func.max(digest.c.date)
    rows = tx.execute(select(*columns).where(mine).group_by(digest.c.rubric))
    return {row[0]: (row[1], row[2]) for row in rows}


def scorers_of(tx: Connection, slug: str, day: date) -> list[str]:
    """The scorers that were called for a rubric's day."""
    mine = (call.c.rubric == slug) & (call.c.date == day)
    return list(tx.scalars(select(call.c.scorer).where(mine).distinct()))


def unpicked_readings(
    tx: Connection, digest_id: int, fingerprint: str, scorers: Sequence[str]
) -> list[StoredReading]:
    """Both readings of the papers that a digest covers and did not pick."""
    ids = _covered_papers(tx, digest_id, ~digest_paper.c.picked)
    rows = _scores(tx, fingerprint, scorers, ids)
    return [
        StoredReading(row.paper_id, row.reading, row.relevance, row.novelty)
        for row in rows
        if row.relevance is not None and row.novelty is not None
    ]


def local_rank(
    tx: Connection, digest_id: int, fingerprint: str, scorer: str, similarity: float
) -> tuple[int, int]:
    """Place of a similarity among the papers of a digest, and how many were ranked."""
    ids = _covered_papers(tx, digest_id)
    ranked = [row.similarity or 0.0 for row in _scores(tx, fingerprint, [scorer], ids)]
    return sum(other > similarity for other in ranked) + 1, len(ranked)


def _covered_papers(tx: Connection, digest_id: int, *which: ColumnElement[bool]) -> list[str]:
    query = select(digest_paper.c.paper_id).where(digest_paper.c.digest_id == digest_id, *which)
    return list(tx.scalars(query))


def _scores(
    tx: Connection, fingerprint: str, scorers: Sequence[str], ids: Sequence[str]
) -> Iterator[Row[Any]]:
    """Scores by their key: joined with the digest's papers, SQLite reads those for each score."""
    for page in paged(ids):
        query = select(*(score.c[name] for name in READ)).where(
            score.c.fingerprint == fingerprint,
            score.c.scorer.in_(scorers),
            score.c.paper_id.in_(page),
        )
        yield from tx.execute(query)


def count_excluded(tx: Connection, digest_ids: Sequence[int], word: str) -> int:
    """How many papers a word excluded from these digests."""
    query = select(func.count()).where(
        digest_paper.c.digest_id.in_(digest_ids),
        digest_paper.c.outcome == Outcome.EXCLUDED.value,
        digest_paper.c.reason == word,
    )
    return int(tx.execute(query).scalar_one())


def paper_counts(tx: Connection, category: str, limit: int) -> list[int]:
    """Papers of the last announcements that were complete in a category."""
    query = select(fetched.c.papers).where(fetched.c.category == category, fetched.c.papers > 0)
    return list(tx.scalars(query.order_by(fetched.c.date.desc()).limit(limit)))
