"""Current metadata of mailed papers, and which digest told which news of them.

The table `notice`, of withdrawals alone, becomes part of `paper_news`.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    Boolean,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
    false,
    text,
)

from newsletter.store.tables import Moment

revision = "0022"
down_revision = "0021"

TEXTS = ("title", "comment", "journal_ref", "doi")


def upgrade() -> None:
    op.create_table(
        "paper_metadata",
        Column("paper_id", String(32), nullable=False),
        Column("asked_at", Moment(), nullable=False),
        Column("seen_at", Moment()),
        *(Column(name, Text(), server_default="", nullable=False) for name in TEXTS),
        Column("withdrawn", Boolean(), server_default=false(), nullable=False),
        ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_paper_metadata_paper_id")),
        PrimaryKeyConstraint("paper_id", name=op.f("pk_paper_metadata")),
    )
    op.create_table(
        "paper_news",
        Column("rubric", String(64), nullable=False),
        Column("paper_id", String(32), nullable=False),
        Column("kind", String(16), nullable=False),
        Column("digest_id", Integer(), nullable=False),
        ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_paper_news_paper_id")),
        ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_paper_news_digest_id")),
        PrimaryKeyConstraint("rubric", "paper_id", "kind", name=op.f("pk_paper_news")),
    )
    op.execute(
        "INSERT INTO paper_news (rubric, paper_id, kind, digest_id) "
        "SELECT rubric, paper_id, 'withdrawn', digest_id FROM notice"
    )
    op.drop_table("notice")
    op.create_index(
        "ix_digest_paper_picked",
        "digest_paper",
        ["digest_id"],
        sqlite_where=text("picked = 1"),
        postgresql_where=text("picked"),
    )
