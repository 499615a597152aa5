"""Suppressions: addresses that must never be mailed again, kept as hashes; and the erasure queue.

An erased address stays in the queue only until the provider has erased it too.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, select

from newsletter.domain.addresses import fingerprint
from newsletter.store.tables import erasure, suppression
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

PAGE = 500
ERASURE_KEPT = timedelta(days=30)
"""An address is kept no longer than this for a provider that takes no erasures."""


def queue_erasure(tx: Connection, email: str, now: datetime) -> None:
    tx.execute(insert(tx, erasure).values(email=email, asked_at=now).on_conflict_do_nothing())


def queued_erasures(tx: Connection) -> list[str]:
    """A page of queued erasures, the oldest first."""
    oldest = select(erasure.c.email).order_by(erasure.c.asked_at, erasure.c.email)
    return list(tx.scalars(oldest.limit(PAGE)))


def finish_erasures(tx: Connection, emails: Sequence[str]) -> None:
    tx.execute(delete(erasure).where(erasure.c.email.in_(emails)))


def drop_old_erasures(tx: Connection, now: datetime) -> int:
    """Delete erasures that the provider did not accept within a month; return how many."""
    return tx.execute(delete(erasure).where(erasure.c.asked_at < now - ERASURE_KEPT)).rowcount


class Reason(StrEnum):
    """Why an address is never mailed, in rising severity."""

    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    ERASED = "erased"
    COMPLAINED = "complained"


SEVERITY = tuple(Reason)
BY_CHOICE = (Reason.UNSUBSCRIBED, Reason.ERASED)
"""Reasons that only the owner of the address can take back."""


def suppress(tx: Connection, email: str, reason: Reason, source: str, now: datetime) -> None:
    """Suppress `email`. `source` says how.

    Of several reasons the most severe stays, in whatever order they come.
    """
    row = {"email_hash": fingerprint(email), "reason": reason, "source": source, "at": now}
    lighter = SEVERITY[: SEVERITY.index(reason)]
    tx.execute(
        insert(tx, suppression)
        .values(row)
        .on_conflict_do_update(
            index_elements=["email_hash"], set_=row, where=suppression.c.reason.in_(lighter)
        )
    )


def reason_for(tx: Connection, email: str) -> Reason | None:
    """Why `email` is never mailed; None where it may be."""
    found = tx.scalar(
        select(suppression.c.reason).where(suppression.c.email_hash == fingerprint(email))
    )
    return Reason(found) if found else None


def lift(tx: Connection, email: str) -> bool:
    """End the suppression that its owner asked for; one for another reason stays (False)."""
    done = tx.execute(
        delete(suppression).where(
            suppression.c.email_hash == fingerprint(email),
            suppression.c.reason.in_(BY_CHOICE),
        )
    )
    return done.rowcount == 1
