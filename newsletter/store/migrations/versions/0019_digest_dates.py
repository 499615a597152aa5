"""Find digests by their date, by when they were made, and the few whose mail is halted."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0019"
down_revision = "0018"

HALTED = text("halted != ''")


def upgrade() -> None:
    op.create_index("ix_digest_date_rubric", "digest", ["date", "rubric"])
    op.create_index("ix_digest_at", "digest", ["at"])
    op.create_index(
        "ix_mailing_halted",
        "mailing",
        ["digest_id"],
        sqlite_where=HALTED,
        postgresql_where=HALTED,
    )
