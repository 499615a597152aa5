"""Workers and open tasks as the operator sees them, and whether the tasks make progress (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from newsletter.domain.formatting import plural

if TYPE_CHECKING:
    from collections.abc import Iterable

NO_PROGRESS_AFTER = timedelta(minutes=5)
KIND_NAMES = {"score": "scoring task", "digest": "digest task", "mail": "mail task"}


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker with its last heartbeat. `differs` names settings that are not the planner's."""

    name: str
    host: str
    seen: datetime
    silent: bool = False
    holds: int = 0
    differs: str = ""

    @property
    def state(self) -> str:
        if self.silent:
            return "silent"
        return "other settings" if self.differs else "alive"


@dataclass(frozen=True, slots=True)
class OpenTasks:
    """Open tasks of one kind that one worker holds, or that are queued. `since`: the oldest."""

    kind: str
    number: int
    since: datetime
    holder: str = ""


@dataclass(frozen=True, slots=True)
class QueueState:
    """`progress`: within NO_PROGRESS_AFTER a task, a call or a mail changed its state."""

    workers: tuple[WorkerStatus, ...] = ()
    tasks: tuple[OpenTasks, ...] = ()
    progress: bool = True


def standstill(queue: QueueState, now: datetime) -> str:
    """Why open tasks make no progress, in words; empty where they do, or there are none."""
    old = any(now - one.since >= NO_PROGRESS_AFTER for one in queue.tasks)
    if queue.progress or not old:
        return ""
    minutes = int(NO_PROGRESS_AFTER.total_seconds() // 60)
    return f"no progress for {minutes} minutes: {'; '.join(_stuck(queue))}"


def _stuck(queue: QueueState) -> Iterable[str]:
    by_name = {one.name: one for one in queue.workers}
    alive = any(one.state == "alive" for one in queue.workers)
    for tasks in queue.tasks:
        number = plural(tasks.number, KIND_NAMES.get(tasks.kind, f"{tasks.kind} task"))
        if tasks.holder:
            yield f"{number} held by {tasks.holder}{_condition(by_name.get(tasks.holder))}"
        else:
            yield f"{number} queued{'' if alive else ', and no worker is alive'}"


def _condition(worker: WorkerStatus | None) -> str:
    if worker is None:
        return ", which is gone"
    if worker.silent:
        return f", silent since {worker.seen:%H:%M}"
    return ", which is alive"
