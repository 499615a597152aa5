"""Units of work: what is to be done, named by ids, and what came of it.

    open --done by who holds it--> done
      |----it could not be done--> failed
      |----its worker is gone----> open      one generation more
    done, failed --planned again-> open      one generation more, but for what was read

A generation is one attempt to place the unit somewhere. Who holds an older one changes nothing.
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
"""So many workers lost over one unit, and it may be the unit that kills them."""


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
    """One piece of a morning's work. `ids` are rubrics, or a digest's id and a lane's number.

    `wanted_by` is when its result is wanted; None means now.
    """

    kind: TaskKind
    day: date
    ids: tuple[str, ...]
    wanted_by: datetime | None = None

    @property
    def subject(self) -> str:
        """Its name among the units of its kind and day."""
        name = "/".join(self.ids)
        return name if len(name) <= SUBJECT_LENGTH else sha256(name.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.kind} of {self.day}, {self.subject}"


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a unit came to: the trouble in words, or none, and how many mails it sent.

    The digest it made is passed on only where the unit ran in this process.
    """

    trouble: str = ""
    sent: int = 0
    digest: Digest | None = None
    digest_id: int | None = None


@dataclass(frozen=True, slots=True)
class TaskAttempt:
    """A generation of a unit."""

    id: str
    gen: int
    kind: TaskKind


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A unit that has not ended. `owner` is empty until a worker has taken it."""

    placed: TaskAttempt
    owner: str
    touched: datetime
    tries: int


def plan(
    tx: Connection, wanted: Sequence[Task], now: datetime
) -> tuple[list[str], list[TaskAttempt]]:
    """Have the units open: their ids, in order, and the generations that nobody has placed yet.

    One that is open already stays as it is: somebody placed it before. So does a reading that is
    done: what it left unread is read where each rubric's digest is made.
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


def claim(tx: Connection, unit_id: str, gen: int, owner: str, now: datetime) -> Task | None:
    """The unit, now `owner`'s; None where it has ended, or is another's, or was placed anew."""
    row = tx.execute(
        update(units)
        .where(*_claimed_by(unit_id, gen, ""))
        .values(owner=owner, touched=now)
        .returning(units.c.kind, units.c.date, units.c.ids, units.c.wanted_by)
    ).one_or_none()
    return Task(TaskKind(row.kind), row.date, tuple(row.ids), row.wanted_by) if row else None


def finish(
    tx: Connection, unit_id: str, gen: int, owner: str, ending: TaskResult, now: datetime
) -> bool:
    """Write what the unit came to. False where it is `owner`'s no more: then it says nothing."""
    done = tx.execute(
        update(units)
        .where(*_claimed_by(unit_id, gen, owner))
        .values(
            state=TaskState.FAILED if ending.trouble else TaskState.DONE,
            reason=ending.trouble,
            sent=units.c.sent + ending.sent,
            owner="",
            touched=now,
        )
    )
    return done.rowcount == 1


def retry(
    tx: Connection, unit_id: str, gen: int, now: datetime, *, lost: bool = False
) -> TaskAttempt | None:
    """Open one generation more; None where somebody has already, or it has ended.

    With `lost` its worker died over it; after too many of those it fails instead.
    """
    row = tx.execute(
        update(units)
        .where(units.c.id == unit_id, units.c.gen == gen, units.c.state == TaskState.OPEN)
        .values(gen=gen + 1, owner="", touched=now, tries=units.c.tries + int(lost))
        .returning(units.c.kind, units.c.tries)
    ).one_or_none()
    if row is None:
        return None
    if row.tries >= MAX_LOST_WORKERS:
        trouble = f"{row.tries} workers died over it; their logs may say of what"
        finish(tx, unit_id, gen + 1, "", TaskResult(trouble), now)
        return None
    return TaskAttempt(unit_id, gen + 1, TaskKind(row.kind))


def open_tasks(tx: Connection) -> list[OpenTask]:
    rows = tx.execute(
        select(units).where(units.c.state == TaskState.OPEN).order_by(units.c.touched)
    )
    return [
        OpenTask(
            TaskAttempt(row.id, row.gen, TaskKind(row.kind)), row.owner, row.touched, row.tries
        )
        for row in rows
    ]


def results(tx: Connection, ids: Collection[str]) -> dict[str, TaskResult]:
    """What those of the units came to that have ended."""
    found: dict[str, TaskResult] = {}
    wanted = list(ids)
    for start in range(0, len(wanted), PAGE):
        query = select(units.c.id, units.c.reason, units.c.sent).where(
            units.c.id.in_(wanted[start : start + PAGE]), units.c.state != TaskState.OPEN
        )
        found |= {row.id: TaskResult(row.reason, row.sent) for row in tx.execute(query)}
    return found


def count(tx: Connection) -> Mapping[TaskState, int]:
    """How many units are in which state."""
    query = select(units.c.state, func.count()).group_by(units.c.state)
    return {TaskState(state): number for state, number in tx.execute(query)}


def delete_finished(tx: Connection, before: datetime) -> int:
    """Delete the ended ones that nobody has touched since."""
    old = (units.c.state != TaskState.OPEN) & (units.c.touched < before)
    return tx.execute(delete(units).where(old)).rowcount


def _may_open(kind: TaskKind) -> ColumnElement[bool]:
    if kind is TaskKind.SCORE:
        return units.c.state == TaskState.FAILED
    return units.c.state != TaskState.OPEN


def _claimed_by(unit_id: str, gen: int, owner: str) -> list[ColumnElement[bool]]:
    return [
        units.c.id == unit_id,
        units.c.gen == gen,
        units.c.owner == owner,
        units.c.state == TaskState.OPEN,
    ]
