"""Fingerprints of the settings that all processes of a service must share (pure).

The database stores fingerprints, never values. Their HMAC key is derived from the secret key, which
is not in the database, and a random salt, which is: whoever reads the database can't test a guess
of a value without the secret key. Each guess of the secret key itself costs one scrypt.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from newsletter.domain.formatting import first_names

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET_KEY = "NEWSLETTER_SECRET_KEY"  # noqa: S105 - the name of the setting
RUBRIC = "rubric "
MAX_NAMED = 5


def fingerprint_key(secret: str, salt: bytes) -> bytes:
    """Derive the HMAC key. Takes some 50 ms, on purpose."""
    return hashlib.scrypt(secret.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)


def fingerprints(values: Mapping[str, str], key: bytes) -> dict[str, str]:
    """The fingerprint (hex) of each value by its name, and that of the secret key."""
    named = {**values, SECRET_KEY: ""}
    return {name: _mac(key, name, value) for name, value in named.items()}


def _mac(key: bytes, name: str, value: str) -> str:
    return hmac.new(key, f"{name}\0{value}".encode(), "sha256").hexdigest()


def differences(planner: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    """Names of the settings whose fingerprint is another than the planner's.

    With another secret key all fingerprints differ: then it alone is named. What only `own` has is
    not used by the planner, and not compared.
    """
    if planner.get(SECRET_KEY) != own.get(SECRET_KEY):
        return [SECRET_KEY]
    return sorted(name for name, mark in planner.items() if own.get(name) != mark)


def list_names(names: list[str]) -> str:
    """The names in one line, at most MAX_NAMED of them."""
    return first_names(names, MAX_NAMED)
