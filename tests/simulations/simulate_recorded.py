"""Recorded months of arXiv, lived through by the service: on which day does each paper come?

Run by `make simulate-recorded`; a short slice of it is in the test suite. Four ways: with arXiv's
own list there, missed on every fifth day, missing, and with an API that is five hours late.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time as stopwatch
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path

from newsletter.domain.announcements import following
from newsletter.store import Store
from tests.fakes.recorded import AGE, SPANS, Comparison, Service, Span, compare, read

RECORDING = Path(__file__).parents[3] / "shared" / "corpus" / "announced.csv.gz"
WAYS = ("feed there", "feed missed every fifth day", "feed missing", "API five hours late")
WANTED = 0.995
"""The share of papers that must come on their day."""


@dataclass
class Lived:
    """What came of one way, over one span or all."""

    comparison: Comparison = field(default_factory=Comparison)
    counts: list[int] = field(default_factory=list)

    def add(self, other: Lived) -> None:
        self.comparison.add(other.comparison)
        self.counts += other.counts


def days_of(span: Span) -> list[date]:
    """The announcement dates of a span and the one after it."""
    days = [span.first]
    while days[-1] <= span.last:
        days.append(following(days[-1]))
    return days


def live_through(way: str, span: Span, recording: Path) -> Lived:
    days = days_of(span)
    feedless = {"feed missed every fifth day": days[4::5], "feed missing": days}.get(way, [])
    delay = timedelta(hours=5 if way == "API five hours late" else 0)
    with tempfile.TemporaryDirectory(dir=_quick_place()) as folder:
        store = Store(f"sqlite:///{folder}/recorded.db")
        store.migrate()
        service = Service(store, span, read(recording), feedless, delay)
        service.live()
        store.close()
    return Lived(compare(service), list(service.counts.values()))


def faults(way: str, lived: Lived) -> list[str]:
    """What must not be: papers twice, too many on another day, or never seen although the feed was
    there; and where it was missed, papers of which no receipt says that they may lack.
    """
    found = lived.comparison
    wrong = [f"{way}: twice: {case}" for case in found.twice]
    never = found.unsaid if way.startswith("feed miss") else found.never
    wrong += [f"{way}: never: {case}" for case in never]
    if found.same_day < WANTED * found.papers:
        wrong.append(f"{way}: {found.same_day} of {found.papers} papers came on their day")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recording", type=Path, default=RECORDING)
    given = parser.parse_args()
    if not given.recording.exists():
        print(f"simulate-recorded is skipped: {given.recording} is absent")
        return 0
    started = stopwatch.monotonic()
    jobs = [(way, span) for span in SPANS for way in WAYS]
    lived = {way: Lived() for way in WAYS}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        made = [(way, pool.submit(live_through, way, span, given.recording)) for way, span in jobs]
        for way, one in made:
            lived[way].add(one.result())
    wrong = [case for way in WAYS for case in faults(way, lived[way])]
    _print(lived)
    for case in wrong[:40]:
        print("WRONG", case)
    print(f"{len(wrong)} wrong" if wrong else "all holds", end="")
    print(f", {stopwatch.monotonic() - started:.0f} s")
    return 1 if wrong else 0


def _quick_place() -> str | None:
    memory = Path("/dev/shm")  # noqa: S108 - a place in memory, where there is one
    return str(memory) if memory.is_dir() else None


def _print(lived: dict[str, Lived]) -> None:
    for span in SPANS:
        print(f"{span.first} to {span.last}: {', '.join(span.categories)}")
    print(f"The service began {AGE.days} days before. A paper counts once in each of its rubrics:")
    print("one for each category and one for all of them.")
    print(f"{'':28}{'papers':>8}{'same day':>10}{'later':>7}{'never':>7}{'said':>6}{'twice':>7}")
    for way, one in lived.items():
        found = one.comparison
        said = len(found.never) - len(found.unsaid)
        print(
            f"{way:28}{found.papers:8,}{found.same_day:10,}{len(found.later):7}"
            f"{len(found.never):7}{said:6}{len(found.twice):7}"
            f"  {found.same_day / found.papers:.3%} on their day, "
            f"{sum(one.counts) / len(one.counts):.1f} count requests a day (most {max(one.counts)})"
        )


if __name__ == "__main__":
    sys.exit(main())
