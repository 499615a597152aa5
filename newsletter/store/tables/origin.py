"""Where this database comes from and where it went."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from newsletter.store.tables.columns import Moment, metadata

# A row for each fact; `kind` is one of `store/origin.py`. They belong to this place: a copy of the
# database elsewhere takes none of them along.
origin = Table(
    "origin",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("place", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("until", Moment),
)
