"""Each goal of issue 16 beside what it was before and what is measured now, in one table.

    python -m bench goals [--only NAME ...] [--year FILE]

"Before" is the issue's own figure. Each measurement calls another benchmark's functions, in a
process of its own, one after the other; all take about 5 minutes on a quiet machine. `--year` is
an SQLite file of `bench history`, used again. A measurement that fails is said to have failed, and
the others go on; the exit code is 0 whatever is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from bench.harness import corpus
from bench.harness.databases import migrated
from bench.harness.mail_servers import mail_server
from bench.harness.report import print_table
from bench.harness.tls import new_certificate
from bench.harness.vendors import Vendor, carry
from bench.harness.year import Year
from bench.scenarios import daily_run, deliver, history, peers, scoring
from newsletter.domain.announcements import newest
from newsletter.mailers import max_concurrent
from tests.fakes.mail import email, reader

if TYPE_CHECKING:
    from collections.abc import Callable

MAILS, MAIL_BYTES, ROUNDS = 200, 85_000, 3
READERS, SLOW_MAIL, SLOW_ANSWER = 300, 0.2, 0.5
HITS = 0.9
"""Share of a batch's calls that find the cache."""


class Goal(NamedTuple):
    measurement: str
    subject: str
    before: str
    at_most: float
    unit: str = ""


GOALS = (
    Goal("sendgrid", "a SendGrid mail of 85 kB over HTTPS, processor", "27 to 38", 2.5, "ms"),
    Goal("smtp", "the same over SMTP with TLS, processor", "34 to 44", 10, "ms"),
    Goal("readers", "300 readers at 0.2 s a mail", "7.8", 2.5, "s"),
    Goal("morning", "548 papers, 1 rubric, 300 readers, processor", "6.0", 3, "s"),
    Goal("morning", "the same, memory at most", "244", 150, "MB"),
    Goal("morning", "the same, wall beside the least possible", "3.1", 1.6, "times"),
    Goal("twenty", "548 papers, 20 rubrics, 500 readers, processor", "21", 12, "s"),
    Goal("call", "a scoring call at 100 rubrics x 964 papers, processor", "22", 9, "ms"),
    Goal("environment", "virtual environment after make install", "473", 250, "MB"),
    Goal("start", "imports of `newsletter run`, processor", "2.9", 1.5, "s"),
    Goal("start", "from its last commit to its end", "0.86", 0.2, "s"),
    Goal("year", "`rubrics check` with a key, a year of history", "2.6", 1, "s"),
    Goal("year", "`status`", "1.1", 0.4, "s"),
    Goal("year", "`subscribers list` of 5,000", "2.7", 1, "s"),
    Goal("dollars-1", "a rubric-day of 548 papers, 1 rubric", "0.046", 0.027, "dollars"),
    Goal("dollars-10", "the same, 10 rubrics", "0.034", 0.022, "dollars"),
    Goal("dollars-100", "the same, 100 rubrics", "0.032", 0.020, "dollars"),
    Goal("second-pass", "second reading at 100 tokens a second", "56", 28, "s"),
)
RUN = """
import json, runpy, sys, time
from pathlib import Path
from sqlalchemy import Engine, event
written = Path(sys.argv[1])
def note(_):
    written.write_text(json.dumps([time.monotonic(), list(sys.modules)]))
event.listen(Engine, "commit", note)
sys.argv = ["newsletter", "run"]
runpy.run_module("newsletter", run_name="__main__")
"""
"""Runs `newsletter run`; writes when it last committed, and which modules there were."""
IMPORT = """
import contextlib, importlib, json, sys, time
_, modules = json.load(open(sys.argv[1]))
began = time.process_time()
for name in modules:
    if name != "__main__":
        # Compiled modules make some that have no file.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
print(time.process_time() - began)
"""


def verdict(measured: float, at_most: float) -> str:
    if measured <= at_most:
        return "met"
    return f"missed by {measured - at_most:.3g} ({measured / at_most - 1:.0%})"


def cpu_of_a_mail(kind: str) -> list[float]:
    """Milliseconds of processor of a mail that is claimed, sent and recorded, many at once."""
    mails = [email(reader(n), html=_body()) for n in range(MAILS)]
    send = peers.delivered(kind, peers.THREADS)
    with (
        tempfile.TemporaryDirectory() as folder,
        mail_server(kind, Path(folder), 0.02) as (url, trusted),
    ):
        os.environ["SSL_CERT_FILE"] = str(trusted)
        used = [peers.measured(send, url, mails)[1] for _ in range(ROUNDS)]
    return [median(used) / MAILS * 1000]


def _body() -> str:
    return (peers.PAPER * (MAIL_BYTES // len(peers.PAPER) + 1))[:MAIL_BYTES]


def seconds_of_readers() -> list[float]:
    with tempfile.TemporaryDirectory() as folder, migrated() as store:
        certificate = new_certificate(Path(folder))
        os.environ["SSL_CERT_FILE"] = str(certificate.trusted)
        server = Vendor(carry, SLOW_MAIL, certificate)
        figures = deliver.measure(store, READERS, READERS, peers.THREADS, server)
        server.end()
    return [READERS / figures["one by one"]["mails/s"]]


def morning() -> list[float]:
    """Processor, memory, and the wall beside the time that the vendors take for all of it.

    The least possible: one request to arXiv after the other, eight scoring calls at once, as many
    mails at once as the mailer allows, and no processor time.
    """
    slow = ["--latency", f"{SLOW_ANSWER}", "--mail-latency", f"{SLOW_MAIL}"]
    figures = _morning(1, READERS, 548, slow)
    at_once = max_concurrent(peers.mailer_of("sendgrid", "https://127.0.0.1"))
    least = (
        figures["arXiv requests"] * SLOW_ANSWER
        + figures["scoring calls"] * SLOW_ANSWER / scoring.CONCURRENCY
        + figures["mails"] * SLOW_MAIL / at_once
    )
    return [
        figures["with imports, s of processor"],
        figures["MB at most"],
        figures["whole morning, s"] / least,
    ]


def _morning(rubrics: int, readers: int, papers: int, more: list[str]) -> dict[str, float]:
    given = daily_run.options().parse_args(["--papers", f"{papers}", *more])
    figures, whole = daily_run.measure("sqlite", rubrics, readers, given)
    if not whole:
        sys.exit("a reader got no mail, or two")
    return figures


def twenty_rubrics() -> list[float]:
    return [_morning(20, 500, 548, ["--latency", "0.05"])["with imports, s of processor"]]


def scoring_call() -> list[float]:
    return [
        _morning(100, 100, 964, ["--latency", "0.05"])["ms of processor a scoring call"],
    ]


def environment() -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "venv"
        _run(["make", "-s", "install", f"VENV={made}"], daily_run.ROOT, dict(os.environ))
        done = _run(["du", "-sm", str(made)], daily_run.ROOT, dict(os.environ))
    return [float(done.split()[0])]


def start() -> list[float]:
    """Of a morning with one reader: processor seconds to import the modules that it had at its end,
    and seconds from its last commit to its end.
    """
    given = daily_run.options().parse_args(["--papers", "64", "--latency", "0"])
    day, imports, ends = newest(datetime.now(UTC)), [], []
    for _ in range(ROUNDS):
        with daily_run.prepared("sqlite", 1, 1, given, day) as (folder, env, _store, _made):
            env["PYTHONPATH"] = str(daily_run.ROOT)
            written = folder / "written.json"
            _run([sys.executable, "-c", RUN, str(written)], folder, env)
            ended = time.monotonic()
            committed, _ = json.loads(written.read_text(encoding="utf-8"))
            ends.append(ended - committed)
            imports.append(float(_run([sys.executable, "-c", IMPORT, str(written)], folder, env)))
    return [min(imports), min(ends)]


def _run(command: list[str], folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(  # noqa: S603 - ourselves, make and du
        command, cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout


def over_a_year(file: Path | None) -> list[float]:
    """Seconds of the clock of three commands, each the least of three."""
    with tempfile.TemporaryDirectory() as name:
        folder, year = Path(name), Year()
        daily_run.write_rubrics(folder / "rubrics", year.rubrics)
        url = f"sqlite:///{(file or folder / 'year.db').absolute()}"
        history.filled(url, year, datetime.now(UTC)).close()
        env = history.environment(folder, url)
        asked: list[tuple[str, dict[str, str]]] = [
            ("rubrics check rubrics/rubric-0.md", history.KEY),
            ("status", {}),
            ("subscribers list", {}),
        ]
        return [
            min(history.cost(command, folder, env | key)[1] for _ in range(history.TIMES))
            for command, key in asked
        ]


def dollars(rubrics: int) -> Callable[[], list[float]]:
    def measure() -> list[float]:
        corpus.require()
        papers = corpus.papers(scoring.DAY, scoring.PAPERS)
        case = scoring.Case(rubrics, "auto", schema_cached=True, hits=HITS)
        return [scoring.measure(papers, case).dollars]

    return measure


def second_pass() -> list[float]:
    corpus.require()
    papers = corpus.papers(scoring.DAY, scoring.PAPERS)
    speed = scoring.TOKENS_PER_SECOND
    case = scoring.Case(1, "now", schema_cached=True, latency=SLOW_ANSWER, tokens_per_second=speed)
    return [scoring.measure(papers, case).second_pass_wall]


def measurements(year: Path | None) -> dict[str, Callable[[], list[float]]]:
    """The figures of the goals with this name, in the order of the table."""
    return {
        "sendgrid": lambda: cpu_of_a_mail("sendgrid"),
        "smtp": lambda: cpu_of_a_mail("smtp"),
        "readers": seconds_of_readers,
        "morning": morning,
        "twenty": twenty_rubrics,
        "call": scoring_call,
        "environment": environment,
        "start": start,
        "year": lambda: over_a_year(year),
        **{f"dollars-{number}": dollars(number) for number in (1, 10, 100)},
        "second-pass": second_pass,
    }


def measured_apart(name: str, year: Path | None) -> list[float] | str:
    """The figures of a measurement, or why there are none."""
    command = [sys.executable, "-m", "bench", "goals", "--child", name]
    command += ["--year", str(year.absolute())] if year else []
    began = time.monotonic()
    done = subprocess.run(  # noqa: S603 - ourselves
        command, cwd=daily_run.ROOT, capture_output=True, text=True, check=False
    )
    took = f"{name}: {time.monotonic() - began:.0f} s"
    print(f"{took}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    figures: list[float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def rows_of(name: str, found: list[float] | str) -> list[list[str]]:
    goals = [goal for goal in GOALS if goal.measurement == name]
    named = [[f"{one.subject}, {one.unit}", one.before, f"{one.at_most:g}"] for one in goals]
    if isinstance(found, str):
        return [[*row, "", f"not measured: {found}"] for row in named]
    return [
        [*row, f"{figure:.3g}", verdict(figure, goal.at_most)]
        for row, goal, figure in zip(named, goals, found, strict=True)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = list(measurements(None))
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--year", type=Path, help="an SQLite file that is made, or used again")
    parser.add_argument("--child", choices=names, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measurements(given.year)[given.child]()))
        return 0
    load = os.getloadavg()[0]
    rows = [row for name in given.only for row in rows_of(name, measured_apart(name, given.year))]
    print_table(["goal of issue 16", "before", "at most", "measured now", ""], rows)
    print(f"\nload {load:.1f} when it began, {os.getloadavg()[0]:.1f} at its end, its own included")
    return 0
