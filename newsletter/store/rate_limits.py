"""Rate limits shared by all processes and machines: one row for each kind of request.

arXiv asks for at most one request in three seconds (info.arxiv.org/help/api/tou.html).

    due         when the next start is due at an even rate; idle time is not saved up
    not_before  the provider said "too many": until then nobody starts anything
    slow_rate   the little that the provider has left, spread until `slow_until`

All are Unix times and units per second. Without a limit there is no row until a provider complains.

The caller passes the time. A machine whose clock is behind waits longer and never starts too much,
because `due` only grows by what was granted. A `due` further ahead than MAX_LEAD comes from a
clock that was set back, and is ignored.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, case, select, update

from newsletter.store.tables import pace, paper_lookup, rubric_mail
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection, Table

    from newsletter.domain.http_headers import RateLimitStatus
    from newsletter.sources import RequestQueue
    from newsletter.store import Store

NAME = "arxiv"


@dataclass(frozen=True, slots=True)
class SharedRequestQueue:
    """One request every `seconds`."""

    store: Store
    clock: Callable[[], datetime]
    seconds: float

    def wait(self) -> float:
        with self.store.begin() as tx:
            return acquire_all(tx, [TokenCost(NAME, 1 / self.seconds)], self.clock())

    def hold(self, seconds: float) -> None:
        with self.store.begin() as tx:
            pause(tx, NAME, self.clock(), seconds)


_: type[RequestQueue] = SharedRequestQueue

BURST_SECONDS = 0.1
"""Burst after an idle time: the worst second hardly exceeds the limit."""
MAX_PAUSE = 300.0
MAX_LEAD = 300.0


@dataclass(frozen=True, slots=True)
class TokenCost:
    """So many units of one limit; `per_second` is None where the operator set none."""

    name: str
    per_second: float | None
    units: float = 1.0


@dataclass(frozen=True, slots=True)
class _Row:
    due: float = 0.0
    not_before: float = 0.0
    slow_rate: float | None = None
    slow_until: float = 0.0

    def rate(self, per_second: float | None, now: float) -> float | None:
        """The slower of the operator's and the provider's; None where neither sets one."""
        slowed = self.slow_rate if now < self.slow_until <= now + MAX_PAUSE else None
        return min((rate for rate in (per_second, slowed) if rate), default=None)

    def pause_left(self, now: float) -> float:
        left = self.not_before - now
        # No pause is longer, unless the clock was put back; a millisecond is none.
        return left if 0.001 < left <= MAX_PAUSE * 1.1 else 0.0  # noqa: PLR2004

    def start(self, now: float, longest: float = MAX_LEAD) -> float:
        """When the next start is due: now or later."""
        return max(self.due, now) if self.due <= now + max(longest, MAX_LEAD) else now


def acquire(tx: Connection, name: str, now: datetime, per_second: float | None, wanted: int) -> int:
    """How many of `wanted` starts may begin now."""
    second = now.timestamp()
    row = _locked(tx, name, make=per_second is not None)
    if row is None or wanted <= 0:
        return wanted
    if row.pause_left(second):
        return 0
    rate = row.rate(per_second, second)
    if rate is None:
        return wanted
    start = row.start(second)
    fitting = int((second + max(BURST_SECONDS, 1 / rate) - start) * rate + 1e-6)
    granted = max(0, min(wanted, fitting))
    if granted:
        _write(tx, name, due=start + granted / rate)
    return granted


def acquire_all(tx: Connection, costs: Sequence[TokenCost], now: datetime) -> float:
    """Take all of `costs` and return 0, or nothing of any and return the seconds to wait.

    A cost larger than a burst starts as soon as no debt is left, and is paid off afterwards.
    """
    second = now.timestamp()
    dues: dict[str, float] = {}
    wait = 0.0
    # In one order everywhere, or two processes could wait for each other's row.
    for cost in sorted(costs, key=lambda cost: cost.name):
        row = _locked(tx, cost.name, make=cost.per_second is not None)
        if row is None:
            continue
        wait = max(wait, row.pause_left(second))
        if rate := row.rate(cost.per_second, second):
            length = cost.units / rate
            dues[cost.name] = row.start(second, length) + length
            wait = max(wait, dues[cost.name] - second - max(BURST_SECONDS, length))
    if wait > 1e-6:  # noqa: PLR2004 - floating point: Unix times have a microsecond to spare
        # Not all at one instant, when many wait for the same.
        return wait * (1 + random.random() / 10)  # noqa: S311 - jitter
    for name, due in dues.items():
        _write(tx, name, due=due)
    return 0.0


def reconcile(tx: Connection, cost: TokenCost, used: float) -> None:
    """Correct the estimate: the call used `used` units, not `cost.units`."""
    if cost.per_second and (more := (used - cost.units) / cost.per_second):
        tx.execute(update(pace).where(pace.c.name == cost.name).values(due=pace.c.due + more))


def pause(tx: Connection, name: str, now: datetime, seconds: float) -> None:
    """The provider answered "too many requests": nothing starts for so long."""
    second = now.timestamp()
    row = _locked(tx, name, make=True) or _Row()
    until = second + max(min(seconds, MAX_PAUSE), row.pause_left(second))
    _write(tx, name, not_before=until, due=max(row.start(second), until))


def apply_provider_limit(tx: Connection, name: str, now: datetime, left: RateLimitStatus) -> None:
    """Slow down to the remaining quota that the provider reports, where it is low."""
    second = now.timestamp()
    until = min(left.reset, second + MAX_PAUSE)
    if left.is_low and until > second:
        _locked(tx, name, make=True)
        _write(tx, name, slow_rate=max(left.remaining, 1.0) / (until - second), slow_until=until)
        return
    slow = pace.c.slow_rate.is_not(None)
    tx.execute(update(pace).where(pace.c.name == name, slow).values(slow_rate=None))


def wait_time(tx: Connection, name: str, now: datetime, per_second: float | None = None) -> float:
    """Seconds until one may start, with jitter."""
    found = tx.execute(_ROW, {"name": name}).first()
    if found is None:
        return 0.0
    row, second = _row(*found), now.timestamp()
    left = row.pause_left(second)
    if rate := row.rate(per_second, second):
        turn = row.start(second) + 1 / rate - second - max(BURST_SECONDS, 1 / rate)
        # What `take` forgives is no wait, and one too short to pass would never end.
        left = max(left, turn + 0.001 if turn * rate > 1e-6 else 0.0)  # noqa: PLR2004
    return left * (1 + random.random() / 10)  # noqa: S311 - jitter


_ROW = select(pace.c.due, pace.c.not_before, pace.c.slow_rate, pace.c.slow_until).where(
    pace.c.name == bindparam("name")
)
_ROW_FOR_UPDATE = _ROW.with_for_update()


def _locked(tx: Connection, name: str, *, make: bool) -> _Row | None:
    """The row, ours until the commit; None where there is none and none is to be made."""
    found = tx.execute(_ROW_FOR_UPDATE, {"name": name}).first()
    if found is None and make:
        tx.execute(insert(tx, pace).values(name=name, due=0.0).on_conflict_do_nothing())
        found = tx.execute(_ROW_FOR_UPDATE, {"name": name}).first()
    return _row(*found) if found else None


def _row(
    due: float, not_before: float | None, slow_rate: float | None, slow_until: float | None
) -> _Row:
    return _Row(due, not_before or 0.0, slow_rate, slow_until or 0.0)


def _write(tx: Connection, name: str, **values: float) -> None:
    tx.execute(update(pace).where(pace.c.name == name).values(values))


def take_lookup(tx: Connection, subscriber_id: str, day: date, most: int) -> bool:
    """Count one request to the source on a reader's behalf; False after `most` on one day."""
    return _take(tx, paper_lookup, subscriber_id, day, most)


def take_rubric_mail(tx: Connection, subscriber_id: str, day: date, most: int) -> bool:
    """Count one mail with a link that confirms a rubric; False after `most` on one day."""
    return _take(tx, rubric_mail, subscriber_id, day, most)


def _take(tx: Connection, table: Table, subscriber_id: str, day: date, most: int) -> bool:
    """One statement, so that requests at the same time never get more."""
    first = insert(tx, table).values(subscriber_id=subscriber_id, date=day, requests=1)
    another_day = table.c.date != day
    counted = first.on_conflict_do_update(
        index_elements=[table.c.subscriber_id],
        set_={"date": day, "requests": case((another_day, 1), else_=table.c.requests + 1)},
        where=another_day | (table.c.requests < most),
    )
    return tx.execute(counted.returning(table.c.requests)).first() is not None
