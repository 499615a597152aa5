"""The engine that shares tasks with other machines: DBOS on PostgreSQL.

The only file that knows DBOS.

What is used of it: a queue whose rows are written in the transaction that plans, and threads that
take them. What a worker left is found by our own reaper (`jobs/reaper.py`): DBOS looks only for
what an executor of the same name had in hand, so each process has its own name.
"""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from newsletter import process
from newsletter.errors import Stopped
from newsletter.jobs import reaper
from newsletter.jobs.engine import AT_ONCE
from newsletter.jobs.reaper import HeartbeatConfig
from newsletter.store import leases, tasks
from newsletter.store.tasks import Task, TaskAttempt, TaskKind, TaskResult

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.context import Engine, RunTask
    from newsletter.domain.progress import StageProgress
    from newsletter.store import Store

log = logging.getLogger(__name__)
QUEUES = {"make": 2, "mail": AT_ONCE[TaskKind.MAIL]}
"""Tasks of a queue that one worker runs at once: mail never waits behind scoring."""
QUEUE_OF = {TaskKind.SCORE: "make", TaskKind.DIGEST: "make", TaskKind.MAIL: "mail"}
POLL_SECONDS = 0.25
"""Between a worker's polls for new tasks. Each takes about a millisecond."""
APPLICATION = "newsletter"
WORKFLOW = "unit"
VERSION = "1"
"""A task is its id, whatever the release: DBOS would tell releases apart by their source."""
GRACE_SECONDS = 30
PAGE = 500
RETENTION = timedelta(days=7)
NO_WORKER_ROUNDS = 30
"""Polls, of about a second, after which live workers are counted."""
STAGES = {TaskKind.SCORE: "Scoring", TaskKind.DIGEST: "Making", TaskKind.MAIL: "Sending"}


class DbosEngine:
    """Workers that share a PostgreSQL database. `settings.dbos_faults` says whether they can."""

    def __init__(
        self, store: Store, clock: Callable[[], datetime], config: HeartbeatConfig | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._heartbeat_config = config or HeartbeatConfig()
        self._unfinished: list[tuple[str, int]] = []

    def run(
        self, todo: Sequence[Task], handle: RunTask, report: StageProgress, stop: threading.Event
    ) -> list[TaskResult]:
        """Enqueue the tasks and wait. The workers go on with them if this process is stopped."""
        del handle
        self._client  # noqa: B018 - it makes its tables, which waits for all transactions
        ids: list[str] = []
        for start in range(0, len(todo), PAGE):
            with self._store.begin() as tx:
                own, fresh = tasks.plan(tx, todo[start : start + PAGE], self._clock())
                self._enqueue(tx, fresh)
            ids += own
        stage = STAGES[todo[0].kind] if todo else ""
        ended = self._wait(ids, partial(report, stage), stop)
        return [ended[task_id] for task_id in ids]

    def _wait(
        self, ids: Sequence[str], report: Callable[[int, int], None], stop: threading.Event
    ) -> dict[str, TaskResult]:
        ended: dict[str, TaskResult] = {}
        waiting, rounds = set(ids), 0
        while waiting:
            with self._store.read() as tx:
                ended |= tasks.results(tx, waiting)
                no_worker = rounds == NO_WORKER_ROUNDS and not reaper.live_workers_of(
                    tx, self._clock(), self._heartbeat_config
                )
            waiting -= ended.keys()
            report(len(ended), len(ids))
            rounds += 1
            if no_worker:
                log.warning("no worker is alive; start one: newsletter worker")
            if waiting and stop.wait(min(1.0, 0.05 * rounds)):
                message = "stopped on request; the workers go on with what is placed"
                raise Stopped(message)
        return ended

    @contextmanager
    def worker(self, handle: RunTask, stop: threading.Event, name: str) -> Iterator[None]:
        owner = f"{process.process_id()}/{name}"
        with self._store.begin() as tx:
            reaper.register_worker(tx, owner, self._clock(), self._heartbeat_config)
        ended = threading.Event()
        try:
            self._launch(owner, partial(self._do, handle, stop, owner))
            known = (self._store, owner, self._reap, self._clock, self._heartbeat_config, ended)
            watch = threading.Thread(target=reaper.heartbeat_loop, args=known, name="reaper")
            watch.start()
            try:
                yield
            finally:
                stop.set()
                _library().DBOS.destroy(
                    destroy_registry=True, workflow_completion_timeout_sec=GRACE_SECONDS
                )
                ended.set()
                watch.join()
        finally:
            self._requeue_unfinished()
            with self._store.begin() as tx:
                leases.deregister(tx, owner)

    def delete_old_tasks(self, now: datetime) -> None:
        """DBOS keeps every workflow for ever, with what it was given."""
        with self._store.begin() as tx:
            tasks.delete_finished(tx, now - RETENTION)
        before = (now - RETENTION).isoformat()
        while old := self._client.list_workflows(
            end_time=before, limit=PAGE, load_input=False, load_output=False
        ):
            self._client.delete_workflows([one.workflow_id for one in old])

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - dbos is imported where it is used
        """Writes workflows down and looks at them; runs none."""
        library = _library()
        library.DBOS.migrate(self._store.url.render_as_string(hide_password=False))
        return library.DBOSClient(
            system_database_engine=self._store.engine,
            serializer=library.DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
        )

    def _enqueue(self, tx: Connection, attempts: Sequence[TaskAttempt]) -> None:
        """In the transaction that opens the generation: neither is ever there alone."""
        for one in attempts:
            options = {
                "workflow_name": WORKFLOW,
                "workflow_id": _workflow_id(one),
                "queue_name": QUEUE_OF[one.kind],
                "app_version": VERSION,
            }
            self._client.enqueue_in_transaction(tx, options, one.id, one.number)

    def _launch(self, owner: str, run: Callable[[str, int], None]) -> None:
        library = _library()
        self._client  # noqa: B018 - as above
        library.DBOS(
            config={
                "name": APPLICATION,
                "system_database_engine": self._store.engine,
                "serializer": library.DBOSPortableJSONSerializer(),
                "application_version": VERSION,
                "executor_id": owner,
                "log_level": "WARNING",
            }
        )

        @library.DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)  # type: ignore[untyped-decorator]
        def task(task_id: str, gen: int) -> None:
            run(task_id, gen)

        library.DBOS.launch()
        for name, at_once in QUEUES.items():
            library.DBOS.register_queue(
                name, worker_concurrency=at_once, polling_interval_sec=POLL_SECONDS
            )

    def _do(
        self, handle: RunTask, stop: threading.Event, owner: str, task_id: str, gen: int
    ) -> None:
        with suppress(Stopped), ExitStack() as unfinished:
            # Also where the database goes away: we are alive, so no other worker would look for it.
            unfinished.callback(self._unfinished.append, (task_id, gen))
            if stop.is_set():
                return
            with self._store.begin() as tx:
                task = tasks.claim(tx, task_id, gen, owner, self._clock())
            if task:
                result = handle(task)
                with self._store.begin() as tx:
                    tasks.finish(tx, task_id, gen, owner, result, self._clock())
            unfinished.pop_all()

    def _reap(self) -> None:
        self._requeue_unfinished()
        reaper.reap(
            self._store, self._waiting, self._enqueue, self._clock(), self._heartbeat_config
        )

    def _waiting(self, some: Sequence[TaskAttempt], live_workers: Collection[str]) -> set[str]:
        """Attempts that DBOS will hand out, or has just handed to a live worker."""
        named = {_workflow_id(one): one.id for one in some}
        flows = self._client.list_workflows(
            workflow_ids=list(named), load_input=False, load_output=False
        )
        return {
            named[one.workflow_id]
            for one in flows
            if one.status == "ENQUEUED"
            or (one.status == "PENDING" and one.executor_id in live_workers)
        }

    def _requeue_unfinished(self) -> None:
        """Queue again the tasks that were begun here and not finished."""
        while self._unfinished:
            task_id, gen = self._unfinished[0]
            with self._store.begin() as tx:
                later = tasks.retry(tx, task_id, gen, self._clock())
                self._enqueue(tx, [later] if later else [])
            self._unfinished.pop(0)


def _library() -> Any:  # noqa: ANN401 - a module
    """Half a second of imports, and it would write to the console by itself."""
    chatty = logging.getLogger("dbos")
    chatty.setLevel(logging.WARNING)
    if not chatty.handlers:
        chatty.addHandler(logging.NullHandler())
    import dbos

    return dbos


def _workflow_id(one: TaskAttempt) -> str:
    return f"{one.id}:{one.number}"


_: type[Engine] = DbosEngine
