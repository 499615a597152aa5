"""A whole morning from the fetch to the last mail, on each engine and database in turn.

Every setup gets an empty database, the same loopback vendors over TLS and the same readers. Printed
is one table in Markdown: wall time and memory of each phase, calls, tokens, dollars, rows; then how
many times as fast each setup was as the first.

    python -m bench daily_run [--size 20x500 ...] [--papers 400] [--latency 0.2]
        [--on sqlite postgresql dbos1 dbos2 dbos3] [--database URL of a PostgreSQL that may be used]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select

from bench.harness.databases import add_subscribers
from bench.harness.morning import DAY
from bench.harness.tls import new_certificate
from bench.harness.vendors import Vendor, vendors
from newsletter.store import Store
from newsletter.store.tables import metadata
from tests.fakes.database import own_database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from bench.harness.tls import Certificate

ROOT = Path(__file__).resolve().parents[2]

START = datetime(2025, 9, 1, tzinfo=UTC)
PAGE = 5000
SETUPS = ("sqlite", "postgresql", "dbos1", "dbos2", "dbos3")
TABLES = ("paper", "call", "score", "digest", "digest_paper", "delivery")
RUBRIC = """---
title: Rubric {n}
categories: [cs.LG]
relevance: 7
novelty: 6
---

## Criteria

1. {first} and {second}
   - Relevant: a new method for {first}, or a measurement that changes what is known of it, with
     code or proofs; {second} counts where it is the main subject.
   - Irrelevant: known methods applied to another task; surveys.
2. {third} under limits
   - Relevant: less memory, energy or data for {third} at equal quality, on {n} sets or more.
   - Irrelevant: larger models alone.
"""
SUBJECTS = ("attention", "quantization", "diffusion", "retrieval", "causality", "graphs", "rewards")


def write_rubrics(folder: Path, number: int) -> None:
    folder.mkdir()
    for n in range(number):
        first, second, third = (SUBJECTS[(n // d + d) % len(SUBJECTS)] for d in (1, 7, 49))
        words = RUBRIC.format(n=n, first=first, second=second, third=third)
        (folder / f"rubric-{n}.md").write_text(words, encoding="utf-8")


def settle(store: Store, rubrics: int, readers: int) -> None:
    add_subscribers(store, readers, [f"rubric-{n}" for n in range(rubrics)])


def figures_of(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """What a part of the bench prints last that runs as a process of its own."""
    done = subprocess.run(  # noqa: S603 - ourselves
        command,
        cwd=folder,
        env={**env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def environment(
    folder: Path, url: str, engine: str, made: Sequence[Vendor], certificate: Certificate
) -> dict[str, str]:
    urls = made[0].url | made[1].url
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "SSL_CERT_FILE": str(certificate.trusted),
        "NEWSLETTER_DATABASE_URL": url,
        "NEWSLETTER_ENGINE": engine,
        "NEWSLETTER_RUBRICS_DIR": str(folder / "rubrics"),
        "NEWSLETTER_ARXIV_API_URL": urls["arxiv"],
        "NEWSLETTER_ARXIV_RSS_URL": urls["arxiv"].replace("/api/query", "/rss"),
        "NEWSLETTER_ARXIV_DELAY_SECONDS": "0",
        "ANTHROPIC_API_KEY": "sk-bench",
        "ANTHROPIC_BASE_URL": urls["anthropic"],
        "NEWSLETTER_SCORING_MODE": "now",
        "NEWSLETTER_BUDGET_USD": "5",
        "SENDGRID_API_KEY": "SG.bench",
        "NEWSLETTER_SENDGRID_URL": urls["sendgrid"],
        "NEWSLETTER_FROM_EMAIL": "digest@example.org",
        "NEWSLETTER_POSTAL_ADDRESS": "1 Example Street",
        "NEWSLETTER_PUBLIC_URL": "https://digest.example.org",
        "NEWSLETTER_SECRET_KEY": "k" * 32,
        "NEWSLETTER_OUTBOX_DIR": str(folder / "var" / "outbox"),
        "NEWSLETTER_LOG_LEVEL": "warning",
    }


@contextmanager
def database(setup: str, folder: Path, server: str) -> Iterator[str]:
    """An empty database of its own."""
    if setup == "sqlite":
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    with own_database(server) as url:
        yield url


@contextmanager
def workers(number: int, folder: Path, env: dict[str, str]) -> Iterator[list[int]]:
    """Their process ids; each has said that it takes work."""
    command = [sys.executable, "-m", "newsletter", "worker", "--port", "0", "--id"]
    started = []
    for n in range(1, number + 1):
        log = (folder / f"w{n}.log").open("w")
        more = {"NEWSLETTER_LOG_LEVEL": "info", "PYTHONPATH": str(ROOT)}
        run = subprocess.Popen([*command, f"w{n}"], cwd=folder, env=env | more, stderr=log)  # noqa: S603
        started.append((run, folder / f"w{n}.log"))
    for run, said in started:
        while " started" not in said.read_text(encoding="utf-8"):
            if run.poll() is not None:
                sys.exit(said.read_text(encoding="utf-8"))
            time.sleep(0.05)
    try:
        yield [run.pid for run, _ in started]
    finally:
        for run, _ in started:
            run.terminate()
        for run, _ in started:
            run.wait(60)


class Prepared(NamedTuple):
    """A database with readers, rubrics and vendors before a morning."""

    folder: Path
    env: dict[str, str]
    store: Store
    vendors: tuple[Vendor, Vendor]


@contextmanager
def prepared(
    setup: str, rubrics: int, readers: int, given: argparse.Namespace, day: date = DAY
) -> Iterator[Prepared]:
    engine = "dbos" if setup.startswith("dbos") else "local"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificate = new_certificate(folder)
        speed, slow = given.tokens_per_second, (given.latency, given.mail_latency)
        made = stack.enter_context(vendors(certificate, day, given.papers, *slow, speed))
        url = stack.enter_context(database(setup, folder, given.database))
        write_rubrics(folder / "rubrics", rubrics)
        store = Store(url)
        stack.callback(store.close)
        store.migrate()
        settle(store, rubrics, readers)
        yield Prepared(folder, environment(folder, url, engine, made, certificate), store, made)


def measure(
    setup: str, rubrics: int, readers: int, given: argparse.Namespace
) -> tuple[dict[str, Any], bool]:
    """The figures of one morning, and whether every reader got one mail."""
    crowd = int(setup.removeprefix("dbos")) if setup.startswith("dbos") else 0
    child = [*given.python, "-m", "bench.harness.morning"]
    with (
        prepared(setup, rubrics, readers, given) as (folder, env, store, made),
        workers(crowd, folder, env) as pids,
    ):
        figures = figures_of(child, folder, env)
        if pids:
            figures["MB of a worker, at most"] = max(_peak(pid) for pid in pids)
        counted = made[0].ask() | made[1].ask()
        with store.read() as tx:
            for name in TABLES:
                count = select(func.count()).select_from(metadata.tables[name])
                figures[f"rows of {name}"] = tx.scalar(count)
    spent = figures["score and make, s of processor"]
    figures["ms of processor a scoring call"] = round(1000 * spent / counted["scoring calls"], 1)
    return figures | counted, counted["mails"] == readers


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return round(int(line.split()[1]) / 1024, 1)


def show(size: str, given: argparse.Namespace, found: dict[str, dict[str, Any]]) -> None:
    print(f"\n### {size.replace('x', ' rubrics, ')} readers, {given.papers} papers, ", end="")
    print(f"vendors answer after {given.latency} s\n")
    print("| |", " | ".join(found), "|")
    print("|---|" + "---:|" * len(found))
    names = dict.fromkeys(name for one in found.values() for name in one)
    for name in names:
        print(f"| {name} |", " | ".join(_cell(one.get(name)) for one in found.values()), "|")
    first = next(iter(found.values()))["whole morning, s"]
    ratios = [f"{first / one['whole morning, s']:.2f}" for one in found.values()]
    print("| times as fast as the first |", " | ".join(ratios), "|", flush=True)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", nargs="*", default=["20x500"], metavar="RUBRICSxREADERS")
    parser.add_argument("--papers", type=int, default=400)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--mail-latency", type=float, help="of SendGrid, if it is another one")
    parser.add_argument("--tokens-per-second", type=float, help="the model's output takes time")
    parser.add_argument("--on", nargs="*", default=["sqlite"], choices=SETUPS)
    parser.add_argument("--database", default=os.environ.get("NEWSLETTER_TEST_DATABASE_URL", ""))
    parser.add_argument("--python", nargs="*", default=[sys.executable], help="to profile it")
    return parser


def main() -> int:
    parser = options()
    given = parser.parse_args()
    if not given.database and set(given.on) - {"sqlite"}:
        parser.error("PostgreSQL is needed: --database postgresql+psycopg://USER@HOST/NAME")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    whole = True
    for size in given.size:
        rubrics, readers = map(int, size.split("x"))
        found = {}
        for setup in given.on:
            found[setup], all_mailed = measure(setup, rubrics, readers, given)
            whole &= all_mailed
            said = found[setup]["whole morning, s"]
            print(f"{size} on {setup}: {said} s", file=sys.stderr, flush=True)
        show(size, given, found)
    return 0 if whole else 1
