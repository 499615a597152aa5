"""What the operator was told."""

from __future__ import annotations

import json

from alembic import op
from sqlalchemy import (
    Column,
    Date,
    Float,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
    text,
)

from newsletter.store.tables import Moment

revision = "0005"
down_revision = "0004"

OPEN = text("cleared_at IS NULL")


def upgrade() -> None:
    _make_alert()
    _make_trouble()
    _make_duration()
    _make_digest_outcome()
    _make_ping()


def _make_alert() -> None:
    op.create_table(
        "alert",
        Column("id", Integer(), nullable=False),
        Column("key", String(length=200), nullable=False),
        Column("kind", String(length=32), nullable=False),
        Column("subject", Text(), nullable=False),
        Column("what", Text(), nullable=False),
        Column("fix", Text(), nullable=False),
        Column("command", Text(), nullable=False),
        Column("first_seen", Moment, nullable=False),
        Column("last_seen", Moment, nullable=False),
        Column("told_at", Moment, nullable=True),
        Column("not_before", Moment, nullable=True),
        Column("cleared_at", Moment, nullable=True),
        PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index(op.f("ix_alert_cleared_at"), "alert", ["cleared_at"])
    op.create_index(
        "uq_alert_open", "alert", ["key"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )


def _make_trouble() -> None:
    op.create_table(
        "trouble",
        Column("rubric", String(length=64), nullable=False),
        Column("date", Date(), nullable=False),
        Column("kind", String(length=16), nullable=False),
        Column("reason", Text(), nullable=False),
        Column("since", Moment, nullable=False),
        Column("at", Moment, nullable=False),
        PrimaryKeyConstraint("rubric", "date", "kind", name=op.f("pk_trouble")),
    )


def _make_duration() -> None:
    op.create_table(
        "duration",
        Column("step", String(length=32), nullable=False),
        Column("seconds", Float(), nullable=False),
        Column("at", Moment, nullable=False),
        PrimaryKeyConstraint("step", name=op.f("pk_duration")),
    )


def _make_digest_outcome() -> None:
    made = op.create_table(
        "digest_outcome",
        Column("digest_id", Integer(), nullable=False),
        Column("outcome", String(length=32), nullable=False),
        Column("papers", Integer(), nullable=False),
        ForeignKeyConstraint(
            ["digest_id"], ["digest.id"], name=op.f("fk_digest_outcome_digest_id")
        ),
        PrimaryKeyConstraint("digest_id", "outcome", name=op.f("pk_digest_outcome")),
    )
    for digest_id, body in op.get_bind().execute(text("SELECT id, body FROM digest")):
        outcomes = json.loads(body).get("coverage", {}).get("outcomes", {})
        rows = [
            {"digest_id": digest_id, "outcome": name, "papers": number}
            for name, number in outcomes.items()
        ]
        if rows:
            op.bulk_insert(made, rows)


def _make_ping() -> None:
    op.create_table(
        "ping",
        Column("day", Date(), nullable=False),
        Column("at", Moment, nullable=False),
        PrimaryKeyConstraint("day", name=op.f("pk_ping")),
    )
