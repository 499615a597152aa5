"""Erasures that the provider is still to be told of: the address stays only until it was."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from newsletter.store.tables import erasure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

PAGE = 500
GIVEN_UP = timedelta(days=30)
"""An address is kept no longer than this for a provider that takes no erasures."""


def ask(tx: Connection, email: str, now: datetime) -> None:
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    tx.execute(insert(erasure).values(email=email, asked_at=now).on_conflict_do_nothing())


def waiting(tx: Connection) -> list[str]:
    """The next page of them, the oldest first."""
    oldest = select(erasure.c.email).order_by(erasure.c.asked_at, erasure.c.email)
    return list(tx.scalars(oldest.limit(PAGE)))


def told(tx: Connection, emails: Sequence[str]) -> None:
    tx.execute(delete(erasure).where(erasure.c.email.in_(emails)))


def give_up(tx: Connection, now: datetime) -> int:
    """Forget what the provider has not taken for a month; how many these were."""
    return tx.execute(delete(erasure).where(erasure.c.asked_at < now - GIVEN_UP)).rowcount
