"""Mails that leave together, and limits that heed what a provider says."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    Column,
    Float,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
    text,
)

from newsletter.store.tables import Moment

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for name in ("not_before", "slow_rate", "slow_until"):
        op.add_column("pace", Column(name, Float(), nullable=True))
    _make_mail_group()
    op.add_column("delivery", Column("group_id", String(length=32), nullable=True))
    op.add_column("delivery", Column("message_id", String(length=200), nullable=True))
    for name in ("group_id", "message_id"):
        named = text(f"{name} IS NOT NULL")
        op.create_index(
            op.f(f"ix_delivery_{name}"),
            "delivery",
            [name],
            sqlite_where=named,
            postgresql_where=named,
        )


def _make_mail_group() -> None:
    op.create_table(
        "mail_group",
        Column("id", String(length=32), nullable=False),
        Column("digest_id", Integer(), nullable=False),
        Column("rendering", String(length=64), nullable=False),
        Column("readers", Integer(), nullable=False),
        Column("state", String(length=16), nullable=False),
        Column("batch_id", String(length=128), nullable=True),
        Column("send_at", Moment, nullable=True),
        Column("lease_owner", String(length=160), nullable=False),
        Column("lease_until", Moment, nullable=False),
        Column("provider_id", String(length=128), nullable=True),
        Column("reason", Text(), nullable=False),
        Column("started_at", Moment, nullable=False),
        Column("changed_at", Moment, nullable=False),
        ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_mail_group_digest_id")),
        PrimaryKeyConstraint("id", name=op.f("pk_mail_group")),
        UniqueConstraint("batch_id", name=op.f("uq_mail_group_batch_id")),
    )
    op.create_index(op.f("ix_mail_group_state"), "mail_group", ["state"])
    op.create_index(op.f("ix_mail_group_digest_id_state"), "mail_group", ["digest_id", "state"])
