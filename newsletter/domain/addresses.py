"""Canonical form and fingerprint of an email address (pure)."""

from __future__ import annotations

import hashlib
import unicodedata


def canonical(address: str) -> str:
    """The key of an address: NFKC, lower case, the domain in its ASCII form without a last dot.

    The spelling a reader gave is kept for sending; only this key decides who is who. Dots and
    `+tags` stay: that they mean nothing is one provider's rule, not everyone's.
    """
    local, _, domain = unicodedata.normalize("NFKC", address).strip().rpartition("@")
    return f"{local.casefold()}@{ascii_domain(domain)}"


def ascii_domain(domain: str) -> str:
    """The domain as the network spells it, or only lower-cased where it has no such form."""
    import idna

    lowered = domain.casefold().rstrip(".")
    if lowered.isascii():
        return lowered
    try:
        return idna.encode(lowered, uts46=True).decode()
    except idna.IDNAError:
        return lowered


def fingerprint(address: str) -> str:
    """SHA-256 (hex) of the canonical address: all that is kept of who asked for erasure."""
    return hashlib.sha256(canonical(address).encode()).hexdigest()
