"""What the service spent, over all rubrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import case, func, select

from newsletter.store.ledger import State
from newsletter.store.tables import call
from newsletter.symptoms import Case

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


def spent_since(tx: Connection, since: datetime) -> tuple[int, int]:
    """Nano-dollars confirmed, and those that may have been billed besides, at most."""
    lost = case((call.c.state == State.LOST, call.c.upper_nanos), else_=0)
    sums = select(
        func.coalesce(func.sum(call.c.cost_nanos), 0), func.coalesce(func.sum(lost), 0)
    ).where(call.c.started_at >= since)
    confirmed, uncertain = tx.execute(sums).one()
    return int(confirmed), int(uncertain)


def by_rubric(tx: Connection, since: datetime) -> tuple[Case, ...]:
    """Nano-dollars of each rubric's day since then, with those that may have been billed."""
    unsure = call.c.state.in_([State.INTENT, State.LOST])
    amount = func.sum(case((unsure, call.c.upper_nanos), else_=call.c.cost_nanos))
    first = func.min(call.c.started_at, type_=call.c.started_at.type)
    query = (
        select(call.c.rubric, call.c.date, first, amount)
        .where(call.c.started_at >= since)
        .group_by(call.c.rubric, call.c.date)
        .order_by(call.c.date, call.c.rubric)
    )
    return tuple(Case(slug, day, at, int(nanos)) for slug, day, at, nanos in tx.execute(query))
