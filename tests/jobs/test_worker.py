"""A worker is in the queue only while its settings are the planner's."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from newsletter.context import no_progress
from newsletter.domain.tasks import Task, TaskKind, TaskResult
from newsletter.errors import OperatorError, Stopped
from newsletter.jobs import worker
from newsletter.jobs.leader import DAILY_RUN_LEASE, LeaderElection
from newsletter.jobs.worker import become_planner, run_worker
from newsletter.operations import shared_settings
from newsletter.scorers.local import LocalScorer
from newsletter.settings import Settings
from newsletter.store import leases
from tests.fakes.app import app_of
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from newsletter.context import App
    from newsletter.store import Store

TASK = Task(TaskKind.DIGEST, date(2025, 11, 18), ("one",))


class Queue:
    """An engine whose queue is one list: who is in it, and with which handler."""

    def __init__(self) -> None:
        self.handlers: list[Callable[[Task], TaskResult]] = []

    @contextmanager
    def worker(
        self, handle: Callable[[Task], TaskResult], stop: threading.Event, name: str
    ) -> Iterator[None]:
        del name
        self.handlers.append(handle)
        try:
            yield
        finally:
            stop.set()
            self.handlers.remove(handle)


@pytest.fixture
def postgres(store: Store) -> Store:
    if store.is_sqlite:
        pytest.skip("workers need PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL")
    return store


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    usual, worker.CHECK_SECONDS = worker.CHECK_SECONDS, 0.02
    yield
    worker.CHECK_SECONDS = usual


def process(store: Store, queue: Queue | None = None, **changed: Any) -> App:
    settings = Settings(_env_file=None, engine="dbos", **changed)
    return app_of(
        store,
        settings=settings,
        engine=queue or Queue(),
        scorer=LocalScorer(),
        clock=lambda: datetime.now(UTC),
    )


def plan_with(app: App) -> None:
    made = shared_settings.of_app(app)
    assert made
    with app.store.begin() as tx:
        assert made.may_plan(tx, replace=True, now=app.clock())


def test_a_worker_joins_leaves_and_joins_again(postgres: Store) -> None:
    queue = Queue()
    with run_worker(process(postgres, queue), "w1", no_progress):
        assert queue.handlers == [], "no planner has stored its settings"
        plan_with(process(postgres))
        assert wait_until(lambda: queue.handlers)
        plan_with(process(postgres, from_name="Other"))
        assert wait_until(lambda: not queue.handlers)
        with postgres.read() as tx:
            assert [one.differs for one in leases.workers(tx)] == ["NEWSLETTER_FROM_NAME"]
        plan_with(process(postgres))
        assert wait_until(lambda: queue.handlers)
    with postgres.read() as tx:
        assert leases.workers(tx) == []


def test_a_task_that_comes_with_the_change_is_not_begun(postgres: Store) -> None:
    queue = Queue()
    plan_with(process(postgres))
    with run_worker(process(postgres, queue), "w1", no_progress):
        [handle] = queue.handlers
        plan_with(process(postgres, from_name="Other"))
        with pytest.raises(Stopped):
            handle(TASK)


def test_a_run_ends_where_another_planner_replaced_its_settings(postgres: Store) -> None:
    app = process(postgres)
    become_planner(app)
    with (
        pytest.raises(OperatorError, match="NEWSLETTER_FROM_NAME"),
        run_worker(app, "run-1", no_progress, must_agree=True),
    ):
        plan_with(process(postgres, from_name="Other"))
        assert app.stop.wait(240)


def test_a_run_beside_a_living_service_with_other_settings_is_refused(postgres: Store) -> None:
    service = process(postgres)
    plan_with(service)
    now = service.clock()
    election = LeaderElection(postgres, lambda: now, owner="afar/7/b")
    assert election.is_leader()
    become_planner(process(postgres))
    with pytest.raises(OperatorError, match="NEWSLETTER_FROM_NAME"):
        become_planner(process(postgres, from_name="Other"))
    now -= timedelta(minutes=2)
    assert election.renew()
    become_planner(process(postgres, from_name="Other"))  # The service is silent.
    with postgres.read() as tx:
        assert leases.holder(tx, DAILY_RUN_LEASE)
