"""Run tasks in this process while its settings agree with those of the process that plans.

Settings and rubric files may change while a worker runs. They are compared every few seconds and
before each task. A worker that differs leaves the queue, so that others take its tasks.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from newsletter import process
from newsletter.domain.shared_settings import list_names
from newsletter.errors import OperatorError, Stopped
from newsletter.jobs import reaper
from newsletter.jobs.daily import handle_task
from newsletter.jobs.leader import DAILY_RUN_LEASE
from newsletter.jobs.outages import outage_log
from newsletter.operations import shared_settings
from newsletter.store import StoreError, leases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.context import App
    from newsletter.domain.progress import StageProgress
    from newsletter.domain.tasks import Task, TaskResult
    from newsletter.operations.shared_settings import SharedSettings

CHECK_SECONDS = 2.0


@contextmanager
def run_worker(
    app: App, name: str, report: StageProgress, *, must_agree: bool = False
) -> Iterator[None]:
    """Inside the context, this process runs queued tasks. On exit `app.stop` is set.

    Raises OperatorError if the name is in use; with `must_agree` also if the settings differ.
    """
    shared = shared_settings.of_app(app)
    if shared is None or app.settings.engine == "local":
        with app.engine.worker(partial(handle_task, app, report), app.stop, name):
            yield
        return
    worker = _Worker(app, shared, name, report, must_agree=must_agree)
    worker.register()
    thread = threading.Thread(target=worker.watch, name="worker")
    try:
        worker.check()
        thread.start()
        yield
    finally:
        app.stop.set()
        if thread.ident:
            thread.join()
        worker.close()
        if worker.problem:
            raise worker.problem


class _Worker:
    """In the queue while `_queue` holds the engine's worker."""

    def __init__(
        self,
        app: App,
        shared: SharedSettings,
        name: str,
        report: StageProgress,
        *,
        must_agree: bool,
    ) -> None:
        self.problem: OperatorError | None = None
        self._app = app
        self._shared = shared
        self._name = name
        self._report = report
        self._must_agree = must_agree
        self._owner = f"{process.process_id()}/{name}"
        self._stop = threading.Event()
        self._queue: ExitStack | None = None

    def register(self) -> None:
        """Raises OperatorError if another live worker has this name."""
        now = self._app.clock()
        with self._app.store.begin() as tx:
            reaper.register_worker(tx, self._owner, now, reaper.HeartbeatConfig())

    def watch(self) -> None:
        while not self._app.stop.wait(CHECK_SECONDS):
            try:
                self.check()
            except StoreError as problem:
                outage_log.warning("%s", problem)
            except OperatorError as problem:
                self.problem = problem
                self._app.stop.set()
        self._stop.set()

    def check(self) -> None:
        """Join the queue if the settings agree; leave it if they do not."""
        agrees = self._shared.report(self._app.store, self._owner, reaper.ROLE, self._app.clock())
        if self._queue and (self._stop.is_set() or not agrees):
            self._leave_queue()
        if self._must_agree and not agrees:
            with self._app.store.read() as tx:
                names = list_names(self._shared.differences(tx) or [])
            raise OperatorError(shared_settings.differing(names))
        if agrees and self._queue is None:
            self._join_queue()

    def close(self) -> None:
        self._leave_queue()
        self._deregister()

    def _deregister(self) -> None:
        with self._app.store.begin() as tx:
            leases.deregister(tx, self._owner)

    def _join_queue(self) -> None:
        self._deregister()  # The engine registers the name again.
        self._stop = threading.Event()
        stack = ExitStack()
        run = partial(self._run, replace(self._app, stop=self._stop))
        stack.enter_context(self._app.engine.worker(run, self._stop, self._name))
        self._queue = stack

    def _leave_queue(self) -> None:
        queue, self._queue = self._queue, None
        if queue:
            queue.close()

    def _run(self, app: App, task: Task) -> TaskResult:
        """Raises Stopped without having begun the task if the settings differ."""
        with app.store.read() as tx:
            agrees = self._shared.differences(tx) == []
        if not agrees:
            app.stop.set()
            message = "the settings differ from the planner's"
            raise Stopped(message)
        return handle_task(app, self._report, task)


def become_planner(app: App) -> None:
    """Make the settings of this process (`run`) the service's.

    Raises OperatorError if they differ from those of a service that is alive.
    """
    shared = shared_settings.of_app(app)
    if shared is None:
        return
    now = app.clock()
    with app.store.begin() as tx:
        leader = leases.holder(tx, DAILY_RUN_LEASE)
        is_dead = leases.dead_owner_test(tx, now)
        alone = leader is None or is_dead(leader.owner)
        if not shared.may_plan(tx, replace=alone, now=now):
            names = list_names(shared.differences(tx) or [])
            raise OperatorError(shared_settings.differing(names))
