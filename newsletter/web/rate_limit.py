"""How often each network address asked within an hour. No address is kept, and little at all."""

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
"""A lecture hall behind one address signs up; one machine cannot write to hundreds."""
MAX_NETWORKS = 10_000
IPV6_PREFIX_BITS = 64
"""One subscriber to the network has a whole IPv6 prefix of this length."""


@dataclass
class SignupLimiter:
    """Counts by a hash under a key that dies with the process: it tells nobody who called."""

    limit: int = MAX_SIGNUPS
    capacity: int = MAX_NETWORKS
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _seen: OrderedDict[bytes, tuple[datetime, int]] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __len__(self) -> int:
        return len(self._seen)

    def count(self, host: str, now: datetime) -> int:
        """Count one more ask from the network of `host`; how many it were within its hour."""
        name = hashlib.blake2b(
            _network(host).encode("utf-8", "backslashreplace"), key=self._key, digest_size=16
        ).digest()
        with self._lock:
            since, count_so_far = self._seen.pop(name, (now, 0))
            # A clock that was set back must not shut anybody out for longer than the window.
            if abs(now - since) >= WINDOW:
                since, count_so_far = now, 0
            self._seen[name] = (since, count_so_far + 1)
            if len(self._seen) > self.capacity:
                # Who asked longest ago goes: whoever has this many addresses still meets the
                # limit of the whole form, which is kept in the database.
                self._seen.popitem(last=False)
        return count_so_far + 1


def _network(host: str) -> str:
    """What one caller has: an IPv4 address, or the prefix of an IPv6 one."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:  # noqa: PLR2004 - the version of the protocol
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), IPV6_PREFIX_BITS), strict=False))
