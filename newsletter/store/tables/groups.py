"""Mails that leave in one request."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from newsletter.store.tables.columns import Moment, metadata

# One request for many readers of one rendering. A second try is a new row, with a batch of its own.
mail_group = Table(
    "mail_group",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest_id", Integer, ForeignKey("digest.id"), nullable=False),
    Column("rendering", String(64), nullable=False),
    Column("readers", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("batch_id", String(128), unique=True),
    Column("send_at", Moment),
    Column("lease_owner", String(160), nullable=False),
    Column("lease_until", Moment, nullable=False),
    Column("provider_id", String(128)),
    Column("reason", Text, nullable=False, default=""),
    Column("started_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Index(None, "digest_id", "state"),
)
