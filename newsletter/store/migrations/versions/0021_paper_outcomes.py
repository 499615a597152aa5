"""Outcome of each paper that a digest did not score; titles by index; look-ups of readers."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Date, Integer, PrimaryKeyConstraint, String, Text

revision = "0021"
down_revision = "0020"

TITLE = "CREATE INDEX ix_paper_title ON paper (lower(substr(title, 1, 200)){})"
OPERATORS = {"postgresql": " text_pattern_ops"}
"""Its other indexes of texts find no beginnings, unless the database sorts by bytes."""


def upgrade() -> None:
    op.add_column("digest_paper", Column("outcome", String(length=32)))
    op.add_column("digest_paper", Column("reason", Text()))
    op.execute(TITLE.format(OPERATORS.get(op.get_bind().dialect.name, "")))
    op.create_table(
        "paper_lookup",
        Column("subscriber_id", String(length=32), nullable=False),
        Column("date", Date(), nullable=False),
        Column("requests", Integer(), nullable=False),
        PrimaryKeyConstraint("subscriber_id", name=op.f("pk_paper_lookup")),
    )
