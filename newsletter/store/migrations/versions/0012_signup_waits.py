"""How often an address was mailed to confirm, and whether its owner refused."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Integer

from newsletter.store.tables import Moment

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("signup", Column("mails", Integer(), server_default="1", nullable=False))
    op.add_column("signup", Column("refused_at", Moment, nullable=True))
