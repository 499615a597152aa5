"""Metadata of mailed papers as arXiv shows it now, asked for again each week."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, or_, select, update

from newsletter.domain.paper_news import NEWS_WINDOW
from newsletter.domain.withdrawals import is_withdrawn
from newsletter.store.tables import digest, digest_paper, paper_metadata
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.domain.model import Paper

REPEATED_AFTER = timedelta(days=7)
RETRIED_AFTER = timedelta(hours=20)
"""After a request that failed, or whose answer a killed process did not store: another day."""


def due(tx: Connection, now: datetime, limit: int) -> list[str]:
    """Papers whose metadata is to be asked for: mailed 7 to 90 days ago, not asked for lately."""
    week_ago = now - REPEATED_AFTER
    asked_long_ago = and_(
        paper_metadata.c.asked_at <= now - RETRIED_AFTER,
        or_(paper_metadata.c.seen_at.is_(None), paper_metadata.c.seen_at <= week_ago),
    )
    query = (
        select(digest_paper.c.paper_id)
        .join(digest, digest.c.id == digest_paper.c.digest_id)
        .outerjoin(paper_metadata, paper_metadata.c.paper_id == digest_paper.c.paper_id)
        .where(digest_paper.c.picked, digest.c.at <= week_ago)
        .where(digest.c.date >= now.date() - NEWS_WINDOW)
        .where(or_(paper_metadata.c.paper_id.is_(None), asked_long_ago))
        .distinct()
        .order_by(digest_paper.c.paper_id)
        .limit(limit)
    )
    return list(tx.scalars(query))


def claim(tx: Connection, ids: Sequence[str], now: datetime) -> list[str]:
    """Store that these papers are asked for now; those that no other process asks for."""
    rows = [{"paper_id": paper_id, "asked_at": now} for paper_id in ids]
    claimed = insert(tx, paper_metadata).values(rows)
    claimed = claimed.on_conflict_do_update(
        index_elements=["paper_id"],
        set_={"asked_at": claimed.excluded.asked_at},
        where=paper_metadata.c.asked_at <= now - RETRIED_AFTER,
    )
    return sorted(tx.scalars(claimed.returning(paper_metadata.c.paper_id)))


def keep(tx: Connection, papers: Iterable[Paper], now: datetime) -> None:
    """Store what arXiv says of papers that were asked for before; others are left out."""
    rows = [
        {
            "asked": one.id,
            "seen_at": now,
            "title": one.title,
            "comment": one.comment,
            "journal_ref": one.journal_ref,
            "doi": one.doi,
            "withdrawn": is_withdrawn(one),
        }
        for one in papers
    ]
    if rows:
        tx.execute(
            update(paper_metadata).where(paper_metadata.c.paper_id == bindparam("asked")), rows
        )


def mark_seen(tx: Connection, ids: Sequence[str], now: datetime) -> None:
    """Store that arXiv answered about these papers, also those of which it says nothing."""
    asked = paper_metadata.c.paper_id.in_(ids)
    tx.execute(update(paper_metadata).where(asked).values(seen_at=now))
