"""Canonical form and fingerprint of an email address (pure)."""

from __future__ import annotations

import hashlib
import unicodedata


def canonical(address: str) -> str:
    """The key of an address: NFKC, lower case, the domain in its ASCII form without a last dot.

    The spelling a reader gave is kept for sending; only this key is compared. Dots and `+tags`
    stay: only some providers ignore them.
    """
    local, _, domain = unicodedata.normalize("NFKC", address).strip().rpartition("@")
    return f"{local.casefold()}@{ascii_domain(domain)}"


def ascii_domain(domain: str) -> str:
    """The domain in its ASCII form (IDNA), or only lower-cased if it has none."""
    import idna

    lowered = domain.casefold().rstrip(".")
    if lowered.isascii():
        return lowered
    try:
        return idna.encode(lowered, uts46=True).decode()
    except idna.IDNAError:
        return lowered


def fingerprint(address: str) -> str:
    """SHA-256 (hex) of the canonical address: all that is kept of an erased address."""
    return hashlib.sha256(canonical(address).encode()).hexdigest()
