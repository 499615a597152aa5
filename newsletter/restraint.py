"""How fast a run may send, and when it must not: what readers say of the mail before."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.bounces import FIRST, GONE_SHARE
from newsletter.patience import in_a_row
from newsletter.store import deliveries, events
from newsletter.symptoms import COMPLAINTS, stops_mail

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.mailers import Verdict

MONTH = timedelta(days=30)
LOOK_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast, and when not to go on."""

    threads: int = 8
    per_second: float | None = None
    lease: timedelta = timedelta(minutes=10)
    first_mails_slowly: bool = True
    in_a_row: dict[Verdict, int] = field(default_factory=in_a_row)


def complaints(tx: Connection, now: datetime) -> str:
    """Why nothing more should be sent for now; empty where readers are content."""
    complained, accepted = events.complaints(tx, now - MONTH)
    if not stops_mail(complained, accepted):
        return ""
    return (
        f"{complained} readers complained on {accepted} mails in 30 days, more than "
        f"{COMPLAINTS:.1%}: mailbox providers block such senders; find out why first"
    )


def too_many_hard_bounces(tx: Connection, digest_id: int) -> str:
    """Why a run ends: an old list ruins the sender's name. Empty where it may go on."""
    if not (gone := deliveries.hard_bounces(tx, digest_id)):
        return ""
    return (
        f"{gone} of the first {FIRST} mails went to addresses that do not exist, more than "
        f"{GONE_SHARE:.0%}: mailbox providers block such senders; find out how old the list is"
    )


@dataclass(slots=True)
class Watch:
    """Looks at the first mails of a digest while it is sent, every few seconds."""

    digest_id: int
    next_look: datetime | None = None

    def look(self, tx: Connection, now: datetime, *, at_once: bool = False) -> str:
        if self.next_look and now < self.next_look and not at_once:
            return ""
        self.next_look = now + LOOK_EVERY
        return too_many_hard_bounces(tx, self.digest_id)
