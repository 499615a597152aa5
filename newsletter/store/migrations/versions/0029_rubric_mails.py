"""How many mails with a link that confirms a rubric a reader had on one day."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Date, Integer, PrimaryKeyConstraint, String

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.create_table(
        "rubric_mail",
        Column("subscriber_id", String(length=32), nullable=False),
        Column("date", Date(), nullable=False),
        Column("requests", Integer(), nullable=False),
        PrimaryKeyConstraint("subscriber_id", name=op.f("pk_rubric_mail")),
    )
