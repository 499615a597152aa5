"""Operator sessions that were logged out before they expired, for all processes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from newsletter.store.tables import ended_session
from newsletter.store.upsert import insert_new

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import Connection


def end(tx: Connection, name: str, now: datetime, lasts: timedelta) -> None:
    """Log out a session, once or again. Deletes the rows of sessions that have expired."""
    tx.execute(delete(ended_session).where(ended_session.c.at < now - lasts))
    insert_new(tx, ended_session, [{"id": _hash(name), "at": now}])


def is_ended(tx: Connection, name: str) -> bool:
    known = select(ended_session.c.id).where(ended_session.c.id == _hash(name))
    return tx.scalar(known) is not None


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()
