"""Imported addresses that had no mail yet, and mailings that the operator let go on."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Boolean, Column, PrimaryKeyConstraint, String, false

from newsletter.store.tables import Moment

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "first_mail",
        Column("email_hash", String(length=64), nullable=False),
        Column("imported_at", Moment, nullable=False),
        Column("mailed_at", Moment, nullable=True),
        PrimaryKeyConstraint("email_hash", name=op.f("pk_first_mail")),
    )
    op.create_index(op.f("ix_first_mail_mailed_at"), "first_mail", ["mailed_at"])
    op.add_column(
        "mailing", Column("unrestrained", Boolean(), server_default=false(), nullable=False)
    )
