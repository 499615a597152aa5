"""Who leads, who is alive, and digests of more than one day."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
)

from newsletter.store.tables import Moment

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _make_lease()
    _make_life()
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_digest()
    else:
        _widen_digest()


def _make_lease() -> None:
    op.create_table(
        "lease",
        Column("name", String(length=64), nullable=False),
        Column("owner", String(length=160), nullable=False),
        Column("turn", Integer(), nullable=False),
        Column("until", Moment, nullable=False),
        PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )


def _make_life() -> None:
    op.create_table(
        "life",
        Column("owner", String(length=160), nullable=False),
        Column("role", String(length=32), nullable=False),
        Column("seen", Moment, nullable=False),
        PrimaryKeyConstraint("owner", name=op.f("pk_life")),
    )


def _widen_digest() -> None:
    op.add_column("digest", Column("since", Date(), nullable=True))
    op.execute("UPDATE digest SET since = date")
    op.alter_column("digest", "since", nullable=False)
    op.drop_constraint("uq_digest_rubric_date", "digest")
    op.create_unique_constraint(
        op.f("uq_digest_rubric_date_since"), "digest", ["rubric", "date", "since"]
    )


def _rebuild_digest() -> None:
    """SQLite cannot drop a constraint, and other tables hold on to this one.

    With its foreign keys checked at the end only, the rows may be away in between
    (sqlite.org/pragma.html#pragma_defer_foreign_keys); the pragma ends with the transaction.
    """
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TEMPORARY TABLE old_digest AS SELECT * FROM digest")
    op.drop_table("digest")
    op.create_table(
        "digest",
        Column("id", Integer(), nullable=False),
        Column("rubric", String(length=64), nullable=False),
        Column("date", Date(), nullable=False),
        Column("since", Date(), nullable=False),
        Column("kind", String(length=32), nullable=False),
        Column("picks", Integer(), nullable=False),
        Column("announced", Integer(), nullable=False),
        Column("scanned", Integer(), nullable=False),
        Column("cost_nanos", BigInteger(), nullable=False),
        Column("body", Text(), nullable=False),
        Column("at", Moment, nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_digest")),
        UniqueConstraint("rubric", "date", "since", name=op.f("uq_digest_rubric_date_since")),
    )
    names = "id, rubric, date, kind, picks, announced, scanned, cost_nanos, body, at"
    op.execute(f"INSERT INTO digest ({names}, since) SELECT {names}, date FROM old_digest")  # noqa: S608 - names of columns, above
    op.execute("DROP TABLE old_digest")
