"""Votes of readers about papers, and their reading lists."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table

from newsletter.store.tables.types import Moment, metadata

# One vote of a subscription about a paper of its rubric; a later vote replaces it.
vote = Table(
    "vote",
    metadata,
    Column("subscription_id", String(32), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("rubric", String(64), nullable=False),
    # One of `domain/votes.py`, Vote.
    Column("vote", String(16), nullable=False),
    Column("at", Moment, nullable=False),
    Index(None, "rubric", "at"),
)

saved_paper = Table(
    "saved_paper",
    metadata,
    Column("subscription_id", String(32), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("rubric", String(64), nullable=False),
    Column("at", Moment, nullable=False),
)
