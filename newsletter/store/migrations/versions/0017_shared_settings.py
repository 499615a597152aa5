"""Fingerprints of the settings that all processes must share, and which process differs."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column, Integer, PrimaryKeyConstraint, String, Text

from newsletter.store.tables import Moment

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "shared_settings",
        Column("id", Integer(), autoincrement=False, nullable=False),
        Column("revision", Integer(), nullable=False),
        Column("salt", String(length=64), nullable=False),
        Column("fingerprints", JSON(), nullable=False),
        Column("owner", String(length=160), nullable=False),
        Column("at", Moment, nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_shared_settings")),
    )
    op.add_column("life", Column("differs", Text(), server_default="", nullable=False))
