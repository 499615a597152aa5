"""Leader lease, heartbeats of processes, and ended operator sessions."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from newsletter.store.tables.types import Moment, metadata

# The leader lease. `turn` counts the owner's renewals: other processes check whether it grows and
# never compare clocks; `until` is only information for people.
lease = Table(
    "lease",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("owner", String(160), nullable=False),
    Column("turn", Integer, nullable=False),
    Column("until", Moment, nullable=False),
)

# One row for each running process, with its last heartbeat.
life = Table(
    "life",
    metadata,
    Column("owner", String(160), primary_key=True),
    Column("role", String(32), nullable=False),
    Column("seen", Moment, nullable=False),
)

# Operator sessions ended by a logout; `id` is the hash of the session's name.
ended_session = Table(
    "ended_session",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at", Moment, nullable=False),
)
