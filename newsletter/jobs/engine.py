"""Where units of work run.

    local    in this process: nothing to install
    dbos     on any number of workers, which share a PostgreSQL database

Nothing here is trusted for correctness: a unit may run twice, late, or in two places at once.
The local engine is here; the other is `jobs/dbos_engine.py`.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from newsletter import logs
from newsletter.store.tasks import Task, TaskKind, TaskResult

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from datetime import datetime

    from newsletter.context import Engine, RunTask
    from newsletter.domain.progress import StageProgress

log = logging.getLogger(__name__)

AT_ONCE = {TaskKind.MAIL: 4}
"""Units of a kind that one process does at once; one of the others, whose calls are many."""


class LocalEngine:
    """Threads of this process. What each unit has done is in its own tables."""

    def run(
        self, wanted: Sequence[Task], do: RunTask, report: StageProgress, stop: threading.Event
    ) -> list[TaskResult]:
        del report, stop
        hands = min((AT_ONCE.get(unit.kind, 1) for unit in wanted), default=1)
        if hands == 1 or len(wanted) == 1:
            # In the caller's own thread, where Ctrl-C is heard.
            return [do(unit) for unit in wanted]
        with ThreadPoolExecutor(hands, thread_name_prefix="unit") as pool:
            acts = [logs.carried(do) for _ in wanted]
            return list(pool.map(lambda act, unit: act(unit), acts, wanted))

    def working(
        self, do: RunTask, stop: threading.Event, name: str
    ) -> AbstractContextManager[None]:
        del do, stop, name
        return nullcontext()

    def tidy(self, now: datetime) -> None:
        """There is nothing."""


_: type[Engine] = LocalEngine
