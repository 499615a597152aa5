"""Addresses that must never be mailed again. Only their hash is kept, for ever."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from newsletter.addresses import fingerprint
from newsletter.store.tables import suppression

if TYPE_CHECKING:
    from datetime import datetime


class Reason(StrEnum):
    """Why an address is never mailed, in rising gravity."""

    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    ERASED = "erased"
    COMPLAINED = "complained"


GRAVITY = tuple(Reason)
BY_CHOICE = (Reason.UNSUBSCRIBED, Reason.ERASED)
"""What the address's owner asked for, and nobody else can take back."""


def suppress(tx: Connection, email: str, reason: Reason, source: str, now: datetime) -> None:
    """From now on `email` is not mailed. `source` says by what way.

    Of several reasons the gravest stays, in whatever order they come.
    """
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    row = {"email_hash": fingerprint(email), "reason": reason, "source": source, "at": now}
    lighter = GRAVITY[: GRAVITY.index(reason)]
    tx.execute(
        insert(suppression)
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
