"""How fast a run may send, and when it must not: what readers say of the mail before."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.patience import in_a_row
from newsletter.store import events
from newsletter.symptoms import COMPLAINTS, stops_mail

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.mailers import Verdict

MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast, and when not to go on."""

    threads: int = 8
    per_second: float | None = None
    lease: timedelta = timedelta(minutes=10)
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
