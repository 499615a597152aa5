"""The processes of the service: who leads, and who is alive.

Work that is placed on machines.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Date, Index, Integer, String, Table, Text, UniqueConstraint

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
