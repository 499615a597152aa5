"""What the operator has to know, and was told; and how the last steps of the work went.

Where this database comes from and where it went.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from newsletter.store.tables.types import Moment, metadata

OPEN = text("cleared_at IS NULL")

# One row for each time that something was wrong, from when it was first seen until it was over.
# `not_before`: the mail about it may have gone out, it is not tried again before then.
alert = Table(
    "alert",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(200), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("fix", Text, nullable=False),
    Column("command", Text, nullable=False),
    Column("first_seen", Moment, nullable=False),
    Column("last_seen", Moment, nullable=False),
    Column("told_at", Moment),
    Column("not_before", Moment),
    Column("cleared_at", Moment, index=True),
    # Two processes that find the same at once make one row of it.
    Index("uq_alert_open", "key", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
)

# What kept a rubric's digest of a date from being made, or whole; without a rubric, all of them.
trouble = Table(
    "trouble",
    metadata,
    Column("rubric", String(64), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("at", Moment, nullable=False),
)

# How long the last fetch, scoring, rendering and sending took.
duration = Table(
    "duration",
    metadata,
    Column("step", String(32), primary_key=True),
    Column("seconds", Float, nullable=False),
    Column("at", Moment, nullable=False),
)

# The receipt of each digest in numbers, so that nobody has to open them all to count.
digest_outcome = Table(
    "digest_outcome",
    metadata,
    Column("digest_id", Integer, ForeignKey("digest.id"), primary_key=True),
    Column("outcome", String(32), primary_key=True),
    Column("papers", Integer, nullable=False),
)

# The days on which the service gave its sign of life.
ping = Table(
    "ping",
    metadata,
    Column("day", Date, primary_key=True),
    Column("at", Moment, nullable=False),
)

# A row for each fact; `kind` is one of `store/database_role.py`. They belong to this place: a copy
# of the
# database elsewhere takes none of them along.
origin = Table(
    "origin",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("place", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("until", Moment),
)
