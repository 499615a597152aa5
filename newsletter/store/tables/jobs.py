"""The processes of the service: who leads, and who is alive."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from newsletter.store.tables.types import Moment, metadata

# Who does what only one process should do. `turn` counts the holder's renewals: a rival judges by
# whether it moves, never by comparing clocks; `until` is for people who look.
lease = Table(
    "lease",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("owner", String(160), nullable=False),
    Column("turn", Integer, nullable=False),
    Column("until", Moment, nullable=False),
)

# One row for each running process of the service, and when it last said so.
life = Table(
    "life",
    metadata,
    Column("owner", String(160), primary_key=True),
    Column("role", String(32), nullable=False),
    Column("seen", Moment, nullable=False),
)

# The operator's sessions that were ended by logging out; `id` is the hash of the session's name.
ended_session = Table(
    "ended_session",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at", Moment, nullable=False),
)
