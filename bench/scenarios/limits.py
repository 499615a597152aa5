"""Several processes on one database: do they keep the limits together, and rest together?

Each part has its own loopback server, over TLS, that notes when a request came.

    mail       SendGrid calls per second; once a 429 in the middle
    scoring    Messages API requests per minute
    arxiv      one request in so many seconds

    python -m bench limits [--seconds 20] [--processes 3] [--database URL]
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from bench.harness.report import arguments, show
from bench.harness.tls import Certificate, new_certificate
from newsletter.delivery.sender import SendLimits, deliver
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.scorers.claude.scorer import ClaudeScorer
from newsletter.scoring.rate_limit import ScoringRateLimiter
from newsletter.sources.arxiv.transport import ArxivTransport
from newsletter.store import Store
from newsletter.store.rate_limits import SharedRequestQueue as Turns
from tests.fakes import anthropic_rules, scoring
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.mail import DeliveryScenario, settings, written

ALLOWED = 1.15
"""Times the limit in the worst second; without a common limit it would be three times."""
MAILS_PER_SECOND = 30.0
CALLS_PER_MINUTE = 480
ARXIV_SECONDS = 0.5
REST = 2.0
LATENCY = 0.1
JITTER = 0.2
"""How long a busy machine may sit on a request that was granted."""


class Sink(ThreadingHTTPServer):
    """Takes everything and notes when; answers 429 to the request number `complains_at`."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, certificate: Certificate, latency: float, complains_at: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        # A handshake is made in the thread of its connection.
        self.socket = certificate.server_context().wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )
        self.latency = latency
        self.complains_at = complains_at
        self.times: list[float] = []
        self.complained = 0.0
        self.lock = threading.Lock()
        self.url = f"https://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._note()

    def do_GET(self) -> None:
        self._note()

    def _note(self) -> None:
        sink = self.server
        with sink.lock:
            sink.times.append(time.monotonic())
            complains = len(sink.times) == sink.complains_at
        time.sleep(sink.latency)
        status = 202 if self.command == "POST" else 200
        head = ""
        if complains:
            sink.complained = time.monotonic()
            status, head = 429, f"Retry-After: {REST:.0f}\r\n"
        answer = f"HTTP/1.1 {status} x\r\n{head}X-Message-Id: 1\r\nContent-Length: 0\r\n\r\n"
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        """Printing each request would be measured with it."""


def now() -> datetime:
    return datetime.now(UTC)


def start(order: dict[str, Any]) -> None:
    """Wait for the other processes; note when the last of them was ready."""
    with order["began"].get_lock():
        order["began"].value = max(order["began"].value, time.monotonic())
    order["together"].wait()


def mail(order: dict[str, Any]) -> None:
    store = Store(order["database"])
    mailer = SendGridMailer(settings(sendgrid_api_key="SG.limits", sendgrid_url=order["url"]))
    start(order)
    pace = SendLimits(per_second=MAILS_PER_SECOND)
    deliver(store, mailer, order["digest_id"], written, clock=now, sleep=time.sleep, limits=pace)


def score(order: dict[str, Any]) -> None:
    from dataclasses import replace

    store = Store(order["database"])
    scorer = ClaudeScorer(scoring.settings(order["url"], second_opinion=False))
    scorer.sizes = (1,)
    rubric = replace(
        scoring.RUBRIC, slug=f"r{order['number']}", preface=f"Friend {order['number']}"
    )
    pace = ScoringRateLimiter(CALLS_PER_MINUTE, 10**9)
    some = scoring.limits(100.0, rate_limiter=pace, concurrency=8)
    scorer.connect()
    start(order)
    scoring.scored(store, scorer, scoring.papers(order["many"]), some, rubric=rubric)


def arxiv(order: dict[str, Any]) -> None:
    # Loaded on first use: the first request would leave a third of a second after its turn.
    import requests  # noqa: F401

    line = ArxivTransport("limits", 0.0)
    line.queue = Turns(Store(order["database"]), now, ARXIV_SECONDS)
    start(order)
    for _ in range(order["many"]):
        line.ask(order["url"], lambda _body: None)


FORKS = multiprocessing.get_context("forkserver")
"""Its processes come from one that has loaded everything and does nothing else."""
FORKS.set_forkserver_preload(
    ["bench.scenarios.limits", "anthropic", "httpx2", "psycopg", "requests", "sendgrid"]
)
PARTS = {"mail": mail, "scoring": score, "arxiv": arxiv}


def run_part(part: str, order: dict[str, Any]) -> None:
    os.environ["SSL_CERT_FILE"] = order["trusted"]
    PARTS[part](order)


def together(part: str, processes: int, order: dict[str, Any]) -> float:
    """Run one part in so many processes that begin when the last is ready, and say when that was.

    By the clock of the servers, and never too late.
    """
    began = FORKS.Value("d", 0.0)
    order = {**order, "together": FORKS.Barrier(processes, timeout=300), "began": began}
    running = [
        FORKS.Process(target=run_part, args=(part, {**order, "number": number}))
        for number in range(processes)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join()
    if any(process.exitcode for process in running):
        sys.exit(f"a process of {part} failed")
    return float(began.value)


def worst(times: list[float], span: float) -> int:
    """The most that fall into any stretch of so many seconds."""
    times = sorted(times)
    most = end = 0
    for begin, first in enumerate(times):
        while end < len(times) and times[end] < first + span:
            end += 1
        most = max(most, end - begin)
    return most


class Bench(NamedTuple):
    processes: int
    seconds: float
    database: str
    certificate: Certificate

    def order(self, url: str, **more: object) -> dict[str, Any]:
        """What a process of a part is told."""
        trusted = str(self.certificate.trusted)
        return {"database": self.database, "url": url, "trusted": trusted, **more}


def measure_mail(bench: Bench, scenario: DeliveryScenario) -> dict[str, Any]:
    many = int(MAILS_PER_SECOND * bench.seconds)
    scenario.add_readers(many)
    scenario.make_digest()
    sink = Sink(bench.certificate, LATENCY, complains_at=many // 2)
    order = bench.order(sink.url, digest_id=scenario.digest_id)
    began = together("mail", bench.processes, order)
    rest = [t for t in sink.times if sink.complained + 0.5 < t < sink.complained + REST]
    busy = max(sink.times) - min(sink.times) - REST
    return {
        "limit a second": MAILS_PER_SECOND,
        "worst second": worst(sink.times, 1.0),
        "mean a second": round(len(sink.times) / busy, 1),
        "requests": len(sink.times),
        "seconds without the rest": round(max(sink.times) - began - REST, 2),
        "requests in the pause after a 429": len(rest),
        "last request after the 429, s": round(max(sink.times) - sink.complained, 2),
    }


def measure_scoring(bench: Bench) -> dict[str, Any]:
    limit = CALLS_PER_MINUTE / 60
    many = int(limit * bench.seconds / bench.processes)
    anthropic_rules.build_adapters()
    with FakeAnthropic(scoring.scores_in_abstract, latency=LATENCY) as fake:
        fake.speak_tls(bench.certificate.server_context())
        began = together("scoring", bench.processes, bench.order(fake.url, many=many))
        times = [seen.at for seen in fake.requests]
    return {
        "limit a second": limit,
        "worst second": worst(times, 1.0),
        "mean a second": round(len(times) / (max(times) - min(times)), 1),
        "requests": len(times),
        "seconds": round(max(times) - began, 2),
    }


def measure_arxiv(bench: Bench) -> dict[str, Any]:
    sink = Sink(bench.certificate, 0.0)
    many = max(2, int(bench.seconds / ARXIV_SECONDS / bench.processes))
    began = together("arxiv", bench.processes, bench.order(sink.url, many=many))
    times = sorted(sink.times)
    gaps = [after - before for before, after in pairwise(times)]
    return {
        "seconds between requests": ARXIV_SECONDS,
        "shortest gap": round(min(gaps), 3),
        "worst second": worst(times, 1.0),
        "requests": len(times),
        "seconds": round(max(times) - began, 2),
    }


def measure(bench: Bench) -> dict[str, Any]:
    store = Store(bench.database)
    store.migrate()
    figures = {
        "processes": bench.processes,
        "mail": measure_mail(bench, DeliveryScenario(store)),
        "scoring": measure_scoring(bench),
        "arxiv": measure_arxiv(bench),
    }
    store.close()
    return figures


def broken(figures: dict[str, Any]) -> list[str]:
    """Which promises were not kept, second by second."""
    checks = {
        f"{part}: more than the limit": figures[part]["worst second"]
        > ALLOWED * figures[part]["limit a second"]
        for part in ("mail", "scoring")
    }
    arxiv = figures["arxiv"]
    between = arxiv["seconds between requests"]
    # One second has the turns at both its ends.
    checks["arxiv: asked too often"] = arxiv["worst second"] > ALLOWED * (1 / between + 1)
    checks["arxiv: asked too soon"] = arxiv["shortest gap"] < between - JITTER
    checks["a 429 did not stop all"] = figures["mail"]["requests in the pause after a 429"] > 0
    return [said for said, wrong in checks.items() if wrong]


def broken_in_all(figures: dict[str, Any]) -> list[str]:
    """Which promises were not kept from the first to the last request.

    A busy machine may hold requests up that were let go, and bring many at once: a single second
    says nothing there. It never makes all of them arrive sooner.
    """
    mail, scored = figures["mail"], figures["scoring"]
    checks = {
        f"{part}: more than the limit": found["requests"]
        > found["limit a second"] * (ALLOWED * seconds + 1)
        for part, found, seconds in (
            ("mail", mail, mail["seconds without the rest"]),
            ("scoring", scored, scored["seconds"]),
        )
    }
    arxiv = figures["arxiv"]
    least = (arxiv["requests"] - 1) * arxiv["seconds between requests"]
    checks["arxiv: asked too often"] = arxiv["seconds"] < ALLOWED**-1 * least
    checks["a 429 did not stop all"] = mail["last request after the 429, s"] < REST - 0.1
    return [said for said, wrong in checks.items() if wrong]


def main() -> int:
    parser = arguments(__doc__, as_json=True, database=True)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--busy", action="store_true", help="other work has the machine, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = given.database or f"sqlite:///{folder}/limits.db"
        certificate = new_certificate(Path(folder))
        figures = measure(Bench(given.processes, given.seconds, database, certificate))
    figures["broken"] = broken_in_all(figures) if given.busy else broken(figures)
    show(figures, as_json=given.json)
    return 1 if figures["broken"] else 0
