"""Which mailer took each delivery."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, String, column, table, update

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column(
        "delivery", Column("mailer", String(length=16), server_default="", nullable=False)
    )
    # The outbox names a mail by its file. Of the others it is not known.
    delivery = table("delivery", column("mailer", String), column("provider_id", String))
    in_files = delivery.c.provider_id.like("%.eml")
    op.execute(update(delivery).where(in_files).values(mailer="outbox"))
