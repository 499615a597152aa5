"""What the calls of each month cost, so that no reservation sums all of them."""

from __future__ import annotations

from datetime import UTC, datetime

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    PrimaryKeyConstraint,
    String,
    case,
    column,
    func,
    insert,
    select,
    table,
)

from newsletter.store.tables import Moment

revision = "0024"
down_revision = "0023"

CALL = table(
    "call",
    column("started_at", Moment()),
    column("state", String()),
    column("upper_nanos", BigInteger()),
    column("cost_nanos", BigInteger()),
)


def upgrade() -> None:
    month_cost = op.create_table(
        "month_cost",
        Column("month", Date(), nullable=False),
        Column("nanos", BigInteger(), nullable=False),
        PrimaryKeyConstraint("month", name=op.f("pk_month_cost")),
    )
    connection = op.get_bind()
    first, last = connection.execute(
        select(func.min(CALL.c.started_at), func.max(CALL.c.started_at))
    ).one()
    if first is None:
        return
    amount = case(
        (CALL.c.state.in_(["intent", "lost"]), CALL.c.upper_nanos), else_=CALL.c.cost_nanos
    )
    month = datetime(first.year, first.month, 1, tzinfo=UTC)
    while month <= last:
        after = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
        within = (CALL.c.started_at >= month) & (CALL.c.started_at < after)
        nanos = connection.execute(select(func.sum(amount)).where(within)).scalar()
        if nanos:
            row = {"month": month.date(), "nanos": int(nanos)}
            connection.execute(insert(month_cost).values(row))
        month = after
