"""Engines place units and wait for them; what DBOS forgets or repeats changes nothing."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from newsletter import process
from newsletter.context import no_progress
from newsletter.errors import OperatorError, Stopped
from newsletter.jobs.dbos_engine import DbosEngine
from newsletter.jobs.engine import LocalEngine
from newsletter.jobs.reaper import HeartbeatConfig
from newsletter.store import Store, tasks
from newsletter.store.tasks import Task, TaskKind, TaskResult, TaskState
from tests.fakes.database import own_database

if TYPE_CHECKING:
    from collections.abc import Iterator

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
needs_postgres = pytest.mark.skipif(
    not POSTGRES, reason="needs PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL"
)
DAY = date(2025, 11, 18)
QUICK = HeartbeatConfig(*(timedelta(seconds=seconds) for seconds in (0.1, 0.1, 1.0, 0.5)))


def mails(count: int) -> list[Task]:
    return [Task(TaskKind.MAIL, DAY, (str(n), "0")) for n in range(count)]


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Hands:
    """Does units: each sends as many mails as its number says; "13" is unlucky."""

    done: list[Task] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, unit: Task) -> TaskResult:
        with self.turn:
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        time.sleep(0.02)
        with self.turn:
            self.at_once -= 1
            self.done.append(unit)
        number = int(unit.ids[0])
        return TaskResult("unlucky") if number == 13 else TaskResult(sent=number)


def run(engine: LocalEngine | DbosEngine, wanted: list[Task], hands: Any) -> list[TaskResult]:
    return engine.run(wanted, hands, no_progress, threading.Event())


def test_local_does_mail_several_at_once_and_answers_in_order() -> None:
    hands = Hands()
    endings = run(LocalEngine(), mails(20), hands)
    assert [one.sent for one in endings] == [*range(13), 0, *range(14, 20)]
    assert [n for n, one in enumerate(endings) if one.problem] == [13]
    assert hands.most_at_once == 4


def test_local_scores_one_group_after_the_other_in_the_callers_thread() -> None:
    threads = set()

    def do(_unit: Task) -> TaskResult:
        threads.add(threading.current_thread())
        return TaskResult()

    run(LocalEngine(), [Task(TaskKind.SCORE, DAY, (str(n),)) for n in range(3)], do)
    assert threads == {threading.current_thread()}


def test_local_does_nothing_at_all_for_nothing() -> None:
    assert run(LocalEngine(), [], Hands()) == []


def test_whoever_was_stopped_says_so() -> None:
    def stop(_unit: Task) -> TaskResult:
        raise Stopped

    with pytest.raises(Stopped):
        run(LocalEngine(), mails(3), stop)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Store]:
    """A database of its own: DBOS's tables are one schema for all of it."""
    with own_database(POSTGRES) as url:
        store = Store(url)
        store.migrate()
        run(DbosEngine(store, now), [], Hands())
        yield store
        store.close()


@pytest.fixture
def shared(cluster: Store) -> Iterator[Store]:
    yield cluster
    with cluster.begin() as tx:
        tx.execute(text("TRUNCATE unit, life"))
        tx.execute(text("TRUNCATE dbos.workflow_status CASCADE"))


@contextmanager
def working(engine: DbosEngine, hands: Any, name: str = "w1") -> Iterator[threading.Event]:
    stop = threading.Event()
    with engine.worker(hands, stop, name):
        yield stop


def states(store: Store) -> dict[str, int]:
    with store.read() as tx:
        return {state.value: number for state, number in tasks.count(tx).items()}


def flows(store: Store) -> list[Any]:
    with store.read() as tx:
        query = "SELECT status, serialization FROM dbos.workflow_status ORDER BY 1"
        return list(tx.execute(text(query)).all())


@needs_postgres
def test_a_workers_life_from_first_unit_to_last(shared: Store) -> None:
    """One launch of DBOS serves for what needs one: it takes two seconds."""
    engine, hands = DbosEngine(shared, now, QUICK), Hands()
    with working(engine, hands) as stop:
        endings = run(engine, mails(20), hands)
        assert [one.sent for one in endings] == [*range(13), 0, *range(14, 20)]
        assert endings[13].problem == "unlucky"
        assert hands.most_at_once == 4
        assert len(hands.done) == 20
        # Planned again, it is done again; only ids are ever given away.
        run(engine, mails(2), hands)
        assert len(hands.done) == 22
        told = engine._client.list_workflows(load_input=True)[0]
        assert told.input == {"args": (told.workflow_id.split(":")[0], 1), "kwargs": {}}
        assert (told.app_version, told.executor_id) == ("1", f"{process.process_id()}/w1")
        assert {one.serialization for one in flows(shared)} == {"portable_json"}
        with (
            pytest.raises(OperatorError, match="w1 is alive already"),
            working(DbosEngine(shared, now), hands),
        ):
            pass
        # Somebody else's unit, whose machine was lost, and one that DBOS has forgotten.
        with shared.begin() as tx:
            _, lost = tasks.plan(tx, mails(2), now() - timedelta(seconds=5))
            assert tasks.claim(tx, lost[0].id, lost[0].number, "gone/1/a/w9", now())
        until(lambda: states(shared) == {"done": 19, "failed": 1})
        stop.set()
        with shared.begin() as tx:
            engine._enqueue(tx, tasks.plan(tx, mails(1), now())[1])
    # Taken or not, whoever comes next finds it in the queue.
    assert states(shared)["open"] == 1
    assert [one.status for one in flows(shared)].count("ENQUEUED") == 1
    with shared.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM life")).scalar() == 0


def until(true) -> None:
    for _ in range(200):
        if true():
            return
        time.sleep(0.05)
    pytest.fail("it did not come to pass")


@needs_postgres
def test_a_plan_that_is_rolled_back_leaves_no_ghost(shared: Store) -> None:
    engine = DbosEngine(shared, now)
    with pytest.raises(ZeroDivisionError), shared.begin() as tx:
        engine._enqueue(tx, tasks.plan(tx, mails(3), now())[1])
        _ = 1 / 0
    assert (states(shared), flows(shared)) == ({}, [])


@needs_postgres
def test_who_waits_can_be_stopped_and_the_units_stay_placed(shared: Store) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Stopped, match="the workers go on"):
        DbosEngine(shared, now).run(mails(2), Hands(), no_progress, stop)
    assert states(shared) == {"open": 2}
    assert [one.status for one in flows(shared)] == ["ENQUEUED"] * 2


@needs_postgres
def test_old_workflows_are_purged_with_their_units(shared: Store) -> None:
    engine = DbosEngine(shared, now)
    with shared.begin() as tx:
        ids, fresh = tasks.plan(tx, mails(2), now())
        engine._enqueue(tx, fresh)
        tx.execute(text("UPDATE unit SET state = 'done' WHERE id = :id"), {"id": ids[0]})
    engine.delete_old_tasks(now() + timedelta(days=6))
    assert len(flows(shared)) == 2
    engine.delete_old_tasks(now() + timedelta(days=8))
    assert (flows(shared), states(shared)) == ([], {TaskState.OPEN.value: 1})
