"""Units of work for many machines."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    JSON,
    Column,
    Date,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
)

from newsletter.store.tables import Moment

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "unit",
        Column("id", String(length=32), nullable=False),
        Column("kind", String(length=16), nullable=False),
        Column("date", Date(), nullable=False),
        Column("subject", String(length=64), nullable=False),
        Column("ids", JSON(), nullable=False),
        Column("wanted_by", Moment, nullable=True),
        Column("gen", Integer(), nullable=False),
        Column("state", String(length=16), nullable=False),
        Column("reason", Text(), nullable=False),
        Column("sent", Integer(), nullable=False),
        Column("tries", Integer(), nullable=False),
        Column("owner", String(length=160), nullable=False),
        Column("touched", Moment, nullable=False),
        Column("made_at", Moment, nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_unit")),
        UniqueConstraint("kind", "date", "subject", name=op.f("uq_unit_kind_date_subject")),
    )
    op.create_index(op.f("ix_unit_state"), "unit", ["state"])
