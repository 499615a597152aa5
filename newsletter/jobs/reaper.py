"""Re-queue the tasks of dead workers.

    heartbeat   each worker records that it is alive
    reap        open tasks whose worker is dead, or that no worker claimed, are queued again with
                the next generation number

Every worker reaps. A worker that only slept finds that its task has a newer generation and changes
nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter import process
from newsletter.errors import OperatorError
from newsletter.store import leases, tasks

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.store import Store
    from newsletter.store.tasks import OpenTask, TaskAttempt

log = logging.getLogger(__name__)

ROLE = "worker"


@dataclass(frozen=True, slots=True)
class HeartbeatConfig:
    """A worker without heartbeat for `stalled_after` counts as dead; clocks may differ by less.

    A task that no worker claimed for `unclaimed_after` is looked for.
    """

    heartbeat_interval: timedelta = timedelta(seconds=10)
    reap_interval: timedelta = timedelta(seconds=30)
    stalled_after: timedelta = timedelta(seconds=60)
    unclaimed_after: timedelta = timedelta(seconds=60)


def worker_name(owner: str) -> str:
    """The worker's name: the last part of the owner id."""
    return owner.split("/", 3)[-1]


def live_workers_of(tx: Connection, now: datetime, config: HeartbeatConfig) -> set[str]:
    """Owner ids of the workers with a recent heartbeat that are not known to be dead."""
    since = now - config.stalled_after
    found = (
        worker for worker in leases.workers(tx) if worker.role == ROLE and worker.seen >= since
    )
    return {worker.owner for worker in found if not process.is_dead(worker.owner)}


def register_worker(tx: Connection, owner: str, now: datetime, config: HeartbeatConfig) -> None:
    """Register a worker; replaces a dead one. Raises OperatorError if its name is in use.

    Of two workers with one name, each would take the other's tasks for lost.
    """
    name = worker_name(owner)
    if any(worker_name(other) == name for other in live_workers_of(tx, now, config)):
        message = f"a worker {name} is alive already; choose another --id, or stop that one first"
        raise OperatorError(message)
    for worker in leases.workers(tx):
        if worker.role == ROLE and worker_name(worker.owner) == name:
            leases.deregister(tx, worker.owner)
    leases.heartbeat(tx, owner, ROLE, now)


def stalled(
    found: Sequence[OpenTask],
    live_workers: Collection[str],
    waiting: Callable[[Sequence[TaskAttempt]], Collection[str]],
    before: datetime,
) -> list[OpenTask]:
    """Open tasks without a live worker. `waiting` returns those still queued in the engine."""
    orphans = [one for one in found if one.owner and one.owner not in live_workers]
    untaken = [one for one in found if not one.owner and one.updated_at < before]
    known = waiting([one.attempt for one in untaken]) if untaken else ()
    return orphans + [one for one in untaken if one.attempt.id not in known]


def reap(
    store: Store,
    waiting: Callable[[Sequence[TaskAttempt], Collection[str]], Collection[str]],
    place: Callable[[Connection, Sequence[TaskAttempt]], None],
    now: datetime,
    config: HeartbeatConfig,
) -> int:
    """Queue stalled tasks again; returns how many."""
    with store.read() as tx:
        found = tasks.open_tasks(tx)
        live_workers = live_workers_of(tx, now, config)
    lost = stalled(
        found, live_workers, lambda some: waiting(some, live_workers), now - config.unclaimed_after
    )
    placed = 0
    for one in lost:
        with store.begin() as tx:
            later = tasks.retry(tx, one.attempt.id, one.attempt.number, now, lost=bool(one.owner))
            if later:
                place(tx, [later])
                placed += 1
    if placed:
        log.warning("re-queued %d tasks of dead workers", placed)
    return placed


def heartbeat_loop(
    store: Store,
    owner: str,
    reap_once: Callable[[], object],
    clock: Callable[[], datetime],
    config: HeartbeatConfig,
    done: threading.Event,
) -> None:
    """Send heartbeats and reap until `done`. A database error is retried at the next heartbeat."""
    reaped = None
    while True:
        try:
            with store.begin() as tx:
                leases.heartbeat(tx, owner, ROLE, clock())
            if reaped is None or clock() - reaped >= config.reap_interval:
                reaped = clock()
                reap_once()
        except OperatorError as trouble:
            log.warning("%s", trouble)
        if done.wait(config.heartbeat_interval.total_seconds()):
            return
