"""How much sooner a morning is over with more workers, when what it waits for is the providers.

The same morning with one worker, with two, and so on: every request takes 200 ms at a loopback
SendGrid and Anthropic over TLS, each worker has twelve mails under way at once (four lanes of three
threads), and PostgreSQL is shared. It fails where two are not 1.6 times as fast as one, where a
mail is doubled or lost, and with --limit where the busiest second of all workers together has more
than 1.15 times the common pace.

    python -m bench workers [--readers 20000] [--rubrics 48] [--workers 1 2] [--threads 3]
        [--limit MAILS_PER_SECOND]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import deque
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.harness.report import arguments, show
from bench.harness.tls import new_certificate
from newsletter.store import Store
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.database import own_database
from tests.fakes.scoring import scores_in_abstract
from tests.fakes.sendgrid import FakeSendGrid
from tests.simulations.workers import Order, WorkerForkServer, all_mails, settle

if TYPE_CHECKING:
    import argparse

    from bench.harness.tls import Certificate

LATENCY = 0.2
PAPERS = 16
LAUNCH_SECONDS = 8
"""So long the workers get to be ready: what is measured is the morning, not their start."""
FASTER, ABOVE = 1.6, 1.15
"""What two workers owe, and by how much the busiest second may pass the limit."""
SAY_SECONDS = 15


def morning(
    server: WorkerForkServer, certificate: Certificate, given: argparse.Namespace, workers: int
) -> dict[str, Any]:
    arrivals: list[float] = []
    said = 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        own_database(given.database) as url,
        FakeSendGrid(delay=LATENCY) as mail,
        FakeAnthropic(scores_in_abstract, latency=LATENCY) as model,
    ):
        for one in (mail, model):
            one.speak_tls(certificate.server_context())
        mail.fault_for = partial(_note, mail, arrivals)
        base = Order("plan", url, folder, mail.url, model.url, papers=PAPERS, lease=600.0)
        base = replace(base, threads=given.threads, mails_per_second=given.limit, group=50)
        settle(base, given.rubrics, given.readers)
        lives = [server.begin(replace(base, role="work", name=f"w{n}")) for n in range(workers)]
        time.sleep(LAUNCH_SECONDS)
        started = time.monotonic()
        planner = server.begin(base)
        while server.status(planner) is None:
            time.sleep(0.1)
            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                part = f"{workers} workers, {said - started:.0f} s: {len(arrivals):,} mails"
                print(part, file=sys.stderr, flush=True)
        ended = time.monotonic()
        for life in lives:
            server.kill(life)
        store = Store(url)
        mails = all_mails(store)
        store.close()
    return {
        "workers": workers,
        "seconds": round(ended - started, 1),
        "of which mail": round(arrivals[-1] - arrivals[0], 1),
        "mails per second": round(len(arrivals) / (arrivals[-1] - arrivals[0]), 1),
        "busiest second": (busiest := busiest_second(arrivals))[0],
        "begins at, s": round(busiest[1] - min(arrivals), 1),
        "mails": mails,
        "mailed twice": len(mail.addresses) - len(set(mail.addresses)),
        "not mailed": given.readers - len(set(mail.addresses)),
    }


def _note(mail: FakeSendGrid, arrivals: list[float], payload: dict[str, Any]) -> None:
    """When a mail came. Its words are forgotten: 20,000 of them would fill the machine."""
    arrivals.append(time.monotonic())
    payload.pop("content", None)
    mail.requests.clear()


def busiest_second(arrivals: list[float]) -> tuple[int, float]:
    """How many came within a second at the most, and when it began."""
    window: deque[float] = deque()
    most = (0, 0.0)
    for at in sorted(arrivals):
        window.append(at)
        while window[0] <= at - 1.0:
            window.popleft()
        most = max(most, (len(window), window[0]), key=lambda found: found[0])
    return most


def main() -> int:
    parser = arguments(__doc__, as_json=True)
    parser.add_argument("--readers", type=int, default=20_000)
    parser.add_argument("--rubrics", type=int, default=48)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--threads", type=int, default=3)
    parser.add_argument("--limit", type=float, default=None)
    parser.add_argument("--database", default=os.environ.get("NEWSLETTER_TEST_DATABASE_URL", ""))
    given = parser.parse_args()
    if not given.database.startswith("postgresql"):
        parser.error("workers need PostgreSQL: give --database or NEWSLETTER_TEST_DATABASE_URL")
    with tempfile.TemporaryDirectory() as folder:
        certificate = new_certificate(Path(folder))
        os.environ["SSL_CERT_FILE"] = str(certificate.trusted)
        server = WorkerForkServer()
        runs = [morning(server, certificate, given, workers) for workers in given.workers]
        server.close()
    figures: dict[str, Any] = {"runs": runs}
    figures["times faster"] = [round(runs[0]["seconds"] / run["seconds"], 2) for run in runs]
    if given.limit:
        figures["busiest second to limit"] = [
            round(run["busiest second"] / given.limit, 2) for run in runs
        ]
    figures["broken"] = broken(figures, given)
    show(figures, as_json=given.json)
    return 1 if figures["broken"] else 0


def broken(figures: dict[str, Any], given: argparse.Namespace) -> list[str]:
    """Which promises were not kept. Where a limit binds, more workers are no faster."""
    runs = figures["runs"]
    slow = zip(given.workers, figures["times faster"], strict=True)
    checks = {
        "a mail is not accepted": any(set(run["mails"]) != {"accepted"} for run in runs),
        "a mail was doubled": any(run["mailed twice"] for run in runs),
        "a mail was lost": any(run["not mailed"] for run in runs),
        "two are not fast enough": given.workers[0] == 1
        and not given.limit
        and any(workers == 2 and times < FASTER for workers, times in slow),  # noqa: PLR2004 - two
        "more than the limit": max(figures.get("busiest second to limit", [0])) > ABOVE,
    }
    return [promise for promise, wrong in checks.items() if wrong]
