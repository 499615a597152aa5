"""What the operator reads when open tasks make no progress."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from newsletter.domain.task_queue import OpenTasks, QueueState, WorkerStatus, standstill

NOW = datetime(2026, 3, 3, 7, 10, tzinfo=UTC)
OLD = NOW - timedelta(minutes=6)
SILENT = WorkerStatus("w2", "afar", NOW - timedelta(minutes=8), silent=True, holds=3)
ALIVE = WorkerStatus("w1", "here", NOW)
HELD = OpenTasks("score", 3, OLD, "w2")
STUCK = QueueState((SILENT,), (HELD,), progress=False)


def test_it_names_the_tasks_and_the_worker_that_holds_them() -> None:
    said = "no progress for 5 minutes: 3 scoring tasks held by w2, silent since 07:02"
    assert standstill(STUCK, NOW) == said


def test_it_says_that_no_worker_takes_what_is_queued() -> None:
    queued = replace(STUCK, tasks=(OpenTasks("mail", 1, OLD),))
    assert standstill(queued, NOW).endswith("1 mail task queued, and no worker is alive")
    differs = replace(queued, workers=(replace(ALIVE, differs="SENDGRID_API_KEY"),))
    assert standstill(differs, NOW).endswith("no worker is alive")
    assert standstill(replace(queued, workers=(ALIVE,)), NOW).endswith("1 mail task queued")


def test_a_live_worker_that_hangs_and_one_that_is_gone() -> None:
    hanging = replace(STUCK, workers=(replace(SILENT, silent=False),))
    assert standstill(hanging, NOW).endswith("held by w2, which is alive")
    assert standstill(replace(STUCK, workers=()), NOW).endswith("held by w2, which is gone")


def test_progress_young_tasks_and_none_are_no_standstill() -> None:
    young = (replace(HELD, since=NOW - timedelta(minutes=4)),)
    for state in (replace(STUCK, progress=True), replace(STUCK, tasks=young), QueueState()):
        assert standstill(state, NOW) == ""
