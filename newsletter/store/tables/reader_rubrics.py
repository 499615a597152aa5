"""Rubrics that readers write on the web."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, Integer, String, Table, Text

from newsletter.store.tables.types import Moment, metadata

# A draft has no active version. A row is deleted with its reader.
reader_rubric = Table(
    "reader_rubric",
    metadata,
    Column("slug", String(64), primary_key=True),
    Column("subscriber_id", String(32), ForeignKey("subscriber.id"), nullable=False, index=True),
    Column("active_version", Integer),
    Column("created_at", Moment, nullable=False),
    Column("reader_paused_at", Moment),
    Column("operator_paused_at", Moment),
    # Why the operator paused it, for the reader.
    Column("reason", Text, nullable=False, default="", server_default=""),
    # The ids of the papers that it was drafted from.
    Column("liked", JSON, nullable=False, default=list, server_default="[]"),
)

reader_rubric_version = Table(
    "reader_rubric_version",
    metadata,
    Column("slug", String(64), ForeignKey("reader_rubric.slug"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    # One of `domain/reader_rubrics.py`, VersionState. The text of a draft may still change.
    Column("state", String(16), nullable=False),
    Column("saved_at", Moment, nullable=False),
)

# One row: the number grows with each change of what is active, so that processes see it cheaply.
reader_rubric_change = Table(
    "reader_rubric_change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", Integer, nullable=False),
)
