"""Leader lease and heartbeats of processes.

A lease keeps two processes from doing the same work at once. Correctness does not depend on it:
unique keys enforce what must happen once. A suspended process that wakes up may still believe it
leads for a moment; that costs duplicate work only.
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
    """The holder of a lease.

    `turn` (fencing token) grows with each renewal: one that stays the same has a dead holder.

    """

    owner: str
    turn: int
    until: datetime


@dataclass(frozen=True, slots=True)
class WorkerHeartbeat:
    """A process alive at `seen`, by its own clock. `owner` begins with `process.process_id()`."""

    owner: str
    role: str
    seen: datetime


def holder(tx: Connection, name: str) -> Lease | None:
    row = tx.execute(select(lease).where(lease.c.name == name)).one_or_none()
    return Lease(row.owner, row.turn, row.until) if row else None


def acquire(tx: Connection, name: str, owner: str, found: Lease | None, until: datetime) -> bool:
    """Acquire or renew the lease if it is still as `found`. False where another was faster."""
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
    """Release the lease of `owner`, so that the next process need not wait for its end."""
    tx.execute(delete(lease).where(lease.c.name == name, lease.c.owner == owner))


def heartbeat(tx: Connection, owner: str, role: str, now: datetime) -> None:
    """Store a heartbeat of `owner`."""
    row = {"role": role, "seen": now}
    made = insert(tx, life).values(owner=owner, **row)
    tx.execute(made.on_conflict_do_update(index_elements=["owner"], set_=row))


def workers(tx: Connection) -> list[WorkerHeartbeat]:
    """Registered processes, the latest heartbeat first."""
    query = select(life).order_by(life.c.seen.desc(), life.c.owner)
    return [WorkerHeartbeat(row.owner, row.role, row.seen) for row in tx.execute(query)]


def deregister(tx: Connection, owner: str) -> None:
    """Delete the heartbeat of a process that ends normally."""
    tx.execute(delete(life).where(life.c.owner == owner))


def delete_stale(tx: Connection, before: datetime) -> int:
    """Delete heartbeats older than `before`."""
    return tx.execute(delete(life).where(life.c.seen < before)).rowcount
