"""Certificates of a private authority."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


class Authority:
    """A company's own; `path` is what SSL_CERT_FILE has to name."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.path = folder / "company-ca.pem"
        self._ca.cert_pem.write_to_path(str(self.path))

    def server(self, *names: str) -> ssl.SSLContext:
        """What a server of these names or addresses encrypts with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        return context


def make_certificate(folder: Path, *names: str) -> Path:
    """Key and certificate for 127.0.0.1 and these names, and their authority, in one file: for a
    server to load, and for a client to trust.
    """
    authority = trustme.CA()
    path = folder / "loopback.pem"
    pem = authority.issue_cert("127.0.0.1", *names).private_key_and_cert_chain_pem.bytes()
    path.write_bytes(pem + authority.cert_pem.bytes())
    return path
