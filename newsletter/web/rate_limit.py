"""Limits sign-ups per network address and hour, without storing addresses."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

WINDOW = timedelta(hours=1)
MAX_SIGNUPS = 50
"""Enough for a lecture hall behind one address, too few to flood other people's inboxes."""
MAX_NETWORKS = 10_000
IPV6_PREFIX_BITS = 64
"""One internet connection usually gets an IPv6 prefix of this length."""


@dataclass
class SignupLimiter:
    """Counts by a keyed hash of the network address. The key exists only in this process."""

    limit: int = MAX_SIGNUPS
    capacity: int = MAX_NETWORKS
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _seen: OrderedDict[bytes, tuple[datetime, int]] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __len__(self) -> int:
        return len(self._seen)

    def count(self, host: str, now: datetime) -> int:
        """Count a request from the network of `host`. Returns the count of its hour."""
        name = hashlib.blake2b(
            _network(host).encode("utf-8", "backslashreplace"), key=self._key, digest_size=16
        ).digest()
        with self._lock:
            since, count_so_far = self._seen.pop(name, (now, 0))
            # After the clock was set back, nobody is blocked for longer than the window.
            if abs(now - since) >= WINDOW:
                since, count_so_far = now, 0
            self._seen[name] = (since, count_so_far + 1)
            if len(self._seen) > self.capacity:
                # Drop the network that asked longest ago. An attacker with this many addresses
                # still meets the limit of the whole form, which is in the database.
                self._seen.popitem(last=False)
        return count_so_far + 1


def _network(host: str) -> str:
    """An IPv4 address, or the prefix of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:  # noqa: PLR2004 - the version of the protocol
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), IPV6_PREFIX_BITS), strict=False))
