"""Later versions of stored papers, and the withdrawals among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import and_, exists, func, select

from newsletter.domain.model import NewsKind, Withdrawal
from newsletter.domain.paging import paged
from newsletter.domain.withdrawals import is_withdrawn
from newsletter.store.tables import digest, digest_paper, paper, paper_news, paper_version
from newsletter.store.upsert import insert_new

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime
    from typing import Any

    from sqlalchemy import Connection, Select

    from newsletter.domain.model import Paper


def known(tx: Connection, ids: Sequence[str]) -> dict[str, int]:
    """The newest stored version of each paper; unknown papers are absent."""
    found: dict[str, int] = {}
    for page in paged(ids):
        first = select(paper.c.id, paper.c.version).where(paper.c.id.in_(page))
        found |= {row.id: row.version for row in tx.execute(first)}
        newest = func.max(paper_version.c.version).label("newest")
        later = select(paper_version.c.paper_id, newest).where(paper_version.c.paper_id.in_(page))
        rows = tx.execute(later.group_by(paper_version.c.paper_id))
        found |= {row.paper_id: max(row.newest, found.get(row.paper_id, 0)) for row in rows}
    return found


def keep(tx: Connection, papers: Iterable[Paper], now: datetime) -> int:
    """Store the versions that are newer than the stored ones; return their number."""
    later = {(one.id, one.version): one for one in papers if one.version > 1}
    have = known(tx, sorted({paper_id for paper_id, _ in later}))
    rows = [
        {
            "paper_id": one.id,
            "version": one.version,
            "title": one.title,
            "abstract": one.abstract,
            "comment": one.comment,
            "updated": one.updated,
            "withdrawn": is_withdrawn(one),
            "seen_at": now,
        }
        for one in later.values()
        if one.version > have.get(one.id, one.version)
    ]
    for page in paged(rows):
        insert_new(tx, paper_version, page)
    return len(rows)


class LaterVersion(NamedTuple):
    """The newest version of a paper that came after the stored one."""

    version: int
    title: str
    comment: str
    withdrawn: bool


def newest(tx: Connection, paper_id: str) -> LaterVersion | None:
    columns = (paper_version.c[name] for name in LaterVersion._fields)
    rows = tx.execute(
        select(*columns)
        .where(paper_version.c.paper_id == paper_id)
        .order_by(paper_version.c.version.desc())
        .limit(1)
    )
    row = rows.first()
    return LaterVersion(*row) if row else None


def unreported_withdrawals(tx: Connection, slug: str) -> list[Withdrawal]:
    """Picked papers of a rubric that were withdrawn and that no digest reported yet."""
    told = exists().where(
        and_(
            paper_news.c.rubric == slug,
            paper_news.c.paper_id == digest_paper.c.paper_id,
            paper_news.c.kind == NewsKind.WITHDRAWN,
        )
    )
    query = (
        _withdrawn()
        .where(digest_paper.c.rubric == slug, digest_paper.c.picked, ~told)
        .order_by(digest.c.date, paper.c.id)
    )
    return [Withdrawal(row.id, row.title, row.date, row.comment) for row in tx.execute(query)]


def withdrawn_of(tx: Connection, digest_id: int) -> dict[str, str]:
    """The withdrawn picks of a digest, with their authors' comments."""
    query = _withdrawn().where(digest_paper.c.digest_id == digest_id, digest_paper.c.picked)
    return {row.id: row.comment for row in tx.execute(query)}


def picked_between(
    tx: Connection, slug: str, first: date, before: date
) -> list[tuple[str, str, tuple[str, ...]]]:
    """Id, title and authors of a rubric's picks on dates from `first` to before `before`.

    Withdrawn papers are left out: their authors may submit them again.
    """
    gone = _withdrawn().where(digest_paper.c.rubric == slug, digest_paper.c.picked)
    query = (
        select(paper.c.id, paper.c.title, paper.c.authors)
        .join(digest_paper, digest_paper.c.paper_id == paper.c.id)
        .join(digest, digest.c.id == digest_paper.c.digest_id)
        .where(digest_paper.c.rubric == slug, digest_paper.c.picked)
        .where(digest.c.date >= first, digest.c.date < before)
    )
    withdrawn = {row.id for row in tx.execute(gone)}
    rows = (row for row in tx.execute(query) if row.id not in withdrawn)
    return [(row.id, row.title, tuple(row.authors)) for row in rows]


def sent_since(tx: Connection, first: date, most: int) -> list[str]:
    """Picks of digests from the date `first` on, those of the newest digests first."""
    picked = (
        select(digest_paper.c.paper_id, func.max(digest.c.date).label("sent"))
        .join(digest, digest.c.id == digest_paper.c.digest_id)
        .where(digest_paper.c.picked, digest.c.date >= first)
        .group_by(digest_paper.c.paper_id)
        .order_by(func.max(digest.c.date).desc(), digest_paper.c.paper_id)
    )
    return [row.paper_id for row in tx.execute(picked.limit(most))]


def _withdrawn() -> Select[Any]:
    """Papers in digests whose newest version is a withdrawal; a later version may undo it."""
    later = paper_version.alias("later")
    superseded = exists().where(
        and_(
            later.c.paper_id == paper_version.c.paper_id,
            later.c.version > paper_version.c.version,
        )
    )
    return (
        select(paper.c.id, paper.c.title, digest.c.date, paper_version.c.comment)
        .select_from(paper_version)
        .join(paper, paper.c.id == paper_version.c.paper_id)
        .join(digest_paper, digest_paper.c.paper_id == paper.c.id)
        .join(digest, digest.c.id == digest_paper.c.digest_id)
        .where(paper_version.c.withdrawn, ~superseded)
    )
