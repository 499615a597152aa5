"""Workers are alive while they send heartbeats; what dead ones held is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from newsletter import process
from newsletter.domain.mail import DeliveryState
from newsletter.errors import OperatorError
from newsletter.jobs import reaper
from newsletter.jobs.reaper import ROLE, HeartbeatConfig
from newsletter.scorers import ScoringCall, ScoringRequest
from newsletter.store import claims, leases, ledger, tables
from tests.fakes.mail import DeliveryScenario
from tests.fakes.scoring import DAY, RUBRIC, papers

if TYPE_CHECKING:
    from newsletter.store import Store

NOW = datetime(2025, 11, 18, 6, 0, tzinfo=UTC)
RHYTHM = HeartbeatConfig()
HERE = f"{process.process_id()}/w1"
ELSEWHERE = "another-machine/77/abc/w2"


def beat(store: Store, owner: str, seconds_ago: float = 0.0, role: str = ROLE) -> None:
    with store.begin() as tx:
        leases.heartbeat(tx, owner, role, NOW - timedelta(seconds=seconds_ago))


def alive(store: Store) -> set[str]:
    with store.read() as tx:
        return reaper.live_workers(tx, NOW, RHYTHM)


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


def test_a_dead_workers_name_is_free_and_its_row_stays_to_show_that_it_is_silent(store: Store):
    beat(store, ELSEWHERE, 70)
    heir = "third-machine/5/def/w2"
    with store.begin() as tx:
        reaper.register_worker(tx, heir, NOW, RHYTHM)
        assert leases.dead_owner_test(tx, NOW)(ELSEWHERE)
    assert alive(store) == {heir}


def test_the_calls_and_mails_of_a_silent_worker_are_given_up_before_their_leases_end(store: Store):
    """Of another machine nothing but the heartbeat tells."""
    scenario = DeliveryScenario(store)
    scenario.add_readers(2)
    scenario.make_digest()
    afar, later = NOW + timedelta(days=1), NOW + timedelta(hours=1)
    asked = ScoringRequest(RUBRIC, tuple(papers(1)))
    with store.begin() as tx:
        for owner in (ELSEWHERE, "another-machine/78/def/w3"):
            claims.claim(tx, scenario.digest_id, f"{owner}/1", now=afar, until=later, limit=1)
            account = ledger.Account("r", owner, "claude", DAY, owner)
            call = ScoringCall(asked, "m", {}, 5, NOW)
            ledger.reserve(tx, account, call, ledger.Budget(100), later)
    beat(store, ELSEWHERE, 59)
    beat(store, "another-machine/78/def/w3", 61)
    with store.begin() as tx:
        reaper.mark_lost_work(tx, NOW, RHYTHM)
        states = {row.owner: row.state for row in tx.execute(select(tables.call))}
    assert states == {ELSEWHERE: "intent", "another-machine/78/def/w3": "lost"}
    assert sorted(scenario.states().values()) == [DeliveryState.SENDING, DeliveryState.UNKNOWN]


def test_a_process_without_heartbeat_is_judged_by_its_leases_alone(store: Store) -> None:
    """`newsletter run` sends none."""
    with store.read() as tx:
        assert not leases.dead_owner_test(tx, NOW)("another-machine/5/abc")
