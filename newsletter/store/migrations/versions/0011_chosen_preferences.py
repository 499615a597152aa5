"""Which preferences a reader set: no file changes these."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column, String, column, table, update

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("subscriber", Column("chosen", JSON(), server_default="[]", nullable=False))
    # Who joined on the web set everything there. Of the others nothing is known: a file may still
    # change it.
    subscriber = table("subscriber", column("chosen", JSON), column("consent", String))
    everything = ["timezone", "send_at", "days", "max_papers", "format"]
    joined = subscriber.c.consent.like("web form%")
    op.execute(update(subscriber).where(joined).values(chosen=everything))
