"""News of mailed papers that a rubric's readers were not told yet, and which digest told it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from newsletter.domain.model import NewsKind, PaperNews
from newsletter.domain.paging import paged
from newsletter.domain.paper_news import NEWS_WINDOW, PaperMetadata, news_of
from newsletter.store.tables import digest, digest_paper, paper, paper_metadata
from newsletter.store.tables import paper_news as paper_news_table
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy import Connection

    from newsletter.domain.model import Digest

MAX_PAPERS = 100
"""Papers of which one digest tells news; the next one tells the others."""
FIELDS = ("title", "comment", "journal_ref", "doi")


def unreported(tx: Connection, slug: str, day: date) -> list[PaperNews]:
    """News of the rubric's picks in the 90 days before `day`; the longest known paper first."""
    changed = or_(*(paper_metadata.c[name] != paper.c[name] for name in FIELDS))
    query = (
        select(
            paper.c.id,
            digest.c.date.label("sent"),
            *(paper.c[name].label(f"mailed_{name}") for name in FIELDS),
            *(paper_metadata.c[name] for name in PaperMetadata._fields),
        )
        .select_from(digest_paper)
        .join(digest, digest.c.id == digest_paper.c.digest_id)
        .join(paper, paper.c.id == digest_paper.c.paper_id)
        .join(paper_metadata, paper_metadata.c.paper_id == paper.c.id)
        .where(digest_paper.c.rubric == slug, digest_paper.c.picked, changed)
        .where(digest.c.date >= day - NEWS_WINDOW, digest.c.date < day)
        .order_by(digest.c.date, paper.c.id)
    )
    told = _told(tx, slug)
    found: list[PaperNews] = []
    papers = 0
    for row in tx.execute(query):
        mailed = PaperMetadata(*(getattr(row, f"mailed_{name}") for name in FIELDS))
        current = PaperMetadata(*(getattr(row, name) for name in PaperMetadata._fields))
        items = news_of(mailed, current, told.get(row.id, ()))
        found += [PaperNews(row.id, row.mailed_title, row.sent, *item) for item in items]
        papers += bool(items)
        if papers == MAX_PAPERS:
            break
    return found


def _told(tx: Connection, slug: str) -> dict[str, set[NewsKind]]:
    columns = paper_news_table.c.paper_id, paper_news_table.c.kind
    told: dict[str, set[NewsKind]] = {}
    for paper_id, kind in tx.execute(select(*columns).where(paper_news_table.c.rubric == slug)):
        told.setdefault(paper_id, set()).add(NewsKind(kind))
    return told


def claim(tx: Connection, digest_id: int, made: Digest) -> Digest:
    """Record the news of a digest as told by it; return it without what another digest told."""
    wanted = [(one.paper_id, NewsKind.WITHDRAWN) for one in made.withdrawn]
    wanted += [(one.paper_id, one.kind) for one in made.news]
    ours: set[tuple[str, str]] = set()
    for page in paged(wanted):
        rows = [
            {"rubric": made.rubric.slug, "paper_id": paper_id, "kind": kind, "digest_id": digest_id}
            for paper_id, kind in page
        ]
        told = insert(tx, paper_news_table).values(rows).on_conflict_do_nothing()
        columns = paper_news_table.c.paper_id, paper_news_table.c.kind
        ours |= {(row.paper_id, row.kind) for row in tx.execute(told.returning(*columns))}
    return replace(
        made,
        withdrawn=tuple(o for o in made.withdrawn if (o.paper_id, NewsKind.WITHDRAWN) in ours),
        news=tuple(one for one in made.news if (one.paper_id, one.kind) in ours),
    )
