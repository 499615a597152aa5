"""Work that is placed on machines."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Date, Index, Integer, String, Table, Text, UniqueConstraint

from newsletter.store.tables.columns import Moment, metadata

# What is to be done, for engines that place work elsewhere. `gen` counts the times it was placed,
# `tries` how often in a row its worker was lost; `owner` is the life that holds it now.
unit = Table(
    "unit",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("date", Date, nullable=False),
    Column("subject", String(64), nullable=False),
    Column("ids", JSON, nullable=False),
    Column("wanted_by", Moment),
    Column("gen", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("sent", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("owner", String(160), nullable=False),
    Column("touched", Moment, nullable=False),
    Column("made_at", Moment, nullable=False),
    UniqueConstraint("kind", "date", "subject"),
    Index(None, "state"),
)
