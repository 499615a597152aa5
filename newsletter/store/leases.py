"""Leader lease and heartbeats of processes.

A lease keeps two processes from doing the same work at once. Correctness does not depend on it:
unique keys enforce what must happen once. A suspended process that wakes up may still believe it
leads for a moment; that costs duplicate work only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update

from newsletter import process
from newsletter.store.tables import lease, life
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

SILENT_AFTER = timedelta(seconds=60)
"""A process without a heartbeat for so long counts as dead; clocks may differ by less."""
REAPER_LOCK = 0x726561706572


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
    """A process alive at `seen`, by its own clock. `owner` begins with `process.process_id()`.

    `differs` names its settings that are not the planner's.
    """

    owner: str
    role: str
    seen: datetime
    differs: str = ""


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
    return [
        WorkerHeartbeat(row.owner, row.role, row.seen, row.differs) for row in tx.execute(query)
    ]


def dead_owner_test(
    tx: Connection, now: datetime, silent_after: timedelta | None = None
) -> Callable[[str], bool]:
    """Return a test of owner ids: is its process dead?

    A process is dead when it was killed on this machine, or its heartbeat stopped. A process that
    sends no heartbeat (`newsletter run`) on another machine is judged by its leases alone.
    """
    since = now - (silent_after or SILENT_AFTER)
    last: dict[str, datetime] = {}
    for worker in workers(tx):
        last.setdefault(process.process_id_of(worker.owner), worker.seen)

    def is_dead(owner: str) -> bool:
        return process.is_dead(owner) or last.get(process.process_id_of(owner), now) < since

    return is_dead


def lock_reaper(tx: Connection) -> None:
    """Wait until no other transaction reaps. PostgreSQL only."""
    tx.execute(select(func.pg_advisory_xact_lock(REAPER_LOCK)))


def deregister(tx: Connection, owner: str) -> None:
    """Delete the heartbeat of a process that ends normally."""
    tx.execute(delete(life).where(life.c.owner == owner))


def delete_stale(tx: Connection, before: datetime) -> int:
    """Delete heartbeats older than `before`."""
    return tx.execute(delete(life).where(life.c.seen < before)).rowcount
