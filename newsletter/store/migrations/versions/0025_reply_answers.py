"""Answers to replies, counted by address and day; pauses that end by themselves."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Date, Integer, PrimaryKeyConstraint, String, UniqueConstraint, text

from newsletter.store.tables import Moment

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("subscriber", Column("paused_until", Moment()))
    paused = text("paused_until IS NOT NULL")
    op.create_index(
        op.f("ix_subscriber_paused_until"),
        "subscriber",
        ["paused_until"],
        sqlite_where=paused,
        postgresql_where=paused,
    )
    op.create_table(
        "reply_answer",
        Column("email_hash", String(64), nullable=False),
        Column("day", Date(), nullable=False),
        Column("number", Integer(), nullable=False),
        Column("inbound_id", String(64), nullable=False),
        Column("at", Moment(), nullable=False),
        PrimaryKeyConstraint("email_hash", "day", "number", name=op.f("pk_reply_answer")),
        UniqueConstraint("inbound_id", name=op.f("uq_reply_answer_inbound_id")),
    )
    op.create_index(op.f("ix_reply_answer_at"), "reply_answer", ["at"])
