"""The log of what operators did on their pages."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column, PrimaryKeyConstraint, String, Text

from newsletter.store.tables import Moment

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.create_table(
        "operator_action",
        Column("id", String(32), nullable=False),
        Column("at", Moment(), nullable=False),
        Column("operator", Text(), nullable=False),
        Column("session", String(64), nullable=False),
        Column("kind", String(32), nullable=False),
        Column("subject", String(200), nullable=False),
        Column("subscriber_id", String(32)),
        Column("before", JSON(), nullable=False),
        Column("after", JSON(), nullable=False),
        Column("result", Text(), nullable=False, server_default=""),
        Column("undone_at", Moment()),
        Column("undone_by", Text(), nullable=False, server_default=""),
        PrimaryKeyConstraint("id", name=op.f("pk_operator_action")),
    )
    for columns in (["at"], ["subscriber_id"], ["subject", "at"]):
        op.create_index(op.f(f"ix_operator_action_{'_'.join(columns)}"), "operator_action", columns)
