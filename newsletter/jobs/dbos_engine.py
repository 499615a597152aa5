"""The engine that shares tasks with other machines: DBOS on PostgreSQL.

The only file that knows DBOS. A task is one DBOS workflow: the workflow's id is the task's name,
its status says whether the task is queued, held by a worker or ended, and its output is the result.

DBOS by itself recovers only what an executor of the same name held. Here each process is an
executor of its own, and every worker queues again what dead ones held (`_reap`).
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from newsletter import process
from newsletter.domain.paging import paged
from newsletter.domain.tasks import Task, TaskKind, TaskResult
from newsletter.errors import Stopped
from newsletter.jobs import reaper
from newsletter.jobs.engine import AT_ONCE
from newsletter.jobs.leader import STALE_AFTER
from newsletter.jobs.outages import ONCE_PER_MINUTE, outage_log
from newsletter.jobs.reaper import HeartbeatConfig
from newsletter.store import StoreError, leases
from newsletter.store.retry import is_outage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from newsletter.context import Engine, RunTask
    from newsletter.domain.progress import StageProgress
    from newsletter.store import Store

log = logging.getLogger(__name__)
QUEUES = {"score": 1, "make": 2, "mail": AT_ONCE[TaskKind.MAIL]}
"""Tasks of a queue that one worker runs at once: mail never waits behind scoring, and no worker
takes two scoring groups while another has none.
"""
QUEUE_OF = {TaskKind.SCORE: "score", TaskKind.DIGEST: "make", TaskKind.MAIL: "mail"}
POLL_SECONDS = 0.25
"""Between a worker's polls for new tasks. Each takes about a millisecond."""
APPLICATION = "newsletter"
WORKFLOW = "task"
VERSION = "2"
"""Of the workflow's arguments, not of the release: DBOS would tell releases apart by their source.
Workers leave the workflows of other versions alone.
"""
EARLIER_VERSIONS = ["1"]
ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
GRACE_SECONDS = 30
PAGE = 500
RETENTION = timedelta(days=7)
MAX_LOST_WORKERS = 25
"""After so many dead workers the task itself may be what kills them."""
NO_WORKER_ROUNDS = 30
"""Polls, of about a second, after which live workers are counted."""
STAGES = {TaskKind.SCORE: "Scoring", TaskKind.DIGEST: "Making", TaskKind.MAIL: "Sending"}


class NotFinished(BaseException):
    """Ends a workflow without an outcome: it stays PENDING, and is queued again.

    DBOS stores any Exception as the workflow's outcome.
    """


class DbosEngine:
    """Workers that share a PostgreSQL database. `settings.dbos_faults` says whether they can."""

    def __init__(
        self, store: Store, clock: Callable[[], datetime], config: HeartbeatConfig | None = None
    ) -> None:
        self._library = _import_dbos()
        self._store = store
        self._clock = clock
        self._heartbeat_config = config or HeartbeatConfig()
        self._running: set[str] = set()
        self._not_running: set[str] = set()

    def workers(self) -> int:
        return len(self._live_workers())

    def run(
        self, todo: Sequence[Task], handle: RunTask, report: StageProgress, stop: threading.Event
    ) -> list[TaskResult]:
        """Enqueue the tasks and wait. The workers go on with them if this process is stopped."""
        del handle
        by_id = {str(task): task for task in todo}
        results: dict[str, TaskResult] = {}
        reopened, rounds = False, 0
        while True:
            try:
                with self._store.translated():
                    if not reopened:
                        self._delete_repeatable(by_id)
                        reopened = True
                    results |= self._poll_results(
                        {k: t for k, t in by_id.items() if k not in results}
                    )
                if rounds == NO_WORKER_ROUNDS and not self._live_workers():
                    log.warning("no worker is alive; start one: newsletter worker")
            except StoreError as problem:
                if not is_outage(problem):
                    raise
                outage_log.warning("%s", problem)
            report(STAGES[todo[0].kind] if todo else "", len(results), len(by_id))
            if reopened and len(results) == len(by_id):
                return [results[str(task)] for task in todo]
            rounds += 1
            if stop.wait(min(1.0, 0.05 * rounds)):
                message = "stopped on request; the workers go on with what is placed"
                raise Stopped(message)

    def _delete_repeatable(self, by_id: Mapping[str, Task]) -> None:
        """Delete the ended workflows of tasks that are to run again.

        A scoring task runs again only after a failure: what it left unscored is scored where each
        rubric's digest is made.
        """
        ended = self._workflows(by_id, status=ENDED)
        self._client.delete_workflows(
            [
                one.workflow_id
                for one in ended
                if by_id[one.workflow_id].kind is not TaskKind.SCORE or _result(one).problem
            ]
        )

    def _poll_results(self, by_id: Mapping[str, Task]) -> dict[str, TaskResult]:
        """Return the results of the tasks that ended; enqueue those that DBOS does not know."""
        found = {one.workflow_id: one for one in self._workflows(by_id)}
        for task_id in by_id.keys() - found.keys():
            self._enqueue(by_id[task_id])
        return {key: _result(one) for key, one in found.items() if one.status in ENDED}

    def _workflows(self, ids: Iterable[str], **where: object) -> list[Any]:
        found: list[Any] = []
        for page in paged(ids):
            found += self._client.list_workflows(workflow_ids=page, load_input=False, **where)
        return found

    def _live_workers(self) -> set[str]:
        with self._store.read() as tx:
            return reaper.live_workers(tx, self._clock(), self._heartbeat_config)

    @contextmanager
    def worker(self, handle: RunTask, stop: threading.Event, name: str) -> Iterator[None]:
        owner = f"{process.process_id()}/{name}"
        with self._store.begin() as tx:
            reaper.register_worker(tx, owner, self._clock(), self._heartbeat_config)
        ended = threading.Event()
        reap = partial(self._reap, owner)
        known = (self._store, owner, reap, self._clock, self._heartbeat_config, ended)
        watch = threading.Thread(target=reaper.heartbeat_loop, args=known, name="reaper")
        try:
            with self._store.translated():
                self._client  # noqa: B018 - it makes the tables, which waits for all transactions
            watch.start()
            try:
                with self._store.translated():
                    self._launch(owner, partial(self._do, handle, stop))
                yield
            finally:
                stop.set()
                self._library.DBOS.destroy(
                    destroy_registry=True, workflow_completion_timeout_sec=GRACE_SECONDS
                )
                ended.set()
                watch.join()
        finally:
            with self._store.translated():
                self._requeue(self._held(executor_id=owner))
            with self._store.begin() as tx:
                leases.deregister(tx, owner)

    def delete_old_tasks(self, now: datetime) -> None:
        """Delete what ended long ago: DBOS keeps every workflow, with its arguments."""
        with self._store.begin() as tx:
            leases.delete_stale(tx, now - STALE_AFTER)
        before = (now - RETENTION).isoformat()
        with self._store.translated():
            self._delete_all(completed_before=before)
            self._delete_all(app_version=EARLIER_VERSIONS)

    def _delete_all(self, **where: object) -> None:
        while page := self._client.list_workflows(
            limit=PAGE, load_input=False, load_output=False, **where
        ):
            self._client.delete_workflows([one.workflow_id for one in page])

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - dbos has no types here
        """Reads and writes workflows; runs none. It makes DBOS's tables where they are missing."""
        self._library.DBOS.migrate(self._store.url.render_as_string(hide_password=False))
        return self._library.DBOSClient(
            system_database_engine=self._store.engine,
            serializer=self._library.DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            retry_connection_errors=False,
        )

    def _enqueue(self, task: Task) -> None:
        """Enqueue a task; it stays as it is where another process enqueued it before."""
        options = {
            "workflow_name": WORKFLOW,
            "workflow_id": str(task),
            "queue_name": QUEUE_OF[task.kind],
            "app_version": VERSION,
        }
        wanted_by = task.wanted_by.isoformat() if task.wanted_by else None
        self._client.enqueue(options, task.kind, task.day.isoformat(), task.ids, wanted_by)

    def _launch(self, owner: str, run: Callable[[Task], TaskResult]) -> None:
        library = self._library
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
        def task(kind: str, day: str, ids: list[str], wanted_by: str | None) -> dict[str, Any]:
            by = datetime.fromisoformat(wanted_by) if wanted_by else None
            result = run(Task(TaskKind(kind), date.fromisoformat(day), tuple(ids), by))
            return {"problem": result.problem, "sent": result.sent}

        library.DBOS.launch()
        for name, at_once in QUEUES.items():
            library.DBOS.register_queue(
                name, worker_concurrency=at_once, polling_interval_sec=POLL_SECONDS
            )

    def _do(self, handle: RunTask, stop: threading.Event, task: Task) -> TaskResult:
        if stop.is_set():
            raise NotFinished
        self._running.add(str(task))
        try:
            return handle(task)
        except Stopped as reason:
            raise NotFinished from reason
        except StoreError as problem:
            if is_outage(problem):
                raise NotFinished from problem
            return TaskResult(str(problem))
        finally:
            self._running.discard(str(task))

    def _reap(self, owner: str) -> None:
        """Queue again the tasks of dead workers, and those that this process does not run.

        DBOS may hand a task out and fail before it runs, where the database goes away meanwhile.
        Such a task is queued again when it is found twice.
        """
        now, config = self._clock(), self._heartbeat_config
        with self._store.begin() as tx:
            leases.lock_reaper(tx)
            reaper.mark_lost_work(tx, now, config)
            alive = reaper.live_workers(tx, now, config)
            held = self._held()
            dead = [one for one in held if one.executor_id not in alive]
            idle = [
                one
                for one in held
                if one.executor_id == owner and one.workflow_id not in self._running
            ]
            twice = [one for one in idle if one.workflow_id in self._not_running]
            self._not_running = {one.workflow_id for one in idle} - {o.workflow_id for o in twice}
            self._requeue([*(one for one in dead if not self._ends_after_loss(one)), *twice])
        if dead:
            log.warning("re-queued %d tasks of dead workers", len(dead))

    def _held(self, **where: object) -> list[Any]:
        """The tasks that workers hold."""
        return list(
            self._client.list_workflows(
                status="PENDING", name=WORKFLOW, load_input=False, load_output=False, **where
            )
        )

    def _ends_after_loss(self, one: Any) -> bool:  # noqa: ANN401 - as above
        """Count a worker that died over this task; the task ends where too many did."""
        lost = (one.attributes or {}).get("lost_workers", 0) + 1
        self._client.update_workflow_attributes(one.workflow_id, {"lost_workers": lost})
        if lost < MAX_LOST_WORKERS:
            return False
        self._client.cancel_workflow(one.workflow_id)
        return True

    def _requeue(self, some: Sequence[Any]) -> None:
        for queue in QUEUES:
            ids = [one.workflow_id for one in some if one.queue_name == queue]
            # A task that ended meanwhile may be deleted; the next reaper takes the others.
            with suppress(self._library.error.DBOSNonExistentWorkflowError):
                self._client.resume_workflows(ids, queue_name=queue)


def _result(one: Any) -> TaskResult:  # noqa: ANN401 - as above
    """Result of an ended workflow."""
    if one.status == "SUCCESS":
        return TaskResult(one.output["problem"], one.output["sent"])
    lost = (one.attributes or {}).get("lost_workers", 0)
    if lost >= MAX_LOST_WORKERS:
        return TaskResult(f"{lost} workers died while running it; their logs may say why")
    return TaskResult(f"the engine ended it: {one.status}: {one.error or 'no reason given'}")


def _import_dbos() -> Any:  # noqa: ANN401 - a module
    """Import before any thread starts: two threads that import it at once can fail.

    It takes half a second, so only this engine does; and it would write to the console by itself.
    """
    chatty = logging.getLogger("dbos")
    chatty.setLevel(logging.WARNING)
    if not chatty.handlers:
        chatty.addHandler(logging.NullHandler())
    chatty.addFilter(ONCE_PER_MINUTE)
    import dbos

    return dbos


_: type[Engine] = DbosEngine
