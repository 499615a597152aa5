"""Counts for /metrics. Rows too old to change are counted once."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, func, select

from newsletter.domain.mail import DeliveryState
from newsletter.store import leases
from newsletter.store.inbound import InboundState
from newsletter.store.ledger import LOST_NANOS
from newsletter.store.reports.reader_rubrics import IS_READERS_CALL
from newsletter.store.subscribers import count_states
from newsletter.store.tables import call, delivery, digest, digest_outcome, inbound

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

TOKENS = ("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens")
CALLS_FINAL_AFTER = timedelta(hours=48)
"""The longest call is one in a batch, whose lease ends after thirty hours."""
MAILS_FINAL_AFTER = timedelta(days=8)
"""No digest that is older is mailed."""
SUBSCRIBERS_CACHED = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Ages:
    """Times of the oldest waiting items; None where nothing waits."""

    pending: datetime | None
    unknown: datetime | None
    reply: datetime | None
    newest_digest: datetime | None
    replies: int


class MetricCounts:
    """The counts of one database. Keeps those of rows that are too old to change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls_until: datetime | None = None
        self._calls: Counter[str] = Counter()
        self._mails_day: datetime | None = None
        self._mails_up_to = 0
        self._mails: Counter[str] = Counter()
        self._people_at: datetime | None = None
        self._people: dict[str, int] = {}

    def calls(self, tx: Connection, now: datetime) -> dict[str, int]:
        """Tokens by kind, `cost`, `uncertain` and `reader_rubrics` in nano-dollars, since ever."""
        until = _midnight(now - CALLS_FINAL_AFTER)
        with self._lock:
            if self._calls_until is None or self._calls_until < until:
                span = call.c.started_at < until
                if self._calls_until is not None:
                    span &= call.c.started_at >= self._calls_until
                self._calls.update(_sum_calls(tx, span))
                self._calls_until = until
            settled, since = self._calls, self._calls_until
        return dict(settled + Counter(_sum_calls(tx, call.c.started_at >= since)))

    def mails(self, tx: Connection, now: datetime) -> dict[str, int]:
        """Mails by state."""
        with self._lock:
            self._count_old_mails(tx, now)
            settled, up_to = self._mails, self._mails_up_to
        return dict(settled + _count_mails(tx, delivery.c.digest_id > up_to))

    def people(self, tx: Connection, now: datetime) -> dict[str, int]:
        """Subscribers by state, as they were within the last minute."""
        with self._lock:
            if self._people_at is None or not now - SUBSCRIBERS_CACHED < self._people_at <= now:
                self._people = {state.value: n for state, n in count_states(tx).items()}
                self._people_at = now
            return self._people

    def ages(self, tx: Connection, now: datetime) -> Ages:
        with self._lock:
            self._count_old_mails(tx, now)
            # The sum keeps the database from walking along the digests: few mails are pending.
            recent = delivery.c.digest_id + 0 > self._mails_up_to
        waiting = inbound.c.state.in_([InboundState.REVIEW, InboundState.PERSONAL])
        last = select(func.max(digest.c.id)).scalar_subquery()
        newest = select(digest.c.at).where(digest.c.id == last)
        return Ages(
            pending=_first(
                tx, delivery.c.created_at, recent & (delivery.c.state == DeliveryState.PENDING)
            ),
            unknown=_first(tx, delivery.c.changed_at, delivery.c.state == DeliveryState.UNKNOWN),
            reply=_first(tx, inbound.c.received_at, waiting),
            newest_digest=tx.scalar(newest),
            replies=tx.scalar(select(func.count()).where(waiting)) or 0,
        )

    def _count_old_mails(self, tx: Connection, now: datetime) -> None:
        """Once a day: of old mails only unknown ones can still change."""
        day = _midnight(now - MAILS_FINAL_AFTER)
        if self._mails_day == day:
            return
        up_to = tx.scalar(select(func.max(digest.c.id)).where(digest.c.at < day)) or 0
        self._mails = _count_mails(tx, delivery.c.digest_id <= up_to)
        self._mails_up_to, self._mails_day = up_to, day


def papers(tx: Connection) -> dict[str, int]:
    """Papers in all digests, by what became of them; together they are those announced."""
    query = select(digest_outcome.c.outcome, func.sum(digest_outcome.c.papers))
    return {row[0]: int(row[1]) for row in tx.execute(query.group_by(digest_outcome.c.outcome))}


def processes(tx: Connection) -> dict[str, list[datetime]]:
    """When each running process was last alive, by its role."""
    found: dict[str, list[datetime]] = {}
    for one in leases.workers(tx):
        found.setdefault(one.role, []).append(one.seen)
    return found


def _sum_calls(tx: Connection, span: ColumnElement[bool]) -> dict[str, int]:
    sums: Iterable[Any] = (
        *(func.sum(call.c.usage[name].as_integer()) for name in TOKENS),
        func.sum(call.c.cost_nanos),
        func.sum(LOST_NANOS),
        func.sum(case((IS_READERS_CALL, call.c.cost_nanos), else_=0)),
    )
    row = tx.execute(select(*sums).where(span)).one()
    names = (*TOKENS, "cost", "uncertain", "reader_rubrics")
    return {name: int(n or 0) for name, n in zip(names, row, strict=True)}


def _count_mails(tx: Connection, which: ColumnElement[bool]) -> Counter[str]:
    # By the bare state SQLite would read all deliveries, in the order of its index on the state.
    state = (delivery.c.state + "").label("state")
    query = select(state, func.count()).where(which).group_by(state)
    return Counter({row.state: row[1] for row in tx.execute(query)})


def _first(tx: Connection, column: Any, which: ColumnElement[bool]) -> datetime | None:  # noqa: ANN401 - a column of a Moment
    found: datetime | None = tx.scalar(select(func.min(column, type_=column.type)).where(which))
    return found


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
