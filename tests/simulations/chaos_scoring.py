"""Kill -9 a scoring process at random moments, again and again, until a day is scored.

Run by `python -m tests.simulations.chaos_scoring --kills 50`;
tests/simulations/test_chaos_scoring.py runs a short one.
At the end every paper has its right score, and what was paid beyond an undisturbed run is at most
the calls that were in flight at the kills. The stand-in holds answers back until their share of the
kills has come: none comes too late, on a machine of any speed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import func, select

from newsletter.domain.model import Outcome
from newsletter.store import Store
from newsletter.store.ledger import CallState
from newsletter.store.tables import call as calls
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.pace import Pace
from tests.fakes.scoring import claude, limits, month_total, papers, scored, scores_in_abstract
from tests.simulations.crash import ForkServer

LOADED = ("anthropic", "httpx2")
LATENCY = 0.05
CONCURRENCY = 4
TURN_SECONDS = 20.0
"""A held call waits so long for its turn, less than the client waits for an answer."""
RICH = 100.0
"""Dollars: answers lost to kills stay reserved, and here there are many."""


@dataclass(frozen=True)
class Report:
    kills: int
    papers: int
    scored: int
    right: int
    calls_paid: int
    calls_undisturbed: int
    in_flight_at_kills: int
    bill_nanos: int
    booked_nanos: int
    uncertain_nanos: int
    month_nanos: int

    @property
    def holds(self) -> bool:
        extra = self.calls_paid - self.calls_undisturbed
        return (
            self.scored == self.right == self.papers
            and extra <= self.in_flight_at_kills
            and self.booked_nanos <= self.bill_nanos <= self.booked_nanos + self.uncertain_nanos
            and self.month_nanos == self.booked_nanos + self.uncertain_nanos
        )


def score_day(order: dict[str, Any]) -> None:
    """Score in a child of the fork server; the stand-in is in the parent."""
    store = Store(order["database"])
    stand_in: Any = SimpleNamespace(url=order["url"])
    some = papers(order["papers"])
    scored(store, claude(stand_in), some, limits(RICH, concurrency=CONCURRENCY))
    store.close()


def kill_again_and_again(
    server: ForkServer, order: dict[str, Any], fake: FakeAnthropic, pace: Pace, dice: random.Random
) -> int:
    """Kill children that score until one ends by itself. Returns how many were killed."""
    killed = 0
    while killed < pace.last:
        before = len(fake.requests)
        child = server.begin(order)
        while len(fake.requests) == before:
            if (status := server.status(child)) is not None:
                assert status == 0, "a child failed by itself"
                return killed
            time.sleep(0.002)
        time.sleep(dice.uniform(0.0, 5 * LATENCY))
        killed += server.kill(child)
        pace.count(killed)
    assert server.wait(server.begin(order)) == 0, "the last child failed"
    return killed


def report(fake: FakeAnthropic, database: str, count: int, kills: int, undisturbed: int) -> Report:
    store = Store(database)
    result = scored(store, claude(fake), papers(count), limits(RICH))
    with store.read() as tx:
        lost = select(func.count()).select_from(calls).where(calls.c.state == CallState.LOST)
        in_flight = tx.execute(lost).scalar_one()
    of_month = month_total(store)
    store.close()
    right = 0
    for given in papers(count):
        wanted, got = scores_in_abstract(given.title, given.abstract), result.scores.get(given.id)
        right += got is not None and (got.relevance, got.novelty) == (wanted["r"], wanted["n"])
    return Report(
        kills=kills,
        papers=count,
        scored=sum(outcome is Outcome.SCORED for outcome in result.outcomes.values()),
        right=right,
        calls_paid=len(fake.answered),
        calls_undisturbed=undisturbed,
        in_flight_at_kills=in_flight,
        bill_nanos=fake.bill_nanos,
        booked_nanos=sum(usage.total_nanos for usage in result.usage),
        uncertain_nanos=sum(usage.uncertain_nanos for usage in result.usage),
        month_nanos=of_month,
    )


def run(count: int, kills: int, seed: int) -> Report:
    server = ForkServer(score_day, LOADED)
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeAnthropic(scores_in_abstract, latency=LATENCY) as fake,
    ):
        database = f"sqlite:///{Path(folder) / 'newsletter.db'}"
        store = Store(database)
        store.migrate()
        store.close()
        order = {"database": database, "url": fake.url, "papers": count}
        dice = random.Random(seed)  # noqa: S311 - a test
        sizes = [16] * (count // 16) + [4] * (count % 16 // 4) + [1] * (count % 4)
        pace = Pace(0, kills, len(sizes) // 2, TURN_SECONDS)
        fake.wait_for_turn = pace.wait_for_turn
        killed = kill_again_and_again(server, order, fake, pace, dice)
        server.close()
        return report(fake, database, count, killed, len(sizes))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--papers", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found = run(given.papers, given.kills, given.seed)
    sys.stdout.write(f"{found}\nholds: {found.holds}\n")
    return 0 if found.holds and found.kills >= given.kills else 1


if __name__ == "__main__":
    sys.exit(main())
