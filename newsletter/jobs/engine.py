"""The engines that run tasks.

    local    in this process: nothing to install
    dbos     on any number of workers, which share a PostgreSQL database

Nothing here is trusted for correctness: a task may run twice, late, or in two places at once.
The local engine is here; the other is `jobs/dbos_engine.py`.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from newsletter import logs
from newsletter.domain.tasks import Task, TaskKind, TaskResult
from newsletter.store import StoreError

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from datetime import datetime

    from newsletter.context import Engine, RunTask
    from newsletter.domain.progress import StageProgress

log = logging.getLogger(__name__)

AT_ONCE = {TaskKind.MAIL: 4}
"""Tasks of a kind that one process runs at once; other kinds one at a time."""


class LocalEngine:
    """Threads of this process. What each task has done is in its own tables."""

    def workers(self) -> int:
        return 1

    def run(
        self, todo: Sequence[Task], handle: RunTask, report: StageProgress, stop: threading.Event
    ) -> list[TaskResult]:
        del report, stop
        handle = partial(_or_problem, handle)
        threads = min((AT_ONCE.get(task.kind, 1) for task in todo), default=1)
        if threads == 1 or len(todo) == 1:
            # In the caller's own thread, where Ctrl-C is heard.
            return [handle(task) for task in todo]
        with ThreadPoolExecutor(threads, thread_name_prefix="task") as pool:
            runs = [logs.with_log_context(handle) for _ in todo]
            return list(pool.map(lambda run, task: run(task), runs, todo))

    def worker(
        self, handle: RunTask, stop: threading.Event, name: str
    ) -> AbstractContextManager[None]:
        del handle, stop, name
        return nullcontext()

    def delete_old_tasks(self, now: datetime) -> None:
        """Nothing to delete."""


def _or_problem(handle: RunTask, task: Task) -> TaskResult:
    """Run a task; a database error is its problem, and the others go on."""
    try:
        return handle(task)
    except StoreError as problem:
        return TaskResult(str(problem))


_: type[Engine] = LocalEngine
