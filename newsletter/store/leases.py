"""Which process leads, and which processes are alive.

A lease keeps two processes from doing the same work at once. Nothing depends on it for being
right: what must happen once is held by unique keys. So it may be wrong for a moment after a
suspended process wakes, and only costs a double effort.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from newsletter.store.tables import lease, life
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds a lease. `turn` moves with each renewal, so a still one is a dead holder's."""

    owner: str
    turn: int
    until: datetime


@dataclass(frozen=True, slots=True)
class WorkerHeartbeat:
    """A process that was alive at `seen`, by its own clock. `owner` begins with `lives.me()`."""

    owner: str
    role: str
    seen: datetime


def holder(tx: Connection, name: str) -> Lease | None:
    row = tx.execute(select(lease).where(lease.c.name == name)).one_or_none()
    return Lease(row.owner, row.turn, row.until) if row else None


def acquire(tx: Connection, name: str, owner: str, found: Lease | None, until: datetime) -> bool:
    """Take or renew the lease if it still stands as `found`. False where another was faster."""
    if found is None:
        made = insert(tx, lease).values(name=name, owner=owner, turn=1, until=until)
        return tx.scalar(made.on_conflict_do_nothing().returning(lease.c.turn)) is not None
    done = tx.execute(
        update(lease)
        .where(lease.c.name == name, lease.c.owner == found.owner, lease.c.turn == found.turn)
        .values(owner=owner, turn=lease.c.turn + 1, until=until)
    )
    return done.rowcount == 1


def release(tx: Connection, name: str, owner: str) -> None:
    """Give the lease back, if it is `owner`'s: the next one need not wait."""
    tx.execute(delete(lease).where(lease.c.name == name, lease.c.owner == owner))


def heartbeat(tx: Connection, owner: str, role: str, now: datetime) -> None:
    """Say that `owner` is alive."""
    row = {"role": role, "seen": now}
    made = insert(tx, life).values(owner=owner, **row)
    tx.execute(made.on_conflict_do_update(index_elements=["owner"], set_=row))


def workers(tx: Connection) -> list[WorkerHeartbeat]:
    """Who said they were alive and did not say goodbye, the latest first."""
    query = select(life).order_by(life.c.seen.desc(), life.c.owner)
    return [WorkerHeartbeat(row.owner, row.role, row.seen) for row in tx.execute(query)]


def deregister(tx: Connection, owner: str) -> None:
    """`owner` ends in good order."""
    tx.execute(delete(life).where(life.c.owner == owner))


def delete_stale(tx: Connection, before: datetime) -> int:
    """Forget those not seen since."""
    return tx.execute(delete(life).where(life.c.seen < before)).rowcount
