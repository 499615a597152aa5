"""Engines run tasks and wait for them; tasks that DBOS forgets or repeats change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from newsletter import process
from newsletter.context import no_progress
from newsletter.domain.tasks import Task, TaskKind, TaskResult
from newsletter.errors import OperatorError, Stopped
from newsletter.jobs.dbos_engine import MAX_LOST_WORKERS, DbosEngine
from newsletter.jobs.engine import LocalEngine
from newsletter.jobs.reaper import HeartbeatConfig
from newsletter.store import Store, StoreError, leases
from tests.fakes.database import own_database
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
needs_postgres = pytest.mark.skipif(
    not POSTGRES, reason="needs PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL"
)
DAY = date(2025, 11, 18)
NOON = datetime(2025, 11, 18, 12, 0, tzinfo=UTC)
QUICK = HeartbeatConfig(timedelta(seconds=0.1), timedelta(seconds=0.1))


def mails(count: int) -> list[Task]:
    return [Task(TaskKind.MAIL, DAY, (str(n), "0")) for n in range(count)]


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class FakeHandler:
    """Runs tasks: each sends as many mails as its number says; number 13 fails.

    The first tasks wait until `expected` of them run at once.
    """

    done: list[Task] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    expected: int = 1
    full: threading.Event = field(default_factory=threading.Event)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, task: Task) -> TaskResult:
        with self.turn:
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
            if self.at_once >= self.expected:
                self.full.set()
        self.full.wait(240)
        time.sleep(0.02)
        with self.turn:
            self.at_once -= 1
            self.done.append(task)
        number = int(task.ids[0])
        return TaskResult("failed") if number == 13 else TaskResult(sent=number)


def run(engine: LocalEngine | DbosEngine, wanted: list[Task], handler: Any) -> list[TaskResult]:
    return engine.run(wanted, handler, no_progress, threading.Event())


def test_local_does_mail_several_at_once_and_answers_in_order() -> None:
    handler = FakeHandler(expected=4)
    endings = run(LocalEngine(), mails(20), handler)
    assert [one.sent for one in endings] == [*range(13), 0, *range(14, 20)]
    assert [n for n, one in enumerate(endings) if one.problem] == [13]
    assert handler.most_at_once == 4


def test_local_scores_one_group_after_the_other_in_the_callers_thread() -> None:
    threads = set()

    def do(_task: Task) -> TaskResult:
        threads.add(threading.current_thread())
        return TaskResult()

    run(LocalEngine(), [Task(TaskKind.SCORE, DAY, (str(n),)) for n in range(3)], do)
    assert threads == {threading.current_thread()}


def test_local_without_tasks_does_nothing() -> None:
    assert run(LocalEngine(), [], FakeHandler()) == []


def test_a_stopped_task_raises_stopped() -> None:
    def stop(_task: Task) -> TaskResult:
        raise Stopped

    with pytest.raises(Stopped):
        run(LocalEngine(), mails(3), stop)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Store]:
    """A database of its own: DBOS's tables are one schema for all of it."""
    with own_database(POSTGRES) as url:
        store = Store(url)
        store.migrate()
        run(DbosEngine(store, now), [], FakeHandler())
        yield store
        store.close()


@pytest.fixture
def shared(cluster: Store) -> Iterator[Store]:
    yield cluster
    with cluster.begin() as tx:
        tx.execute(text("TRUNCATE life"))
        tx.execute(text("TRUNCATE dbos.workflow_status CASCADE"))


@contextmanager
def working(engine: DbosEngine, handler: Any, name: str = "w1") -> Iterator[threading.Event]:
    stop = threading.Event()
    with engine.worker(handler, stop, name):
        yield stop


def states(store: Store) -> dict[str, int]:
    with store.read() as tx:
        rows = tx.execute(text("SELECT status, count(*) FROM dbos.workflow_status GROUP BY 1"))
        return {row.status: row.count for row in rows}


def enqueue(engine: DbosEngine, tasks: list[Task], holder: str = "") -> None:
    """Enqueue; with a holder, as DBOS hands them out to an executor."""
    for task in tasks:
        engine._enqueue(task)
        if holder:
            with engine._store.begin() as tx:
                tx.execute(
                    text(
                        "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = :holder"
                        " WHERE workflow_uuid = :id"
                    ),
                    {"holder": holder, "id": str(task)},
                )


@needs_postgres
def test_a_workers_life_from_first_task_to_last(shared: Store) -> None:
    """One launch of DBOS serves for what needs one: it takes two seconds."""
    engine, handler = DbosEngine(shared, now, QUICK), FakeHandler(expected=4)
    with working(engine, handler) as stop:
        results = run(engine, mails(20), handler)
        assert [one.sent for one in results] == [*range(13), 0, *range(14, 20)]
        assert results[13].problem == "failed"
        assert handler.most_at_once == 4
        assert len(handler.done) == 20
        # Mail is sent again whenever it is planned; what was scored is not scored again.
        run(engine, mails(2), handler)
        assert len(handler.done) == 22
        score = Task(TaskKind.SCORE, DAY, ("5", "b"), NOON)
        assert [run(engine, [score], handler)[0].sent for _ in range(2)] == [5, 5]
        assert handler.done[22:] == [score]
        failing = Task(TaskKind.SCORE, DAY, ("13",))
        assert [run(engine, [failing], handler)[0].problem for _ in range(2)] == ["failed"] * 2
        assert len(handler.done) == 25
        # One scoring task at a time, so that other workers have one, too.
        handler.most_at_once = 0
        run(engine, [Task(TaskKind.SCORE, DAY, (str(n),)) for n in (31, 32, 33)], handler)
        assert handler.most_at_once == 1
        told = engine._client.list_workflows(workflow_ids=[str(score)])[0]
        assert told.input["args"] == ("score", "2025-11-18", ["5", "b"], NOON.isoformat())
        assert (told.app_version, told.executor_id) == ("2", f"{process.process_id()}/w1")
        with (
            pytest.raises(OperatorError, match="w1 is alive already"),
            working(DbosEngine(shared, now), handler),
        ):
            pass
        # What a dead machine held; and what DBOS handed to this process and never began.
        enqueue(engine, mails(1), "gone/1/a/w9")
        enqueue(engine, [Task(TaskKind.MAIL, DAY, ("21", "0"))], f"{process.process_id()}/w1")
        until(lambda: states(shared) == {"SUCCESS": 26})
        stop.set()
        enqueue(engine, [Task(TaskKind.MAIL, DAY, ("22", "0"))])
    # Taken or not, the next worker finds it in the queue.
    assert states(shared) == {"SUCCESS": 26, "ENQUEUED": 1}
    with shared.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM life")).scalar() == 0


def until(true: Callable[[], bool]) -> None:
    assert wait_until(true), "it did not come to pass"


def outage() -> StoreError:
    error = StoreError("the database is away")
    error.__cause__ = OperationalError("SELECT 1", {}, Exception())
    return error


@needs_postgres
def test_a_task_that_is_stopped_or_meets_an_outage_has_no_result_and_is_run_again(shared: Store):
    engine = DbosEngine(shared, now, QUICK)
    raised: list[Exception] = [Stopped(), outage()]

    def handler(_task: Task) -> TaskResult:
        if raised:
            raise raised.pop()
        return TaskResult(sent=3)

    with working(engine, handler):
        assert run(engine, mails(1), handler)[0].sent == 3
    assert raised == []


@needs_postgres
def test_only_the_tasks_of_dead_workers_are_queued_again(shared: Store) -> None:
    engine = DbosEngine(shared, now)
    with shared.begin() as tx:
        leases.heartbeat(tx, "there/1/a/w1", "worker", now())
        leases.heartbeat(tx, "there/2/b/w2", "worker", now() - timedelta(seconds=61))
    for task, holder in zip(mails(3), ["there/1/a/w1", "there/2/b/w2", ""], strict=True):
        enqueue(engine, [task], holder)
    engine._reap("there/1/a/w1")
    assert states(shared) == {"PENDING": 1, "ENQUEUED": 2}


@needs_postgres
def test_a_task_over_which_many_workers_died_ends_and_says_so(shared: Store) -> None:
    engine = DbosEngine(shared, now)
    for _ in range(MAX_LOST_WORKERS):
        enqueue(engine, mails(1), "gone/1/a/w9")
        engine._reap("here")
    assert states(shared) == {"CANCELLED": 1}
    found = engine._poll_results({str(task): task for task in mails(1)})
    assert [one.problem for one in found.values()] == [
        "25 workers died while running it; their logs may say why"
    ]


@needs_postgres
def test_a_planner_that_is_stopped_leaves_the_tasks_in_the_queue(shared: Store) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Stopped, match="the workers go on"):
        DbosEngine(shared, now).run(mails(2), FakeHandler(), no_progress, stop)
    assert states(shared) == {"ENQUEUED": 2}


@needs_postgres
def test_tasks_that_dbos_has_forgotten_are_enqueued_again(shared: Store) -> None:
    stop = threading.Event()

    def forget() -> None:
        until(lambda: states(shared) == {"ENQUEUED": 2})
        with shared.begin() as tx:
            tx.execute(text("TRUNCATE dbos.workflow_status CASCADE"))
        until(lambda: states(shared) == {"ENQUEUED": 2})
        stop.set()

    watch = threading.Thread(target=forget)
    watch.start()
    with pytest.raises(Stopped):
        DbosEngine(shared, now).run(mails(2), FakeHandler(), no_progress, stop)
    watch.join()
    assert states(shared) == {"ENQUEUED": 2}


@needs_postgres
def test_ended_tasks_are_deleted_after_a_week_and_those_of_earlier_versions_at_once(shared: Store):
    engine = DbosEngine(shared, now)
    enqueue(engine, mails(3))
    with shared.begin() as tx:
        over = "UPDATE dbos.workflow_status SET status = 'SUCCESS', completed_at = :at"
        at = {"at": int(now().timestamp() * 1000), "id": str(mails(1)[0])}
        tx.execute(text(f"{over} WHERE workflow_uuid = :id"), at)
        old = "UPDATE dbos.workflow_status SET application_version = '1' WHERE workflow_uuid = :id"
        tx.execute(text(old), {"id": str(mails(2)[1])})
    engine.delete_old_tasks(now() + timedelta(days=6))
    assert states(shared) == {"SUCCESS": 1, "ENQUEUED": 1}
    engine.delete_old_tasks(now() + timedelta(days=8))
    assert states(shared) == {"ENQUEUED": 1}


@needs_postgres
def test_dbos_is_imported_before_any_thread_can_start() -> None:
    """Two threads that import SQLAlchemy's ORM at once can fail."""
    program = (
        "import sys; from newsletter.jobs.dbos_engine import MAX_LOST_WORKERS, DbosEngine;"
        "from newsletter.store import Store; assert 'dbos' not in sys.modules;"
        f"DbosEngine(Store({POSTGRES!r}), None); assert 'sqlalchemy.orm.exc' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
