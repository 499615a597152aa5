"""Servers that take mail over TLS, each in a process of its own: SendGrid's API, and SMTP.

Clients trust their private authority beside all authorities of the system, as in production: to
read those is a large part of what a connection without a shared context costs.
"""

from __future__ import annotations

import multiprocessing
import ssl
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.harness.vendors import carry
from tests.fakes.smtp import FakeSmtp
from tests.fakes.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection


@contextmanager
def mail_server(kind: str, folder: Path, latency: float) -> Iterator[tuple[str, Path]]:
    """The URL of a server ("sendgrid" or "smtp"), and the authorities that a client must trust."""
    serve: Callable[..., None] = serve_smtp if kind == "smtp" else carry
    certificate = make_certificate(folder)
    trusted = trusted_authorities(folder, certificate)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(there, latency, certificate), daemon=True)
    process.start()
    try:
        yield here.recv()[kind], trusted
    finally:
        process.terminate()
        process.join()


def serve_smtp(line: Connection, latency: float, certificate: Path) -> None:
    messages: Any = deque(maxlen=1)
    with FakeSmtp(certificate.parent, certificate, delay=latency, messages=messages) as server:
        line.send({"smtp": server.url})
        line.recv()


def trusted_authorities(folder: Path, certificate: Path) -> Path:
    """For SSL_CERT_FILE: the system's authorities and the private one."""
    path = folder / "authorities.pem"
    path.write_bytes(_system_authorities() + certificate.read_bytes())
    return path


def _system_authorities() -> bytes:
    path = ssl.get_default_verify_paths().cafile
    if path is None:
        import certifi

        path = certifi.where()
    return Path(path).read_bytes()
