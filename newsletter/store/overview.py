"""The figures of the last weeks, by rubric and day, for whoever runs the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from newsletter.model import DayKind
from newsletter.people import DeliveryState
from newsletter.store.tables import delivery, digest, mailing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from sqlalchemy import ColumnElement, Connection

TROUBLED = (DeliveryState.REJECTED, DeliveryState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Figures:
    """One digest: what was read, what it cost, what became of its mails.

    A digest of several announcements counts their papers again: of it only `mails` say something
    new, and `whole` is False.
    """

    rubric: str
    date: date
    whole: bool
    kind: DayKind
    announced: int
    scanned: int
    picks: int
    cost_nanos: int
    halted: bool
    mails: dict[DeliveryState, int] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        return self.mails.get(DeliveryState.ACCEPTED, 0)

    @property
    def problems(self) -> int:
        return sum(self.mails.get(state, 0) for state in TROUBLED) + self.halted


def since(tx: Connection, rubrics: Sequence[str], first: date) -> list[Figures]:
    """Every digest of these rubrics from a date on, the oldest first.

    Rubrics are named because digests and deliveries are found by them: nothing else is looked at.
    """
    chosen = digest.c.rubric.in_(list(rubrics)) & (digest.c.date >= first)
    mails = _mails(tx, chosen)
    columns = [digest.c[name] for name in ("id", "rubric", "date", "since", "kind")]
    columns += [digest.c[name] for name in ("announced", "scanned", "picks", "cost_nanos")]
    query = (
        select(*columns, func.coalesce(mailing.c.halted, "").label("halted"))
        .select_from(digest.outerjoin(mailing, mailing.c.digest_id == digest.c.id))
        .where(chosen)
        .order_by(digest.c.date, digest.c.rubric)
    )
    return [
        Figures(
            row.rubric,
            row.date,
            row.since == row.date,
            DayKind(row.kind),
            row.announced,
            row.scanned,
            row.picks,
            row.cost_nanos,
            bool(row.halted),
            mails.get(row.id, {}),
        )
        for row in tx.execute(query)
    ]


def _mails(tx: Connection, chosen: ColumnElement[bool]) -> dict[int, dict[DeliveryState, int]]:
    """Mails by state, by digest. The index on (digest_id, state, id) holds all that is counted."""
    query: Any = (
        select(delivery.c.digest_id, delivery.c.state, func.count())
        .where(delivery.c.digest_id.in_(select(digest.c.id).where(chosen)))
        .group_by(delivery.c.digest_id, delivery.c.state)
    )
    found: dict[int, dict[DeliveryState, int]] = {}
    for digest_id, state, number in tx.execute(query):
        found.setdefault(digest_id, {})[DeliveryState(state)] = number
    return found
