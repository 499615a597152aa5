"""Leader lease, heartbeats of processes, and ended operator sessions."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Integer, String, Table, Text

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

# One row for each running process, with its last heartbeat. `differs` names the settings that it
# does not share with the planner: such a process takes no task.
life = Table(
    "life",
    metadata,
    Column("owner", String(160), primary_key=True),
    Column("role", String(32), nullable=False),
    Column("seen", Moment, nullable=False),
    Column("differs", Text, nullable=False, server_default=""),
)

# One row: fingerprints of the settings of the process that plans (`domain/shared_settings.py`).
shared_settings = Table(
    "shared_settings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
    Column("salt", String(64), nullable=False),
    Column("fingerprints", JSON, nullable=False),
    Column("owner", String(160), nullable=False),
    Column("at", Moment, nullable=False),
)

# Operator sessions ended by a logout; `id` is the hash of the session's name.
ended_session = Table(
    "ended_session",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at", Moment, nullable=False),
)
