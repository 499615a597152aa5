"""What a reservation out of a monthly budget costs where the month has many calls.

Milliseconds of processor of one whole reservation, which the service makes before each call of the
model, and of the sum over the month's calls that was a part of it before.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from bench.harness.report import arguments, show
from newsletter.scorers import ScoringCall, ScoringRequest
from newsletter.store import Store, ledger
from newsletter.store.papers import keep
from newsletter.store.tables import call, month_cost
from tests.fakes.database import own_database
from tests.fakes.scoring import RUBRIC, papers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MONTH = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
COST, ANSWER_BYTES, RUBRICS, TIMES = 400_000, 2_000, 100, 20


def calls(number: int) -> Iterator[dict[str, Any]]:
    """Calls of sixteen papers, spread evenly over the month."""
    slots = {f"p{n:02}": f"2511.{n:05}" for n in range(1, 17)}
    for n in range(number):
        at = MONTH + (NOW - MONTH) * n / number
        names = dict.fromkeys(("rubric", "fingerprint"), f"r{n % RUBRICS}")
        yield names | {
            "id": f"{n:032}",
            "scorer": "model/1",
            "date": at.date(),
            "reading": 1,
            "model": "model",
            "request_hash": "0" * 64,
            "papers": slots,
            "state": "done",
            "upper_nanos": 10 * COST,
            "usage": {"model": "model", "input_tokens": 900},
            "cost_nanos": COST,
            "raw": b"x" * ANSWER_BYTES,
            "owner": "",
            "lease_until": at,
            "started_at": at,
            "ended_at": at,
        }


def fill(store: Store, number: int) -> None:
    rows = list(calls(number))
    with store.begin() as tx:
        keep(tx, papers(16))
        for start in range(0, number, 5_000):
            tx.execute(insert(call), rows[start : start + 5_000])
        tx.execute(insert(month_cost).values(month=MONTH.date(), nanos=COST * number))
    with store.begin() as tx:
        tx.exec_driver_sql("ANALYZE")


def least(act: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return round(1000 * min(times), 2)


def measure(store: Store) -> dict[str, float]:
    month_sum = select(func.sum(call.c.cost_nanos)).where(call.c.started_at >= MONTH)
    request = ScoringRequest(RUBRIC, tuple(papers(16)))
    made = ScoringCall(request, "model", {}, COST, NOW)
    budget = ledger.Budget(10**9, 10**15)
    account = ledger.Account(RUBRIC.slug, RUBRIC.fingerprint, "model/1", NOW.date(), "bench")

    def reserve() -> None:
        with store.begin() as tx:
            ledger.reserve(tx, account, made, budget, NOW - timedelta(days=1))

    with store.read() as tx:
        summed = least(lambda: tx.execute(month_sum).scalar())
        total = least(lambda: ledger._nanos_left(tx, account, budget, NOW))  # noqa: SLF001
    return {
        "sum over the month's calls, ms": summed,
        "both budgets by totals, ms": total,
        "a whole reservation with its commit, ms": least(reserve),
    }


def main() -> None:
    parser = arguments(__doc__, as_json=True, database=True)
    parser.add_argument("--calls", type=int, default=100_000)
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        own = own_database(given.database) if given.database else None
        store = Store(stack.enter_context(own) if own else f"sqlite:///{folder / 'bench.db'}")
        stack.callback(store.close)
        store.migrate()
        fill(store, given.calls)
        show({f"{given.calls:,} calls": measure(store)}, as_json=given.json)
