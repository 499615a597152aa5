"""What arXiv announced."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Date, ForeignKey, Index, Integer, String, Table, Text

from newsletter.store.tables.columns import Moment, metadata

paper = Table(
    "paper",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("authors", JSON, nullable=False),
    Column("abstract", Text, nullable=False),
    Column("primary_category", String(32), nullable=False),
    Column("categories", JSON, nullable=False),
    Column("published", Moment, nullable=False),
    Column("updated", Moment, nullable=False),
    Column("comment", Text, nullable=False),
)

# A paper is listed once for ever in each of its categories: the date it was new there.
listing = Table(
    "listing",
    metadata,
    Column("category", String(32), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("date", Date, nullable=False),
    Column("late", Boolean, nullable=False),
    Index(None, "date", "category"),
)

# An announcement that was fetched whole for a category.
fetched = Table(
    "fetched",
    metadata,
    Column("category", String(32), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("papers", Integer, nullable=False),
    Column("at", Moment, nullable=False),
)
