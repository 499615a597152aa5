"""A pace that all processes and machines share: one row for each kind of request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from newsletter.store.tables import pace

if TYPE_CHECKING:
    from datetime import datetime


def take(tx: Connection, name: str, now: datetime, per_second: float, wanted: int) -> int:
    """How many of `wanted` starts fit the pace now: after a rest at most one second's worth.

    The row holds when the next start is due at the even pace, so an idle hour saves nothing up.
    """
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    tx.execute(insert(pace).values(name=name, due=0.0).on_conflict_do_nothing())
    due = tx.scalar(select(pace.c.due).where(pace.c.name == name).with_for_update()) or 0.0
    second = now.timestamp()
    start = max(due, second)
    granted = min(wanted, int((second + 1.0 - start) * per_second + 1e-6))
    if granted > 0:
        tx.execute(update(pace).where(pace.c.name == name).values(due=start + granted / per_second))
    return max(granted, 0)
