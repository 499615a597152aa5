"""Alerts, incidents, step durations, digest figures, healthcheck pings, the database's role,
and the log of operators' actions.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from newsletter.store.tables.types import Moment, metadata, partial_index

# One row each time an alert is raised, from first seen until cleared. `not_before`: its mail may
# have been sent, and is not retried earlier.
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
    # Two processes that raise the same alert at once share one row.
    partial_index("uq_alert_open", "key", where="cleared_at IS NULL", unique=True),
)

# Incidents: why the digest of a rubric and date was not made, or lacks papers. An empty rubric
# means all of them.
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

# Duration of the last fetch, scoring, rendering and sending.
duration = Table(
    "duration",
    metadata,
    Column("step", String(32), primary_key=True),
    Column("seconds", Float, nullable=False),
    Column("at", Moment, nullable=False),
)

# Figures of each digest, so that counting parses no digest.
digest_outcome = Table(
    "digest_outcome",
    metadata,
    Column("digest_id", Integer, ForeignKey("digest.id"), primary_key=True),
    Column("outcome", String(32), primary_key=True),
    Column("papers", Integer, nullable=False),
)

# Days on which the healthcheck was pinged.
ping = Table(
    "ping",
    metadata,
    Column("day", Date, primary_key=True),
    Column("at", Moment, nullable=False),
)

# Facts about the role of this database; `kind` is one of `store/database/database_role.py`.
# `db copy` does not copy them.
origin = Table(
    "origin",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("place", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("until", Moment),
)

# What operators did on their pages (`store/operator/actions.py`). `id` comes from the form, so that
# a form counts once. `before` and `after` are the state of `subject`, for undo.
operator_action = Table(
    "operator_action",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("at", Moment, nullable=False, index=True),
    Column("operator", Text, nullable=False),
    Column("session", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("subscriber_id", String(32), index=True),
    Column("before", JSON, nullable=False),
    Column("after", JSON, nullable=False),
    Column("result", Text, nullable=False, server_default=""),
    Column("undone_at", Moment),
    Column("undone_by", Text, nullable=False, server_default=""),
    Index(None, "subject", "at"),
)
