"""Workers, open tasks and a standstill, read from DBOS's own tables, and where they are shown."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from newsletter.domain.alerts import AlertKind, Incident, ServiceState
from newsletter.domain.task_queue import standstill
from newsletter.domain.tasks import Task, TaskKind
from newsletter.jobs.dbos_engine import DbosEngine
from newsletter.operations.alert_rules import find_alerts
from newsletter.operations.alerting import thresholds
from newsletter.settings import Settings
from newsletter.store import Store, leases
from newsletter.store.reports import monitoring
from newsletter.store.tables import life
from newsletter.store.task_queue import read_queue
from newsletter.web.metrics import show
from tests.fakes.database import own_database
from tests.fakes.installation import Installation
from tests.fakes.pages import Clock, make_site
from tests.fakes.prometheus import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
W2 = "afar/7/b/w2"
HOLD = """
UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = :owner,
created_at = :at, updated_at = :at WHERE workflow_uuid LIKE 'score of%'
"""
MOVE = "UPDATE dbos.workflow_status SET updated_at = :at WHERE workflow_uuid LIKE 'mail of%'"


def now() -> datetime:
    return datetime.now(UTC)


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@pytest.fixture(scope="module")
def stuck() -> Iterator[Store]:
    """Three scoring tasks are held by w2, silent for eight minutes; a mail task is queued."""
    if not POSTGRES:
        pytest.skip("the engine needs PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL")
    with own_database(POSTGRES) as url:
        store = Store(url)
        store.migrate()
        engine = DbosEngine(store, now)
        day, at = now().date(), now() - timedelta(minutes=6)
        for n in range(3):
            engine._enqueue(Task(TaskKind.SCORE, day, (f"r{n}",)))
        engine._enqueue(Task(TaskKind.MAIL, day, ("7", "0")))
        with store.begin() as tx:
            tx.execute(text(HOLD), {"owner": W2, "at": milliseconds(at)})
            tx.execute(text(MOVE), {"at": milliseconds(at)})
            leases.heartbeat(tx, W2, "worker", now() - timedelta(minutes=8))
        yield store
        store.close()


def test_a_standstill_is_read_and_told(stuck: Store) -> None:
    with stuck.read() as tx:
        queue = read_queue(tx, now())
        found = find_alerts(
            monitoring.read_mail_state(tx, now()), thresholds(Settings(_env_file=None))
        )
    [w2] = queue.workers
    assert (w2.name, w2.host, w2.state, w2.holds) == ("w2", "afar", "silent", 3)
    assert [(one.kind, one.number, one.holder) for one in queue.tasks] == [
        ("score", 3, "w2"),
        ("mail", 1, ""),
    ]
    said = standstill(queue, now())
    assert "3 scoring tasks held by w2, silent since" in said
    assert "1 mail task queued, and no worker is alive" in said
    [alert] = [one for one in found if one.kind is AlertKind.STANDSTILL]
    assert alert.what.lower() == f"{said}.".lower()


def test_status_shows_workers_and_tasks_and_advises_no_second_run(
    stuck: Store, tmp_path: Path
) -> None:
    url = stuck.url.render_as_string(hide_password=False)
    made = Installation(tmp_path, NEWSLETTER_DATABASE_URL=url, NEWSLETTER_ENGINE="dbos")
    facts = json.loads(made.newsletter("status", "--json").out)
    assert facts["run_in_progress"]
    assert [(one["name"], one["state"], one["holds"]) for one in facts["workers"]] == [
        ("w2", "silent", 3)
    ]
    assert [(one["kind"], one["held_by"]) for one in facts["open_tasks"]] == [
        ("score", "w2"),
        ("mail", ""),
    ]
    shown = made.newsletter("status").out
    assert "No progress for 5 minutes" in " ".join(shown.split())
    assert "w2" in shown
    assert "No digests yet: a run is in progress" in shown


def test_metrics_count_workers_and_tasks(stuck: Store) -> None:
    site = make_site(stuck, clock=Clock(now()))
    found = parse(bytes(show(site, None).body).decode())  # type: ignore[arg-type]
    assert found['newsletter_workers{state="silent"}'] == 1
    assert found['newsletter_workers{state="alive"}'] == 0
    assert found['newsletter_open_tasks{kind="score"}'] == 3
    assert found["newsletter_oldest_task_age_seconds"] >= 360
    assert found["newsletter_standstill"] == 1


def test_what_moves_is_no_standstill(stuck: Store) -> None:
    """A task that was handed out, or a worker that came; then the old life is not shown."""
    with stuck.begin() as tx:
        tx.execute(text(MOVE), {"at": milliseconds(now())})
        leases.heartbeat(tx, "afar/8/c/w2", "worker", now())
        queue = read_queue(tx, now())
        assert standstill(queue, now()) == ""
        assert monitoring.read_mail_state(tx, now()).running
        tx.execute(text("DELETE FROM dbos.workflow_status"))
        assert [one.state for one in read_queue(tx, now()).workers] == ["alive"]
        tx.execute(life.delete())


def test_advice_during_a_run_is_to_wait() -> None:
    overdue = Incident("one", now().date(), now() - timedelta(hours=2), 5)
    limits = thresholds(Settings(_env_file=None))
    state = ServiceState(now(), overdue_mail=(overdue,))
    [quiet] = find_alerts(state, limits)
    [running] = find_alerts(ServiceState(now(), overdue_mail=(overdue,), running=True), limits)
    assert quiet.key == running.key
    assert running.fix.startswith("A run is in progress: wait until it ends.")
    assert running.fix.endswith(quiet.fix)


def test_without_workers_nothing_is_shown(store: Store) -> None:
    with store.read() as tx:
        queue = read_queue(tx, now())
    assert (queue.workers, queue.tasks) == ((), ())
