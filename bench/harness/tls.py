"""A private authority for the benches' servers, whose clients trust it beside the system's.

That is as in production: to read all authorities is a large part of what a connection without a
shared context costs.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

from tests.fakes.tls import make_certificate


class Certificate(NamedTuple):
    """Of a server on loopback: its key and certificate, and what a client has to trust."""

    path: Path
    trusted: Path
    """For SSL_CERT_FILE: the system's authorities and the private one."""

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


def new_certificate(folder: Path, *names: str) -> Certificate:
    """For 127.0.0.1, and for hosts of these names."""
    path = make_certificate(folder, *names)
    trusted = folder / "authorities.pem"
    trusted.write_bytes(_system_authorities() + path.read_bytes())
    return Certificate(path, trusted)


def _system_authorities() -> bytes:
    path = ssl.get_default_verify_paths().cafile
    if path is None:
        import certifi

        path = certifi.where()
    return Path(path).read_bytes()
