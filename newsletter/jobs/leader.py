"""Leader election: one of several processes does the daily run. No two clocks are compared.

The leader renews its lease every few seconds, which increments the lease's counter. A process that
sees no change for a minute of its own monotonic clock takes over; at once if the leader is a dead
process of the same machine. A leader whose lease was taken stops. If two lead for a moment, after a
long sleep, unique keys keep work from being done twice.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter import process
from newsletter.store import leases

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.store import Store
    from newsletter.store.leases import Lease

DAILY_RUN_LEASE = "mornings"
LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0
STALE_AFTER = timedelta(days=1)


class LeaderElection:
    """One process in the election: its `owner` id, and the `role` of its heartbeat.

    `may_lead` is asked before the lease is taken or renewed, with whether no other process led
    since this one started, or last led.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        *,
        owner: str = "",
        role: str = "serve",
        monotonic: Callable[[], float] = time.monotonic,
        may_lead: Callable[[Connection, bool], bool] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner or process.process_id()
        self._role = role
        self._monotonic = monotonic
        self._may_lead = may_lead
        self._rival_led = False
        self._seen: tuple[Lease, float] | None = None
        self._renewed: float | None = None
        self._lock = threading.Lock()

    def is_leader(self) -> bool:
        """Whether this process leads now; takes a free lease. Raises StoreError."""
        renewed = self._renewed
        fresh = renewed is not None and self._monotonic() - renewed < RENEW_SECONDS
        return fresh or self.renew()

    def renew(self) -> bool:
        """Send a heartbeat; take or keep the lease if possible. Raises StoreError."""
        with self._lock:
            # What is not renewed is not held, whatever goes wrong from here.
            self._renewed = None
            if self._renew():
                self._renewed = self._monotonic()
            return self._renewed is not None

    def _renew(self) -> bool:
        now = self._clock()
        until = now + timedelta(seconds=LEASE_SECONDS)
        with self._store.begin() as tx:
            leases.heartbeat(tx, self._owner, self._role, now)
            found = leases.holder(tx, DAILY_RUN_LEASE)
            ours = self._may_take(found)
            if ours and self._may_lead and not self._may_lead(tx, not self._rival_led):
                leases.release(tx, DAILY_RUN_LEASE, self._owner)
                return False
            ours = ours and leases.acquire(tx, DAILY_RUN_LEASE, self._owner, found, until)
        self._rival_led = self._rival_led and not ours
        return ours

    def step_down(self) -> None:
        """Release the lease, so that the next process need not wait. Raises StoreError."""
        self._renewed = None
        with self._store.begin() as tx:
            leases.release(tx, DAILY_RUN_LEASE, self._owner)
            leases.deregister(tx, self._owner)
            leases.delete_stale(tx, self._clock() - STALE_AFTER)

    def _may_take(self, found: Lease | None) -> bool:
        if found is None or found.owner == self._owner or process.is_dead(found.owner):
            return True
        if self._seen is None or self._seen[0] != found:
            # A lease that was renewed has a holder that lives.
            self._rival_led = self._rival_led or self._seen is not None
            self._seen = found, self._monotonic()
        return self._monotonic() - self._seen[1] >= LEASE_SECONDS
