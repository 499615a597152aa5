"""How fast requests go to the mail provider, over all processes and machines.

A group of mails is one request. What one process hears, a 429 or that little is left, all heed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.mailers import Metered
from newsletter.store import pace

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.allowance import Allowance

NAME = "mail"
EVEN = 0.9
"""Of the limit. What is let go evenly arrives in heaps; the fullest second is to keep it, too."""


class MailPace:
    """One run's share in the common pace. `per_second` is None where the operator set none."""

    def __init__(self, mailer: object = None, per_second: float | None = None) -> None:
        self._mailer = mailer
        self._per_second = per_second and per_second * EVEN
        self._complaint = 0.0
        self._told: Allowance | None = None

    def rest_all(self, seconds: float) -> None:
        """The provider takes no more for so long: written down by the next `tell`."""
        self._complaint = max(self._complaint, seconds)

    def grant(self, tx: Connection, now: datetime, wanted: int) -> int:
        """How many of `wanted` requests may leave now."""
        self.tell(tx, now)
        return pace.take(tx, NAME, now, self._per_second, wanted) if wanted else 0

    def tell(self, tx: Connection, now: datetime) -> None:
        """Let the others know what the provider said."""
        if self._complaint:
            pace.pause(tx, NAME, now, self._complaint)
            self._complaint = 0.0
        self._heed(tx, now)

    def rest(self, tx: Connection, now: datetime) -> float:
        """Seconds until a request may leave, by the limit or a pause that any process caused."""
        return pace.rest(tx, NAME, now, self._per_second)

    def _heed(self, tx: Connection, now: datetime) -> None:
        left = self._mailer.allowance if isinstance(self._mailer, Metered) else None
        if left is None or left == self._told:
            return
        # Good news needs writing only after bad news.
        if left.is_low or (self._told and self._told.is_low):
            pace.heed(tx, NAME, now, left)
        self._told = left
