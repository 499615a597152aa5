"""Sessions of the operator's page that were ended before their time, in whichever process."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from newsletter.store.tables import ended_session

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import Connection


def end(tx: Connection, name: str, now: datetime, lasts: timedelta) -> None:
    """Let nobody in by this session any more; forget those that have run out by themselves."""
    tx.execute(delete(ended_session).where(ended_session.c.at < now - lasts))
    if not is_ended(tx, name):
        tx.execute(insert(ended_session).values(id=_hash(name), at=now))


def is_ended(tx: Connection, name: str) -> bool:
    known = select(ended_session.c.id).where(ended_session.c.id == _hash(name))
    return tx.scalar(known) is not None


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()
