"""Whose worker is gone is placed again, and nobody else's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter import process
from newsletter.errors import OperatorError
from newsletter.jobs import reaper
from newsletter.jobs.reaper import ROLE, HeartbeatConfig
from newsletter.store import leases, tasks
from newsletter.store.tasks import OpenTask, Task, TaskAttempt, TaskKind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from newsletter.store import Store

NOW = datetime(2025, 11, 18, 6, 0, tzinfo=UTC)
RHYTHM = HeartbeatConfig()
HERE = f"{process.process_id()}/w1"
ELSEWHERE = "another-machine/77/abc/w2"


def one(owner: str = "", minutes: float = 0.0, name: str = "u") -> OpenTask:
    touched = NOW - timedelta(minutes=minutes)
    return OpenTask(TaskAttempt(name, 1, TaskKind.MAIL), owner, touched)


def known(_some: Sequence[TaskAttempt]) -> Collection[str]:
    return ["u"]


def unknown(_some: Sequence[TaskAttempt]) -> Collection[str]:
    return []


def drifts(found: OpenTask, waiting=unknown) -> bool:
    return bool(reaper.stalled([found], [HERE], waiting, NOW - RHYTHM.unclaimed_after))


def test_what_a_living_worker_holds_is_left_to_it_however_long_it_takes() -> None:
    assert not drifts(one(HERE, minutes=600))


def test_what_a_silent_worker_holds_is_adrift_at_once() -> None:
    assert drifts(one(ELSEWHERE), known)


def test_what_nobody_took_is_adrift_when_the_engine_has_lost_it() -> None:
    assert not drifts(one(minutes=0.9))
    assert drifts(one(minutes=1.1))
    assert not drifts(one(minutes=600), known)


def beat(store: Store, owner: str, seconds_ago: float = 0.0, role: str = ROLE) -> None:
    with store.begin() as tx:
        leases.heartbeat(tx, owner, role, NOW - timedelta(seconds=seconds_ago))


def alive(store: Store) -> set[str]:
    with store.read() as tx:
        return reaper.live_workers_of(tx, NOW, RHYTHM)


def test_alive_is_who_said_so_within_a_minute(store: Store) -> None:
    beat(store, HERE, 50)
    beat(store, ELSEWHERE, 70)
    assert alive(store) == {HERE}
    beat(store, ELSEWHERE, 50)
    assert alive(store) == {HERE, ELSEWHERE}


def test_a_killed_process_of_this_machine_is_dead_at_once(store: Store) -> None:
    host = HERE.partition("/")[0]
    beat(store, f"{host}/999999999/abc/w1")
    assert alive(store) == set()


def test_other_processes_are_no_workers(store: Store) -> None:
    beat(store, ELSEWHERE, role="serve")
    assert alive(store) == set()


def test_a_worker_name_is_taken_while_its_process_is_alive(store: Store) -> None:
    beat(store, ELSEWHERE)
    with (
        store.begin() as tx,
        pytest.raises(OperatorError, match="w2 is alive already; choose another"),
    ):
        reaper.register_worker(tx, "third-machine/5/def/w2", NOW, RHYTHM)
    with store.begin() as tx:
        reaper.register_worker(tx, "third-machine/5/def/w3", NOW, RHYTHM)


def test_a_dead_ones_name_is_free_and_its_work_adrift(store: Store) -> None:
    beat(store, ELSEWHERE, 70)
    heir = "third-machine/5/def/w2"
    with store.begin() as tx:
        reaper.register_worker(tx, heir, NOW, RHYTHM)
    assert alive(store) == {heir}


def test_a_sweep_places_each_lost_unit_once(store: Store) -> None:
    placed: list[TaskAttempt] = []

    def sweep() -> int:
        return reaper.reap(
            store, lambda _some, _living: [], lambda _tx, more: placed.extend(more), NOW, RHYTHM
        )

    wanted = [Task(TaskKind.MAIL, date(2025, 11, 18), ("7", str(lane))) for lane in range(3)]
    with store.begin() as tx:
        ids, _ = tasks.plan(tx, wanted, NOW)
        tasks.claim(tx, ids[0], 1, HERE, NOW)
        tasks.claim(tx, ids[1], 1, ELSEWHERE, NOW)
    beat(store, HERE)
    assert sweep() == 1
    assert placed == [TaskAttempt(ids[1], 2, TaskKind.MAIL)]
    assert sweep() == 0
