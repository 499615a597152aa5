"""Tasks are DBOS workflows alone; an index of the calls that are under way."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0016"
down_revision = "0015"

WAITING = text("state = 'intent'")


def upgrade() -> None:
    # The open ones are planned anew: what is to be done follows from digests and deliveries.
    op.drop_table("unit")
    op.create_index(
        "ix_call_intent", "call", ["owner"], sqlite_where=WAITING, postgresql_where=WAITING
    )
