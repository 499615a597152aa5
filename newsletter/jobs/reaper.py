"""Heartbeats of workers, and what dead processes left.

    heartbeat   each worker records that it is alive
    reap        every worker looks for dead ones: their calls count as lost, their mails as unknown,
                and their tasks are queued again by the engine

A worker that was only suspended finds its calls, mails and tasks in another state and changes
nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter import process
from newsletter.errors import OperatorError
from newsletter.jobs.outages import log_problem
from newsletter.store import claims, leases, ledger

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.store import Store

log = logging.getLogger(__name__)
ROLE = "worker"


@dataclass(frozen=True, slots=True)
class HeartbeatConfig:
    """A worker without heartbeat for `silent_after` counts as dead; clocks may differ by less."""

    heartbeat_interval: timedelta = timedelta(seconds=10)
    reap_interval: timedelta = timedelta(seconds=10)
    silent_after: timedelta = leases.SILENT_AFTER


def live_workers(tx: Connection, now: datetime, config: HeartbeatConfig) -> set[str]:
    """Owner ids of the workers with a recent heartbeat that are not known to be dead.

    Without those that take no task because their settings differ.
    """
    is_dead = leases.dead_owner_test(tx, now, config.silent_after)
    working = [one.owner for one in leases.workers(tx) if one.role == ROLE and not one.differs]
    return {owner for owner in working if not is_dead(owner)}


def register_worker(tx: Connection, owner: str, now: datetime, config: HeartbeatConfig) -> None:
    """Register a worker. Raises OperatorError if its name is in use.

    A dead worker of the same name stays registered: its last heartbeat shows that it is dead.
    """
    name = process.display_name(owner)
    if any(process.display_name(other) == name for other in live_workers(tx, now, config)):
        message = f"a worker {name} is alive already; choose another --id, or stop that one first"
        raise OperatorError(message)
    leases.heartbeat(tx, owner, ROLE, now)


def mark_lost_work(tx: Connection, now: datetime, config: HeartbeatConfig) -> None:
    """Mark the calls of dead processes as lost, and the mails that they were sending as unknown."""
    is_dead = leases.dead_owner_test(tx, now, config.silent_after)
    claims.expire_leases(tx, now, is_dead)
    ledger.mark_dead_calls_lost(tx, None, now, is_dead)


def heartbeat_loop(
    store: Store,
    owner: str,
    reap: Callable[[], object],
    clock: Callable[[], datetime],
    config: HeartbeatConfig,
    done: threading.Event,
) -> None:
    """Send heartbeats and reap until `done`. A database error is retried at the next heartbeat."""
    reaped = None
    while True:
        now = clock()
        try:
            with store.begin() as tx:
                leases.heartbeat(tx, owner, ROLE, now)
            if reaped is None or now - reaped >= config.reap_interval:
                reaped = now
                reap()
        except OperatorError as error:
            log_problem(log, error)
        if done.wait(config.heartbeat_interval.total_seconds()):
            return
