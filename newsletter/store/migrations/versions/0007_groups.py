"""Mails that leave together, and limits that heed what a provider says."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Float

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for name in ("not_before", "slow_rate", "slow_until"):
        op.add_column("pace", Column(name, Float(), nullable=True))
