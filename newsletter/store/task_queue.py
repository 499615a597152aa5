"""Workers and open tasks, for status, alerts and metrics. Reads DBOS's table of workflows.

DBOS documents its tables. Reading them takes a millisecond, loading its client half a second.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Text,
    case,
    column,
    exists,
    func,
    inspect,
    literal,
    or_,
    select,
    table,
)

from newsletter import process
from newsletter.domain.mail import DeliveryState
from newsletter.domain.task_queue import NO_PROGRESS_AFTER, OpenTasks, QueueState, WorkerStatus
from newsletter.store import leases
from newsletter.store.ledger import CallState
from newsletter.store.tables import call, delivery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

workflow = table(
    "workflow_status",
    column("workflow_uuid", Text),
    column("name", Text),
    column("status", Text),
    column("executor_id", Text),
    column("created_at", BigInteger),
    column("updated_at", BigInteger),
    schema="dbos",
)
TASK = "task"
HELD, OPEN = "PENDING", ("ENQUEUED", "PENDING")
WORKER = "worker"
SHOWN_FOR = timedelta(days=1)
"""How long a silent worker that holds nothing is shown."""
MAX_CALL = timedelta(minutes=15)


def read_queue(tx: Connection, now: datetime) -> QueueState:
    """Empty on SQLite, and where no worker and no task ever was."""
    if tx.dialect.name == "sqlite":
        return QueueState()
    has_tasks = inspect(tx).has_table(workflow.name, schema=workflow.schema)
    tasks = _open_tasks(tx) if has_tasks else {}
    found = tuple(
        OpenTasks(kind, number, since, process.display_name(owner) if owner else "")
        for (kind, owner), (number, since) in tasks.items()
    )
    moves = not found or _progress(tx, now - NO_PROGRESS_AFTER)
    return QueueState(tuple(_workers(tx, tasks, now)), found, moves)


def is_working(tx: Connection, now: datetime) -> bool:
    """Whether a run is in progress: a live process waits for a call, or sends a mail."""
    is_dead = leases.dead_owner_test(tx, now)
    sending = select(delivery.c.lease_owner).where(
        delivery.c.state == DeliveryState.SENDING, delivery.c.lease_until >= now
    )
    asking = select(call.c.owner).where(
        call.c.state == CallState.INTENT, call.c.batch_id.is_(None), call.c.lease_until >= now
    )
    owners = {*tx.scalars(sending.distinct()), *tx.scalars(asking.distinct())}
    return any(owner and not is_dead(owner) for owner in owners)


def _open_tasks(tx: Connection) -> dict[tuple[str, str], tuple[int, datetime]]:
    """Number and oldest of the open tasks, by kind and owner; those without an owner are queued."""
    kind = func.split_part(workflow.c.workflow_uuid, " ", 1)
    owner = case((workflow.c.status == HELD, workflow.c.executor_id), else_=literal(""))
    query = (
        select(kind, owner, func.count(), func.min(workflow.c.created_at))
        .where(workflow.c.name == TASK, workflow.c.status.in_(OPEN))
        .group_by(kind, owner)
        .order_by(func.min(workflow.c.created_at))
    )
    return {
        (name, holder or ""): (number, datetime.fromtimestamp(since / 1000, UTC))
        for name, holder, number, since in tx.execute(query)
    }


def _workers(
    tx: Connection, tasks: Mapping[tuple[str, str], tuple[int, datetime]], now: datetime
) -> list[WorkerStatus]:
    is_dead = leases.dead_owner_test(tx, now)
    found = []
    for one in leases.workers(tx):
        holds = sum(number for (_, owner), (number, _) in tasks.items() if owner == one.owner)
        silent = is_dead(one.owner)
        if one.role == WORKER and (holds or not silent or now - one.seen < SHOWN_FOR):
            name, host = process.display_name(one.owner), one.owner.partition("/")[0]
            found.append(WorkerStatus(name, host, one.seen, silent, holds, one.differs))
    alive = {one.name for one in found if not one.silent}
    return [one for one in found if not one.silent or one.holds or one.name not in alive]


def _progress(tx: Connection, since: datetime) -> bool:
    """Whether a task, a call or a mail changed since then; a batch may take a day to answer."""
    digests = select(
        func.split_part(func.split_part(workflow.c.workflow_uuid, ", ", 2), "/", 1).cast(BigInteger)
    ).where(
        workflow.c.name == TASK,
        workflow.c.status.in_(OPEN),
        workflow.c.workflow_uuid.startswith("mail of "),
    )
    signs = (
        exists().where(
            workflow.c.name == TASK, workflow.c.updated_at >= int(since.timestamp() * 1000)
        ),
        exists().where(
            call.c.started_at >= since - MAX_CALL,
            or_(call.c.started_at >= since, call.c.ended_at >= since),
        ),
        exists().where(call.c.state == CallState.INTENT, call.c.batch_id.is_not(None)),
        exists().where(delivery.c.digest_id.in_(digests), delivery.c.changed_at >= since),
    )
    return any(tx.scalar(select(sign)) for sign in signs)
