"""The papers that a reader rubric was drafted from."""

from __future__ import annotations

from alembic import op
from sqlalchemy import JSON, Column

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    liked = Column("liked", JSON(), nullable=False, server_default="[]")
    op.add_column("reader_rubric", liked)
