"""Servers that take mail over TLS, each in a process of its own: SendGrid's API, and SMTP."""

from __future__ import annotations

import multiprocessing
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.harness.tls import new_certificate
from bench.harness.vendors import carry
from tests.fakes.smtp import FakeSmtp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

    from bench.harness.tls import Certificate


@contextmanager
def mail_server(kind: str, folder: Path, latency: float) -> Iterator[tuple[str, Path]]:
    """The URL of a server ("sendgrid" or "smtp"), and the authorities that a client must trust."""
    serve: Callable[..., None] = serve_smtp if kind == "smtp" else carry
    certificate = new_certificate(folder)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(there, latency, certificate), daemon=True)
    process.start()
    try:
        yield here.recv()[kind], certificate.trusted
    finally:
        process.terminate()
        process.join()


def serve_smtp(line: Connection, latency: float, certificate: Certificate) -> None:
    messages: Any = deque(maxlen=1)
    path = certificate.path
    with FakeSmtp(path.parent, path, delay=latency, messages=messages) as server:
        line.send({"smtp": server.url})
        line.recv()
