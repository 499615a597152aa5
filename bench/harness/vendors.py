"""arXiv, Anthropic and SendGrid on loopback, over TLS, for the benches.

Two processes serve them: one sells scores and papers, the other takes mail. They answer after a
set latency, and count. What they use of the processor is not the newsletter's, but on a small
machine it takes turns with it.
"""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.arxiv import FakeArxiv, into_window, row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from bench.harness.tls import Certificate

WORDS = (
    *("sparse", "attention", "quantized", "gradient", "kernel", "lattice", "diffusion"),
    *("retrieval", "alignment", "token", "curvature", "bound", "inference", "policy"),
    *("reward", "graph", "spectral", "causal", "prompt", "benchmark", "adapter"),
)
SENTENCES = 9
DAY = datetime(2025, 9, 22, 12, tzinfo=UTC)
"""Any: each paper gets its time in the announcement's window."""


class Vendor:
    """A process that serves until the end; `ask` for what it has counted so far."""

    def __init__(self, serve: Callable[..., None], *given: object) -> None:
        here, there = multiprocessing.Pipe()
        self._line = here
        self._process = multiprocessing.Process(target=serve, args=(there, *given), daemon=True)
        self._process.start()
        self.url: dict[str, str] = here.recv()

    def ask(self) -> dict[str, Any]:
        self._line.send("count")
        counted: dict[str, Any] = self._line.recv()
        return counted

    def end(self) -> None:
        self._process.terminate()
        self._process.join()


@contextmanager
def vendors(
    certificate: Certificate,
    day: date,
    papers: int,
    latency: float,
    mail_latency: float | None = None,
    tokens_per_second: float | None = None,
) -> Iterator[tuple[Vendor, Vendor]]:
    """Who sells the scores and shows the papers; and who takes the mail."""
    with ExitStack() as stack:
        selling = Vendor(sell, certificate, day, papers, latency, tokens_per_second)
        stack.callback(selling.end)
        slow = latency if mail_latency is None else mail_latency
        carrying = Vendor(carry, slow, certificate)
        stack.callback(carrying.end)
        yield selling, carrying


def sell(
    line: Connection,
    certificate: Certificate,
    day: date,
    papers: int,
    latency: float,
    tokens_per_second: float | None,
) -> None:
    arxiv = FakeArxiv(into_window(listed(papers), day))
    model = FakeAnthropic(scores_of, latency=latency, tokens_per_second=tokens_per_second)
    with arxiv, model as claude:
        for one in (arxiv, claude):
            one.speak_tls(certificate.server_context())
        line.send({"arxiv": arxiv.url, "anthropic": claude.url})
        while line.recv():
            kinds = claude.till.kinds
            line.send(
                {
                    "arXiv requests": len(arxiv.requests),
                    "scoring calls": len(claude.requests),
                    "tokens in, full price": kinds["input_tokens"],
                    "tokens in, cache written": kinds["cache_creation_input_tokens"],
                    "tokens in, from cache": kinds["cache_read_input_tokens"],
                    "tokens out": kinds["output_tokens"],
                    "dollars": claude.bill_nanos / 1e9,
                }
            )


def listed(papers: int) -> list[dict[str, Any]]:
    """Invented papers of one category, with abstracts of the usual length."""
    return [
        row(
            f"2509.{n:05}",
            DAY,
            title=f"On {WORDS[n % len(WORDS)]} {WORDS[n // 7 % len(WORDS)]}, part {n}",
            abstract=" ".join(_sentence(n, place) for place in range(SENTENCES)),
        )
        for n in range(papers)
    ]


def _sentence(n: int, place: int) -> str:
    words = [WORDS[(n * 31 + place * 7 + step * (n % 5 + 1)) % len(WORDS)] for step in range(16)]
    return " ".join(words).capitalize() + "."


def scores_of(title: str, abstract: str) -> dict[str, Any]:
    """One paper in sixteen is picked, another one is near the cut."""
    number = sum(map(ord, title)) % 16
    comment = "names the first criterion, with a method new to it, measured on three sets"
    if number == 0:
        return {"m": 1, "c": comment, "r": 8, "n": 7, "x": len(abstract) % 10}
    if number == 1:
        return {"m": 1, "c": comment, "r": 6, "n": 6, "x": len(abstract) % 10}
    return {"m": 0, "c": "", "r": 2, "n": 4, "x": len(abstract) % 10}


class _Sink(BaseHTTPRequestHandler):
    """Takes mail as SendGrid does; counts calls, recipients and bytes."""

    protocol_version = "HTTP/1.1"
    server: _Sinks

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.latency)
        if self.path.endswith("/mail/batch"):
            made = json.dumps({"batch_id": uuid4().hex}).encode()
            self.wfile.write(
                b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(made), made)
            )
            return
        with self.server.lock:
            self.server.calls += 1
            self.server.taken += len(body)
            self.server.mails += len(json.loads(body)["personalizations"])
            number = self.server.calls
        self.wfile.write(
            b"HTTP/1.1 202 Accepted\r\nX-Message-Id: m%d\r\nContent-Length: 0\r\n\r\n" % number
        )

    def log_message(self, *_: object) -> None:
        """Printing each request would be measured with it."""


class _Sinks(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
    latency = 0.0
    calls = 0
    mails = 0
    taken = 0
    lock = threading.Lock()


def carry(line: Connection, latency: float, certificate: Certificate) -> None:
    """Serve as SendGrid does."""
    server = _Sinks(("127.0.0.1", 0), _Sink)
    server.latency = latency
    server.socket = certificate.server_context().wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    line.send({"sendgrid": f"https://127.0.0.1:{server.server_address[1]}"})
    while line.recv():
        counted = {"mail calls": server.calls, "mails": server.mails}
        line.send(counted | {"bytes of mail": server.taken})
