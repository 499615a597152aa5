"""Papers, what scoring them cost, and the digests made of them."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
)

from newsletter.store.tables import Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    _make_paper()
    _make_listing()
    _make_fetched()
    _make_call()
    _make_score()
    _make_digest()
    _make_digest_paper()
    _make_archive_text()
    _make_pace()


def _make_paper() -> None:
    op.create_table(
        "paper",
        Column("id", String(length=32), nullable=False),
        Column("version", Integer(), nullable=False),
        Column("title", Text(), nullable=False),
        Column("authors", JSON(), nullable=False),
        Column("abstract", Text(), nullable=False),
        Column("primary_category", String(length=32), nullable=False),
        Column("categories", JSON(), nullable=False),
        Column("published", Moment, nullable=False),
        Column("updated", Moment, nullable=False),
        Column("comment", Text(), nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_paper")),
    )


def _make_listing() -> None:
    op.create_table(
        "listing",
        Column("category", String(length=32), nullable=False),
        Column("paper_id", String(length=32), nullable=False),
        Column("date", Date(), nullable=False),
        Column("late", Boolean(), nullable=False),
        ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_listing_paper_id")),
        PrimaryKeyConstraint("category", "paper_id", name=op.f("pk_listing")),
    )
    op.create_index(op.f("ix_listing_date_category"), "listing", ["date", "category"])


def _make_fetched() -> None:
    op.create_table(
        "fetched",
        Column("category", String(length=32), nullable=False),
        Column("date", Date(), nullable=False),
        Column("papers", Integer(), nullable=False),
        Column("at", Moment, nullable=False),
        PrimaryKeyConstraint("category", "date", name=op.f("pk_fetched")),
    )


def _make_call() -> None:
    op.create_table(
        "call",
        Column("id", String(length=32), nullable=False),
        Column("rubric", String(length=64), nullable=False),
        Column("fingerprint", String(length=64), nullable=False),
        Column("scorer", String(length=128), nullable=False),
        Column("date", Date(), nullable=False),
        Column("reading", Integer(), nullable=False),
        Column("model", String(length=64), nullable=False),
        Column("request_hash", String(length=64), nullable=False),
        Column("papers", JSON(), nullable=False),
        Column("state", String(length=16), nullable=False),
        Column("upper_nanos", BigInteger(), nullable=False),
        Column("usage", JSON(), nullable=True),
        Column("cost_nanos", BigInteger(), nullable=False),
        Column("raw", LargeBinary(), nullable=True),
        Column("reason", Text(), nullable=False),
        Column("owner", String(length=128), nullable=False),
        Column("lease_until", Moment, nullable=False),
        Column("batch_id", String(length=128), nullable=True),
        Column("started_at", Moment, nullable=False),
        Column("ended_at", Moment, nullable=True),
        PrimaryKeyConstraint("id", name=op.f("pk_call")),
    )
    op.create_index(
        op.f("ix_call_fingerprint_scorer_state"), "call", ["fingerprint", "scorer", "state"]
    )
    op.create_index(op.f("ix_call_rubric_date"), "call", ["rubric", "date"])
    op.create_index(op.f("ix_call_started_at"), "call", ["started_at"])


def _make_score() -> None:
    op.create_table(
        "score",
        Column("fingerprint", String(length=64), nullable=False),
        Column("scorer", String(length=128), nullable=False),
        Column("paper_id", String(length=32), nullable=False),
        Column("reading", Integer(), nullable=False),
        Column("outcome", String(length=32), nullable=False),
        Column("model", String(length=64), nullable=False),
        Column("relevance", Integer(), nullable=True),
        Column("novelty", Integer(), nullable=True),
        Column("fine", Integer(), nullable=False),
        Column("criterion", Integer(), nullable=False),
        Column("comment", Text(), nullable=False),
        Column("similarity", Float(), nullable=True),
        Column("call_id", String(length=32), nullable=True),
        ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_score_paper_id")),
        PrimaryKeyConstraint("fingerprint", "scorer", "paper_id", "reading", name=op.f("pk_score")),
    )


def _make_digest() -> None:
    op.create_table(
        "digest",
        Column("id", Integer(), nullable=False),
        Column("rubric", String(length=64), nullable=False),
        Column("date", Date(), nullable=False),
        Column("kind", String(length=32), nullable=False),
        Column("picks", Integer(), nullable=False),
        Column("announced", Integer(), nullable=False),
        Column("scanned", Integer(), nullable=False),
        Column("cost_nanos", BigInteger(), nullable=False),
        Column("body", Text(), nullable=False),
        Column("at", Moment, nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_digest")),
        UniqueConstraint("rubric", "date", name=op.f("uq_digest_rubric_date")),
    )


def _make_digest_paper() -> None:
    op.create_table(
        "digest_paper",
        Column("rubric", String(length=64), nullable=False),
        Column("paper_id", String(length=32), nullable=False),
        Column("digest_id", Integer(), nullable=False),
        Column("picked", Boolean(), nullable=False),
        ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_digest_paper_digest_id")),
        ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_digest_paper_paper_id")),
        PrimaryKeyConstraint("rubric", "paper_id", name=op.f("pk_digest_paper")),
    )
    op.create_index(op.f("ix_digest_paper_digest_id"), "digest_paper", ["digest_id"])


def _make_archive_text() -> None:
    op.create_table(
        "archive_text",
        Column("id", Integer(), nullable=False),
        Column("digest_id", Integer(), nullable=False),
        Column("number", Integer(), nullable=False),
        Column("rubric", String(length=64), nullable=False),
        Column("date", Date(), nullable=False),
        Column("paper_id", String(length=32), nullable=False),
        Column("title", Text(), nullable=False),
        Column("authors", Text(), nullable=False),
        Column("abstract", Text(), nullable=False),
        Column("comment", Text(), nullable=False),
        ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_archive_text_digest_id")),
        PrimaryKeyConstraint("id", name=op.f("pk_archive_text")),
        UniqueConstraint("digest_id", "number", name=op.f("uq_archive_text_digest_id_number")),
    )
    op.create_index(op.f("ix_archive_text_rubric_date"), "archive_text", ["rubric", "date"])


def _make_pace() -> None:
    op.create_table(
        "pace",
        Column("name", String(length=64), nullable=False),
        Column("due", Float(), nullable=False),
        PrimaryKeyConstraint("name", name=op.f("pk_pace")),
    )
