"""Digests, and the full-text index of their papers."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from newsletter.store.tables.types import Moment, metadata, partial_index

# Covers one announcement (`since` equals `date`), or all from `since` to `date` in one mail.
digest = Table(
    "digest",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rubric", String(64), nullable=False),
    Column("date", Date, nullable=False),
    Column("since", Date, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("picks", Integer, nullable=False),
    Column("announced", Integer, nullable=False),
    Column("scanned", Integer, nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Moment, nullable=False),
    UniqueConstraint("rubric", "date", "since"),
    # Few queries name a rubric. A row holds the whole body: a scan reads tens of kilobytes of each.
    Index(None, "date", "rubric"),
    Index(None, "at"),
)

# Which digest of a rubric covered a paper: at most one. `outcome` and `reason` are set for papers
# that were not scored; those of digests from before the columns existed have neither.
digest_paper = Table(
    "digest_paper",
    metadata,
    Column("rubric", String(64), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("digest_id", Integer, ForeignKey("digest.id"), nullable=False, index=True),
    Column("picked", Boolean, nullable=False),
    Column("outcome", String(32)),
    Column("reason", Text),
    # Few of the papers that a digest covers are picked: mailed papers are found by it.
    partial_index("ix_digest_paper_picked", "digest_id", where="picked"),
)

# Full text of every picked paper, for the search; `number` is its position in the digest.
archive_text = Table(
    "archive_text",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest_id", Integer, ForeignKey("digest.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("rubric", String(64), nullable=False),
    Column("date", Date, nullable=False),
    Column("paper_id", String(32), nullable=False),
    Column("title", Text, nullable=False),
    Column("authors", Text, nullable=False),
    Column("abstract", Text, nullable=False),
    Column("comment", Text, nullable=False),
    UniqueConstraint("digest_id", "number"),
    Index(None, "rubric", "date"),
)
