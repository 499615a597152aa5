"""Kill -9 a scoring process at random moments, again and again, until a day is scored.

Run by `python -m tests.simulations.chaos_scoring --kills 50`;
tests/simulations/test_chaos_scoring.py runs a short one.
At the end every paper has its right score, and what was paid beyond an undisturbed run is at most
the calls that were in flight at the kills.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic  # noqa: F401 - loaded once, before the forks
import httpx2  # noqa: F401 - the same
from sqlalchemy import func, select

from newsletter.domain.model import Outcome
from newsletter.store import Store
from newsletter.store.ledger import CallState
from newsletter.store.tables import call as calls
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.scoring import claude, honest, limits, papers, scored

LATENCY = 0.05
CONCURRENCY = 4
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

    @property
    def holds(self) -> bool:
        extra = self.calls_paid - self.calls_undisturbed
        return (
            self.scored == self.right == self.papers
            and extra <= self.in_flight_at_kills
            and self.booked_nanos <= self.bill_nanos <= self.booked_nanos + self.uncertain_nanos
        )


def serve(pipe: int) -> None:
    """The stand-in, in a process of its own; its port goes into the pipe."""
    with FakeAnthropic(honest, latency=LATENCY) as fake:
        os.write(pipe, fake.url.encode())
        while True:
            time.sleep(60)


def look(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/log", timeout=10) as answer:  # noqa: S310 - loopback
        return dict(json.load(answer))


class Away:
    """Where the stand-in is, for building a scorer in a child."""

    def __init__(self, url: str) -> None:
        self.url = url


def score_day(url: str, database: str, count: int) -> None:
    store = Store(database)
    scored(
        store,
        claude(Away(url)),  # type: ignore[arg-type]
        papers(count),
        limits(RICH, concurrency=CONCURRENCY),
    )
    store.close()


def child(url: str, database: str, count: int) -> int:
    """Fork, so that the libraries are loaded once; returns the process id."""
    if pid := os.fork():
        return pid
    try:
        score_day(url, database, count)
        os._exit(0)
    finally:
        os._exit(1)


def torment(url: str, database: str, count: int, kills: int, chance: random.Random) -> int:
    """Let children score until one ends by itself; kill the others. Returns how many died."""
    died = 0
    while True:
        before = look(url)["requests"]
        pid = child(url, database, count)
        if died >= kills:
            _, status = os.waitpid(pid, 0)
            assert status == 0, "the last child failed"
            return died
        while look(url)["requests"] == before:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                assert status == 0, "a child failed by itself"
                return died
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 5 * LATENCY))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        died += 1


def report(url: str, database: str, count: int, kills: int, undisturbed: int) -> Report:
    store = Store(database)
    result = scored(
        store,
        claude(Away(url)),  # type: ignore[arg-type]
        papers(count),
        limits(RICH),
    )
    with store.read() as tx:
        lost = select(func.count()).select_from(calls).where(calls.c.state == CallState.LOST)
        in_flight = tx.execute(lost).scalar_one()
    store.close()
    seen = look(url)
    right = 0
    for given in papers(count):
        wanted, got = honest(given.title, given.abstract), result.scores.get(given.id)
        right += got is not None and (got.relevance, got.novelty) == (wanted["r"], wanted["n"])
    return Report(
        kills=kills,
        papers=count,
        scored=sum(outcome is Outcome.SCORED for outcome in result.outcomes.values()),
        right=right,
        calls_paid=seen["paid"],
        calls_undisturbed=undisturbed,
        in_flight_at_kills=in_flight,
        bill_nanos=seen["bill_nanos"],
        booked_nanos=sum(usage.total_nanos for usage in result.usage),
        uncertain_nanos=sum(usage.uncertain_nanos for usage in result.usage),
    )


def run(count: int, kills: int, seed: int) -> Report:
    reader, writer = os.pipe()
    server = os.fork()
    if not server:
        serve(writer)
    url = os.read(reader, 100).decode()
    try:
        with tempfile.TemporaryDirectory() as folder:
            database = f"sqlite:///{Path(folder) / 'newsletter.db'}"
            store = Store(database)
            store.migrate()
            store.close()
            died = torment(url, database, count, kills, random.Random(seed))  # noqa: S311 - a test
            sizes = [16] * (count // 16) + [4] * (count % 16 // 4) + [1] * (count % 4)
            return report(url, database, count, died, len(sizes))
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


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
