"""Votes of readers about papers, and their reading lists."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, ForeignKeyConstraint, PrimaryKeyConstraint, String

from newsletter.store.tables import Moment

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "vote",
        Column("subscription_id", String(32), nullable=False),
        Column("paper_id", String(32), nullable=False),
        Column("rubric", String(64), nullable=False),
        Column("vote", String(16), nullable=False),
        Column("at", Moment(), nullable=False),
        ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_vote_paper_id")),
        PrimaryKeyConstraint("subscription_id", "paper_id", name=op.f("pk_vote")),
    )
    op.create_index(op.f("ix_vote_rubric_at"), "vote", ["rubric", "at"])
    op.create_table(
        "saved_paper",
        Column("subscription_id", String(32), nullable=False),
        Column("paper_id", String(32), nullable=False),
        Column("rubric", String(64), nullable=False),
        Column("at", Moment(), nullable=False),
        ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_saved_paper_paper_id")),
        PrimaryKeyConstraint("subscription_id", "paper_id", name=op.f("pk_saved_paper")),
    )
