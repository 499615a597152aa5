"""What an operator wants to know at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import case, func, select

from newsletter.model import DeliveryState
from newsletter.store.ledger import State
from newsletter.store.tables import call, delivery, digest, mailing

if TYPE_CHECKING:
    from datetime import date, datetime

    from sqlalchemy import Connection


class Halted(NamedTuple):
    """A digest whose mailing was stopped, and why."""

    rubric: str
    date: date
    reason: str


def deliveries_by_state(tx: Connection) -> dict[DeliveryState, int]:
    query = select(delivery.c.state, func.count()).group_by(delivery.c.state)
    return {DeliveryState(state): number for state, number in tx.execute(query)}


def halted(tx: Connection) -> list[Halted]:
    query = (
        select(digest.c.rubric, digest.c.date, mailing.c.halted)
        .join(mailing, mailing.c.digest_id == digest.c.id)
        .where(mailing.c.halted != "")
        .order_by(digest.c.date, digest.c.rubric)
    )
    return [Halted(*row) for row in tx.execute(query)]


def spent_since(tx: Connection, since: datetime) -> tuple[int, int]:
    """Nano-dollars confirmed, and those that may have been billed besides, at most."""
    lost = case((call.c.state == State.LOST, call.c.upper_nanos), else_=0)
    sums = select(
        func.coalesce(func.sum(call.c.cost_nanos), 0), func.coalesce(func.sum(lost), 0)
    ).where(call.c.started_at >= since)
    confirmed, uncertain = tx.execute(sums).one()
    return int(confirmed), int(uncertain)
