"""Erasures that the provider is to be told of."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, PrimaryKeyConstraint, String

from newsletter.store.tables import Moment

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "erasure",
        Column("email", String(length=320), nullable=False),
        Column("asked_at", Moment, nullable=False),
        PrimaryKeyConstraint("email", name=op.f("pk_erasure")),
    )
