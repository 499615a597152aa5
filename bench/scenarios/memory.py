"""What the processes of the service hold as readers grow: after each duty, and the last mail.

A `serve` that makes a digest, plans and mails it, tells alerts, shows metrics and tidies up, in a
process of its own for each number of readers; with dbos a worker makes and mails. Vendors are
loopback processes. It fails where memory grows by more than a few bytes a reader, or a mail is
lost.

    python -m bench memory [--readers 500 5000 50000] [--on sqlite dbos] [--database URL]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.harness.processes import megabytes
from bench.harness.report import arguments
from bench.harness.tls import new_certificate
from bench.harness.vendors import vendors
from bench.scenarios.daily_run import (
    DAY,
    database,
    environment,
    figures_of,
    settle,
    workers,
    write_rubrics,
)
from newsletter.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

PAPERS = 32
MORNING = datetime(DAY.year, DAY.month, DAY.day, 8, tzinfo=UTC)
LATER = timedelta(days=100)
"""When all that is forgotten at night is old."""
SINGLY = "1000000000"
BYTES = 200
"""For each reader more: a reader's row alone takes a thousand in memory."""
NOISE_MB = 8
"""What an allocator keeps from one run and not from another."""


def live() -> None:
    """A service's day in this process, by its environment; what it held after each duty."""
    from newsletter import bootstrap
    from newsletter.jobs.housekeeping import run_frequent, run_nightly
    from newsletter.jobs.scheduler import DailyScheduler
    from newsletter.settings import read_settings
    from newsletter.web import metrics
    from newsletter.web.context import Site

    app = bootstrap.build_app(read_settings())
    clock = _Clock()
    # Nobody's suppression list is on loopback.
    app = replace(app, clock=clock.now, suppression_lists=None)
    site = Site(app)
    daily_scheduler = DailyScheduler(app)
    held: dict[str, float] = {}

    def note(duty: str, act: Callable[[], object]) -> None:
        act()
        held[duty] = megabytes()

    note("begun", lambda: None)
    note("made and mailed", daily_scheduler.build)
    note("alerts and inbox", lambda: run_frequent(app))
    note("metrics", lambda: metrics.show(site, None))  # type: ignore[arg-type]
    note("another wake-up", daily_scheduler.send_due)
    clock.ahead += LATER
    note("a night's tidying", lambda: run_nightly(app))
    print(json.dumps(held | {"at most": _peak(os.getpid())}))


class _Clock:
    """Goes as the real one does, from the morning of the announcement on."""

    def __init__(self) -> None:
        self.ahead = MORNING - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return round(int(line.split()[1]) / 1024, 1)


def measure(setup: str, readers: int, server: str) -> tuple[dict[str, Any], bool]:
    """MB after each duty; and whether every reader got one mail."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificate = new_certificate(folder)
        made = stack.enter_context(vendors(certificate, DAY, PAPERS, 0.0))
        url = stack.enter_context(database(setup, folder, server))
        write_rubrics(folder / "rubrics", 1)
        store = Store(url)
        stack.callback(store.close)
        store.migrate()
        settle(store, 1, readers)
        engine = "dbos" if setup == "dbos" else "local"
        env = environment(folder, url, engine, made, certificate)
        env |= {"NEWSLETTER_SCORER": "local", "NEWSLETTER_GROUP_AUDIENCE": SINGLY}
        pids = stack.enter_context(workers(setup == "dbos", folder, env))
        figures = figures_of([sys.executable, "-m", "bench", "memory", "--live"], folder, env)
        if pids:
            figures["a worker, at most"] = max(_peak(pid) for pid in pids)
        return figures, made[1].ask()["mails"] == readers


def show(setup: str, found: dict[int, dict[str, Any]]) -> None:
    print(f"\nMB held by `serve` on {setup}\n")
    print("| |", " | ".join(f"{readers:,} readers" for readers in found), "|")
    print("|---|" + "---:|" * len(found))
    for duty in next(iter(found.values())):
        print(f"| {duty} |", " | ".join(f"{one[duty]:.0f}" for one in found.values()), "|")
    sys.stdout.flush()


def grows(found: dict[int, dict[str, Any]]) -> bool:
    # The fewest do not fill the lanes that mail leaves by, each with a rendering of its own.
    *_, fewest, most = sorted(found)
    allowed = (most - fewest) * BYTES / 2**20 + NOISE_MB
    return any(found[most][duty] - held > allowed for duty, held in found[fewest].items())


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--readers", type=int, nargs="+", default=[500, 5_000, 50_000])
    parser.add_argument("--on", nargs="+", default=["sqlite"], choices=("sqlite", "dbos"))
    parser.add_argument("--database", default=os.environ.get("NEWSLETTER_TEST_DATABASE_URL", ""))
    parser.add_argument("--live", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.live:
        live()
        return 0
    well = True
    for setup in given.on:
        found: dict[int, dict[str, Any]] = {}
        for readers in given.readers:
            found[readers], mailed = measure(setup, readers, given.database)
            print(f"{readers:,} on {setup}: {found[readers]}", file=sys.stderr, flush=True)
            well &= mailed
        show(setup, found)
        well &= not grows(found)
    return 0 if well else 1
