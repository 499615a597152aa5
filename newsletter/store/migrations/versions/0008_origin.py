"""Where a database comes from: copied, saved, restored."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, PrimaryKeyConstraint, String, Text

from newsletter.store.tables import Moment

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "origin",
        Column("kind", String(length=16), nullable=False),
        Column("place", Text(), nullable=False),
        Column("at", Moment, nullable=False),
        Column("until", Moment, nullable=True),
        PrimaryKeyConstraint("kind", name=op.f("pk_origin")),
    )
