"""What was read of a mail is stored once, and no more than 256 KiB of it."""

from __future__ import annotations

import hashlib

from alembic import op
from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    func,
    insert,
    select,
    table,
    update,
)
from sqlalchemy import column as named

revision = "0010"
down_revision = "0009"

READ_BYTES = 256 * 1024
INBOUND = table("inbound", named("id"), named("raw", LargeBinary), named("body_id"))
BODY = table("inbound_body", named("id"), named("raw", LargeBinary))


def upgrade() -> None:
    op.create_table(
        "inbound_body",
        Column("id", String(length=64), nullable=False),
        Column("raw", LargeBinary(), nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_inbound_body")),
    )
    with op.batch_alter_table("inbound") as batch:
        batch.add_column(Column("body_id", String(length=64), nullable=True))
    _move(op.get_bind())
    with op.batch_alter_table("inbound") as batch:
        batch.drop_column("raw")
        batch.create_foreign_key(op.f("fk_inbound_body_id"), "inbound_body", ["body_id"], ["id"])
    op.create_index(op.f("ix_inbound_body_id"), "inbound", ["body_id"])


def _move(connection: Connection) -> None:
    """One mail at a time: together they may be gigabytes."""
    kept = select(INBOUND.c.id).where(INBOUND.c.raw.is_not(None))
    known: set[str] = set()
    for letter_id in list(connection.scalars(kept)):
        mine = INBOUND.c.id == letter_id
        cut = select(func.substr(INBOUND.c.raw, 1, READ_BYTES)).where(mine)
        raw = bytes(connection.scalar(cut) or b"")
        body_id = hashlib.sha256(raw).hexdigest()
        if body_id not in known:
            connection.execute(insert(BODY).values(id=body_id, raw=raw))
            known.add(body_id)
        connection.execute(update(INBOUND).where(mine).values(body_id=body_id))
