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
    """Why an address is never mailed. Only the first can be taken back, by its owner."""

    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    ERASED = "erased"


def suppress(tx: Connection, email: str, reason: Reason, source: str, now: datetime) -> None:
    """From now on `email` is not mailed. `source` says by what way; the first entry stands,
    but for a complaint, which outweighs whatever was known before.
    """
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    row = {"email_hash": fingerprint(email), "reason": reason, "source": source, "at": now}
    statement = insert(suppression).values(row)
    if reason is Reason.COMPLAINED:
        statement = statement.on_conflict_do_update(index_elements=["email_hash"], set_=row)
    else:
        statement = statement.on_conflict_do_nothing()
    tx.execute(statement)


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
            suppression.c.reason == Reason.UNSUBSCRIBED,
        )
    )
    return done.rowcount == 1
