"""Rubrics that readers write on the web, with their versions."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
)

from newsletter.store.tables import Moment

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.create_table(
        "reader_rubric",
        Column("slug", String(length=64), nullable=False),
        Column("subscriber_id", String(length=32), nullable=False),
        Column("active_version", Integer()),
        Column("created_at", Moment(), nullable=False),
        Column("reader_paused_at", Moment()),
        Column("operator_paused_at", Moment()),
        Column("reason", Text(), nullable=False, server_default=""),
        ForeignKeyConstraint(
            ["subscriber_id"],
            ["subscriber.id"],
            name=op.f("fk_reader_rubric_subscriber_id"),
        ),
        PrimaryKeyConstraint("slug", name=op.f("pk_reader_rubric")),
    )
    op.create_index(op.f("ix_reader_rubric_subscriber_id"), "reader_rubric", ["subscriber_id"])
    op.create_table(
        "reader_rubric_version",
        Column("slug", String(length=64), nullable=False),
        Column("version", Integer(), nullable=False),
        Column("text", Text(), nullable=False),
        Column("state", String(length=16), nullable=False),
        Column("saved_at", Moment(), nullable=False),
        ForeignKeyConstraint(
            ["slug"], ["reader_rubric.slug"], name=op.f("fk_reader_rubric_version_slug")
        ),
        PrimaryKeyConstraint("slug", "version", name=op.f("pk_reader_rubric_version")),
    )
    op.create_table(
        "reader_rubric_change",
        Column("id", Integer(), nullable=False),
        Column("number", Integer(), nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_reader_rubric_change")),
    )
