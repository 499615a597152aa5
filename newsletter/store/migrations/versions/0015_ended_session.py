"""Sessions of the operator's page that were ended by logging out."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, PrimaryKeyConstraint, String

from newsletter.store.tables import Moment

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "ended_session",
        Column("id", String(length=64), nullable=False),
        Column("at", Moment, nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_ended_session")),
    )
