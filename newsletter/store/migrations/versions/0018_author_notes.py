"""Journal reference and DOI of a paper, as its authors gave them to arXiv."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    for name in ("journal_ref", "doi"):
        op.add_column("paper", Column(name, Text(), server_default="", nullable=False))
