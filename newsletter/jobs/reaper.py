"""What a worker that never comes back had in hand is placed again.

    a beat      each worker says that it lives
    a sweep     open units whose worker is silent, or that were placed and reached nobody, are
                placed once more, one generation later

Every worker sweeps. Who was only asleep, and finds its unit taken over, changes nothing.
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
    """`silent` is after how long a worker counts as dead; clocks that differ by less do no harm.

    `lost` is after how long a unit that nobody took is looked for.
    """

    beat: timedelta = timedelta(seconds=10)
    sweep: timedelta = timedelta(seconds=30)
    silent: timedelta = timedelta(seconds=60)
    lost: timedelta = timedelta(seconds=60)


def name_of(owner: str) -> str:
    """A worker's own name, at the end of its life's."""
    return owner.split("/", 3)[-1]


def alive(tx: Connection, now: datetime, rhythm: HeartbeatConfig) -> set[str]:
    """The workers that said so a moment ago and are not known to be dead."""
    since = now - rhythm.silent
    found = (life for life in leases.workers(tx) if life.role == ROLE and life.seen >= since)
    return {life.owner for life in found if not process.is_dead(life.owner)}


def register_worker(tx: Connection, owner: str, now: datetime, rhythm: HeartbeatConfig) -> None:
    """Begin a worker's life. Raises Trouble where another one has its name; a dead one is buried.

    Two that believe to be one would each take what the other holds for lost.
    """
    name = name_of(owner)
    if any(name_of(other) == name for other in alive(tx, now, rhythm)):
        message = f"a worker {name} is alive already; choose another --id, or stop that one first"
        raise OperatorError(message)
    for life in leases.workers(tx):
        if life.role == ROLE and name_of(life.owner) == name:
            leases.deregister(tx, life.owner)
    leases.heartbeat(tx, owner, ROLE, now)


def stalled(
    found: Sequence[OpenTask],
    living: Collection[str],
    waiting: Callable[[Sequence[TaskAttempt]], Collection[str]],
    before: datetime,
) -> list[OpenTask]:
    """Those that nobody works on. `waiting` says which of some the engine still knows of."""
    orphans = [one for one in found if one.owner and one.owner not in living]
    untaken = [one for one in found if not one.owner and one.touched < before]
    known = waiting([one.placed for one in untaken]) if untaken else ()
    return orphans + [one for one in untaken if one.placed.id not in known]


def reap(
    store: Store,
    waiting: Callable[[Sequence[TaskAttempt], Collection[str]], Collection[str]],
    place: Callable[[Connection, Sequence[TaskAttempt]], None],
    now: datetime,
    rhythm: HeartbeatConfig,
) -> int:
    """Place again what is adrift; how many those were."""
    with store.read() as tx:
        found = tasks.open_tasks(tx)
        living = alive(tx, now, rhythm)
    lost = stalled(found, living, lambda some: waiting(some, living), now - rhythm.lost)
    placed = 0
    for one in lost:
        with store.begin() as tx:
            later = tasks.retry(tx, one.placed.id, one.placed.attempt, now, lost=bool(one.owner))
            if later:
                place(tx, [later])
                placed += 1
    if placed:
        log.warning("%d units of work were placed again: their workers are gone", placed)
    return placed


def watch(
    store: Store,
    owner: str,
    sweep_once: Callable[[], object],
    clock: Callable[[], datetime],
    rhythm: HeartbeatConfig,
    done: threading.Event,
) -> None:
    """Beat and sweep until `done`. A database that is away is tried again at the next beat."""
    swept = None
    while True:
        try:
            with store.begin() as tx:
                leases.heartbeat(tx, owner, ROLE, clock())
            if swept is None or clock() - swept >= rhythm.sweep:
                swept = clock()
                sweep_once()
        except OperatorError as trouble:
            log.warning("%s", trouble)
        if done.wait(rhythm.beat.total_seconds()):
            return
