"""Papers, their listings and versions, announcements and polls."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    false,
    text,
)

from newsletter.store.tables.types import Moment, metadata

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
    Column("journal_ref", Text, nullable=False, server_default=""),
    Column("doi", Text, nullable=False, server_default=""),
    # Titles are searched by their beginning; PostgreSQL limits the size of an index entry.
    Index("ix_paper_title", text("lower(substr(title, 1, 200))")),
)

# A paper is listed once in each of its categories, on the date it was new there.
listing = Table(
    "listing",
    metadata,
    Column("category", String(32), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("date", Date, nullable=False),
    Column("late", Boolean, nullable=False),
    Index(None, "date", "category"),
)

# An announcement that is complete in a category. `how`: `completeness.CompletedBy`.
fetched = Table(
    "fetched",
    metadata,
    Column("category", String(32), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("papers", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("how", String(16), nullable=False, server_default=""),
)

# The last poll of an announcement in a category (`completeness.Poll`); `looks` counts the polls.
look = Table(
    "look",
    metadata,
    Column("date", Date, primary_key=True),
    Column("category", String(32), primary_key=True),
    Column("papers", Integer, nullable=False),
    Column("since", Moment, nullable=False),
    Column("at", Moment, nullable=False),
    Column("looks", Integer, nullable=False),
    Column("out_at", Moment),
)

# The last check of an announcement against arXiv's feed (`completeness.FeedCheck`): `named` are the
# listed papers by category, `apart` the mismatches.
crosscheck = Table(
    "crosscheck",
    metadata,
    Column("date", Date, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("named", JSON, nullable=False),
    Column("apart", JSON, nullable=False),
    Column("at", Moment, nullable=False),
)

# Later versions of stored papers; `paper` keeps the text of the first listing.
paper_version = Table(
    "paper_version",
    metadata,
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("title", Text, nullable=False),
    Column("abstract", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("updated", Moment, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Index(None, "withdrawn"),
)

# What arXiv's metadata says now of a mailed paper. `asked_at` is stored before the request: if that
# fails, it is repeated another day. Until the first answer `seen_at` is null and texts are empty.
paper_metadata = Table(
    "paper_metadata",
    metadata,
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("asked_at", Moment, nullable=False),
    Column("seen_at", Moment),
    Column("title", Text, nullable=False, server_default=""),
    Column("comment", Text, nullable=False, server_default=""),
    Column("journal_ref", Text, nullable=False, server_default=""),
    Column("doi", Text, nullable=False, server_default=""),
    Column("withdrawn", Boolean, nullable=False, server_default=false()),
)

# The digest that told a rubric's readers news of a paper: each kind (`NewsKind`) once.
paper_news = Table(
    "paper_news",
    metadata,
    Column("rubric", String(64), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("digest_id", Integer, ForeignKey("digest.id"), nullable=False),
)
