"""What is learned of an announcement after its first page."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
)

from newsletter.store.tables import Moment

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("fetched", Column("how", String(length=16), server_default="", nullable=False))
    _make_look()
    _make_crosscheck()
    _make_paper_version()
    _make_notice()


def _make_look() -> None:
    op.create_table(
        "look",
        Column("date", Date(), nullable=False),
        Column("category", String(length=32), nullable=False),
        Column("papers", Integer(), nullable=False),
        Column("since", Moment, nullable=False),
        Column("at", Moment, nullable=False),
        Column("looks", Integer(), nullable=False),
        Column("out_at", Moment, nullable=True),
        PrimaryKeyConstraint("date", "category", name=op.f("pk_look")),
    )


def _make_crosscheck() -> None:
    op.create_table(
        "crosscheck",
        Column("date", Date(), nullable=False),
        Column("state", String(length=16), nullable=False),
        Column("named", JSON(), nullable=False),
        Column("apart", JSON(), nullable=False),
        Column("at", Moment, nullable=False),
        PrimaryKeyConstraint("date", name=op.f("pk_crosscheck")),
    )


def _make_paper_version() -> None:
    op.create_table(
        "paper_version",
        Column("paper_id", String(length=32), nullable=False),
        Column("version", Integer(), nullable=False),
        Column("title", Text(), nullable=False),
        Column("abstract", Text(), nullable=False),
        Column("comment", Text(), nullable=False),
        Column("updated", Moment, nullable=False),
        Column("withdrawn", Boolean(), nullable=False),
        Column("seen_at", Moment, nullable=False),
        ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_paper_version_paper_id")),
        PrimaryKeyConstraint("paper_id", "version", name=op.f("pk_paper_version")),
    )
    op.create_index(op.f("ix_paper_version_withdrawn"), "paper_version", ["withdrawn"])


def _make_notice() -> None:
    op.create_table(
        "notice",
        Column("rubric", String(length=64), nullable=False),
        Column("paper_id", String(length=32), nullable=False),
        Column("digest_id", Integer(), nullable=False),
        ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_notice_digest_id")),
        ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_notice_paper_id")),
        PrimaryKeyConstraint("rubric", "paper_id", name=op.f("pk_notice")),
    )
