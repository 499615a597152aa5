"""Task queue: tasks carry ids only, and store their result.

    open --finished by its worker--> done
      |----error-------------------> failed
      |----its worker is dead------> open      next attempt
    done, failed --planned again---> open      next attempt; a scoring task that is done stays done

Column `gen` is the number of the attempt. A worker with an older attempt can change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import delete, func, select, update

from newsletter.store.tables import unit as units
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection

    from newsletter.domain.model import Digest

SUBJECT_LENGTH = 64
PAGE = 500
"""Rows in one statement: far below the number of parameters either database takes."""
MAX_LOST_WORKERS = 25
"""After so many dead workers the task itself may be what kills them."""


class TaskKind(StrEnum):
    SCORE = "score"
    DIGEST = "digest"
    MAIL = "mail"


class TaskState(StrEnum):
    OPEN = "open"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Task:
    """One task of the daily run. `ids` are rubrics, or a digest's id and a shard's number.

    `wanted_by` is when its result is wanted; None means now.
    """

    kind: TaskKind
    day: date
    ids: tuple[str, ...]
    wanted_by: datetime | None = None

    @property
    def subject(self) -> str:
        """Unique name among the tasks of its kind and day."""
        name = "/".join(self.ids)
        return name if len(name) <= SUBJECT_LENGTH else sha256(name.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.kind} of {self.day}, {self.subject}"


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Result of a task: the error, or none, and how many mails it sent.

    The digest is passed on only where the task ran in this process.
    """

    problem: str = ""
    sent: int = 0
    digest: Digest | None = None
    digest_id: int | None = None


@dataclass(frozen=True, slots=True)
class TaskAttempt:
    id: str
    number: int
    kind: TaskKind


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that is not finished. `owner` is empty until a worker claims it."""

    attempt: TaskAttempt
    owner: str
    updated_at: datetime


def plan(
    tx: Connection, wanted: Sequence[Task], now: datetime
) -> tuple[list[str], list[TaskAttempt]]:
    """Open tasks: return their ids, in order, and the attempts to enqueue.

    An open task stays as it is: it was enqueued before. So does a scoring task that is done: what
    it left unscored is scored where each rubric's digest is made.
    """
    ids, fresh = [], []
    for one in wanted:
        row = {
            "ids": list(one.ids),
            "wanted_by": one.wanted_by,
            "state": TaskState.OPEN,
            "reason": "",
            "sent": 0,
            "tries": 0,
            "owner": "",
            "touched": now,
        }
        name = {"kind": one.kind, "date": one.day, "subject": one.subject}
        made = insert(tx, units).values(id=uuid4().hex, gen=1, made_at=now, **name, **row)
        opened = tx.execute(
            made.on_conflict_do_update(
                index_elements=list(name),
                set_=row | {"gen": units.c.gen + 1},
                where=_may_open(one.kind),
            ).returning(units.c.id, units.c.gen)
        ).one_or_none()
        if opened:
            fresh.append(TaskAttempt(opened.id, opened.gen, one.kind))
            ids.append(opened.id)
        else:
            same = [units.c[column] == value for column, value in name.items()]
            ids.append(tx.execute(select(units.c.id).where(*same)).scalar_one())
    return ids, fresh


def claim(tx: Connection, task_id: str, attempt: int, owner: str, now: datetime) -> Task | None:
    """Claim a task for `owner`; None where it is finished, claimed, or on a later attempt."""
    row = tx.execute(
        update(units)
        .where(*_claimed_by(task_id, attempt, ""))
        .values(owner=owner, touched=now)
        .returning(units.c.kind, units.c.date, units.c.ids, units.c.wanted_by)
    ).one_or_none()
    return Task(TaskKind(row.kind), row.date, tuple(row.ids), row.wanted_by) if row else None


def finish(
    tx: Connection, task_id: str, attempt: int, owner: str, result: TaskResult, now: datetime
) -> bool:
    """Store the result of a task. False where `owner` no longer holds it: nothing is stored."""
    done = tx.execute(
        update(units)
        .where(*_claimed_by(task_id, attempt, owner))
        .values(
            state=TaskState.FAILED if result.problem else TaskState.DONE,
            reason=result.problem,
            sent=units.c.sent + result.sent,
            owner="",
            touched=now,
        )
    )
    return done.rowcount == 1


def retry(
    tx: Connection, task_id: str, attempt: int, now: datetime, *, lost: bool = False
) -> TaskAttempt | None:
    """Start the next attempt; None where another process did, or the task is finished.

    `lost`: its worker died. After too many dead workers the task fails instead.
    """
    row = tx.execute(
        update(units)
        .where(units.c.id == task_id, units.c.gen == attempt, units.c.state == TaskState.OPEN)
        .values(gen=attempt + 1, owner="", touched=now, tries=units.c.tries + int(lost))
        .returning(units.c.kind, units.c.tries)
    ).one_or_none()
    if row is None:
        return None
    if row.tries >= MAX_LOST_WORKERS:
        reason = f"{row.tries} workers died while running it; their logs may say why"
        finish(tx, task_id, attempt + 1, "", TaskResult(reason), now)
        return None
    return TaskAttempt(task_id, attempt + 1, TaskKind(row.kind))


def open_tasks(tx: Connection) -> list[OpenTask]:
    rows = tx.execute(
        select(units).where(units.c.state == TaskState.OPEN).order_by(units.c.touched)
    )
    return [
        OpenTask(TaskAttempt(row.id, row.gen, TaskKind(row.kind)), row.owner, row.touched)
        for row in rows
    ]


def results(tx: Connection, ids: Collection[str]) -> dict[str, TaskResult]:
    """Results of the finished tasks among `ids`."""
    found: dict[str, TaskResult] = {}
    wanted = list(ids)
    for start in range(0, len(wanted), PAGE):
        query = select(units.c.id, units.c.reason, units.c.sent).where(
            units.c.id.in_(wanted[start : start + PAGE]), units.c.state != TaskState.OPEN
        )
        found |= {row.id: TaskResult(row.reason, row.sent) for row in tx.execute(query)}
    return found


def count(tx: Connection) -> Mapping[TaskState, int]:
    """Count tasks by state."""
    query = select(units.c.state, func.count()).group_by(units.c.state)
    return {TaskState(state): number for state, number in tx.execute(query)}


def delete_finished(tx: Connection, before: datetime) -> int:
    """Delete finished tasks not updated since `before`."""
    old = (units.c.state != TaskState.OPEN) & (units.c.touched < before)
    return tx.execute(delete(units).where(old)).rowcount


def _may_open(kind: TaskKind) -> ColumnElement[bool]:
    if kind is TaskKind.SCORE:
        return units.c.state == TaskState.FAILED
    return units.c.state != TaskState.OPEN


def _claimed_by(task_id: str, attempt: int, owner: str) -> list[ColumnElement[bool]]:
    return [
        units.c.id == task_id,
        units.c.gen == attempt,
        units.c.owner == owner,
        units.c.state == TaskState.OPEN,
    ]
