"""What the service spent, over all rubrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import case, func, select

from newsletter.store.ledger import State
from newsletter.store.tables import call

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
