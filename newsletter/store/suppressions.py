"""Suppressions: addresses that must never be mailed again, kept as hashes; and the erasure queue.

A rubric that an address left is kept like them: no import subscribes it to that rubric again.

An erased address stays in the queue only until the provider has erased it too.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from newsletter.domain.addresses import fingerprint
from newsletter.store.tables import erasure, rubric_suppression, suppression
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

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


def suppress_rubric(tx: Connection, email: str, rubric: str, source: str, now: datetime) -> None:
    """Record that `email` left a rubric. `source` says how."""
    row = {"email_hash": fingerprint(email), "rubric": rubric, "source": source, "at": now}
    tx.execute(insert(tx, rubric_suppression).values(row).on_conflict_do_nothing())


def reason_for(tx: Connection, email: str, rubric: str = "") -> Reason | None:
    """Why `email` is never mailed, or never mailed this rubric; None where it may be."""
    email_hash = fingerprint(email)
    found = tx.scalar(select(suppression.c.reason).where(suppression.c.email_hash == email_hash))
    if found or not rubric:
        return Reason(found) if found else None
    left = tx.scalar(select(rubric_suppression.c.at).where(*_of_rubric(email, rubric)))
    return Reason.UNSUBSCRIBED if left else None


def lift(tx: Connection, email: str, rubric: str) -> bool:
    """End the suppressions that the owner of an address asked for, of all and of this rubric.

    False where there are none, or where one for another reason stays: then nothing is changed.
    """
    if reason_for(tx, email) not in (None, *BY_CHOICE):
        return False
    mine = suppression.c.email_hash == fingerprint(email)
    of_address = tx.execute(delete(suppression).where(mine)).rowcount
    return lift_rubric(tx, email, rubric) or bool(of_address)


def lift_rubric(tx: Connection, email: str, rubric: str | None) -> bool:
    """Forget that an address left a rubric; None: any. False where it did not."""
    done = tx.execute(delete(rubric_suppression).where(*_of_rubric(email, rubric)))
    return bool(done.rowcount)


def _of_rubric(email: str, rubric: str | None) -> tuple[ColumnElement[bool], ...]:
    mine = rubric_suppression.c.email_hash == fingerprint(email)
    return (mine,) if rubric is None else (mine, rubric_suppression.c.rubric == rubric)
