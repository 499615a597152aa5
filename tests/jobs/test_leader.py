"""One of several processes leads; a dead or hung one is followed at once or after a minute."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta

import pytest

from newsletter import process
from newsletter.jobs.leader import DAILY_RUN_LEASE, LEASE_SECONDS, RENEW_SECONDS, LeaderElection
from newsletter.jobs.scheduler_watchdog import HEARTBEAT_TIMEOUT, JOB_TIMEOUT, SchedulerWatchdog
from newsletter.store import leases

NOW = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)


class Times:
    """A wall clock that may be set, and one that only goes on."""

    def __init__(self) -> None:
        self.wall = NOW
        self.steady = 1000.0

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds


@pytest.fixture
def times():
    return Times()


@pytest.fixture
def leader(store, times):
    def made(owner: str) -> LeaderElection:
        return LeaderElection(
            store, lambda: times.wall, owner=owner, monotonic=lambda: times.steady
        )

    return made


def test_the_second_waits_while_the_first_renews(leader, times):
    first, second = leader("elsewhere/1/a"), leader("afar/1/b")
    assert first.is_leader()
    for _ in range(20):
        times.pass_by(RENEW_SECONDS)
        assert first.is_leader()
        assert not second.is_leader()


def test_a_silent_leader_is_followed_after_a_minute_by_the_steady_clock(leader, times):
    first, second = leader("elsewhere/1/a"), leader("afar/1/b")
    assert first.is_leader()
    assert not second.is_leader()
    times.pass_by(LEASE_SECONDS - 1)
    assert not second.is_leader()
    times.pass_by(1)
    assert second.is_leader()
    # The first wakes up, finds out at its next step, and stands back.
    assert not first.is_leader()
    assert second.is_leader()


@pytest.mark.parametrize("jump", [timedelta(days=1), -timedelta(hours=2)])
def test_a_wall_clock_that_jumps_makes_no_second_leader(leader, times, jump):
    first, second = leader("elsewhere/1/a"), leader("afar/1/b")
    assert first.is_leader()
    assert not second.is_leader()
    times.wall += jump
    assert not second.is_leader()
    times.pass_by(RENEW_SECONDS)
    assert first.is_leader()
    assert not second.is_leader()


def test_a_leader_that_died_on_this_machine_is_followed_at_once(leader):
    dead = os.fork()
    if not dead:
        os._exit(0)
    os.waitpid(dead, 0)
    assert leader(f"{socket.gethostname()[:64]}/{dead}/mark").is_leader()
    assert leader(process.process_id()).is_leader()


def test_one_that_ends_in_order_leaves_the_lease_and_no_life(leader, store):
    first, second = leader("elsewhere/1/a"), leader("afar/1/b")
    assert first.is_leader()
    assert not second.is_leader()
    first.step_down()
    assert second.is_leader()
    with store.read() as tx:
        assert [life.owner for life in leases.workers(tx)] == ["afar/1/b"]
        assert leases.holder(tx, DAILY_RUN_LEASE).owner == "afar/1/b"


def test_a_stopped_heartbeat_is_reported_with_its_reason(times):
    watchdog = SchedulerWatchdog(monotonic=lambda: times.steady)
    watchdog.heartbeat()
    assert watchdog.problem() == ""
    times.pass_by(HEARTBEAT_TIMEOUT + 1)
    assert "has not woken for 3 minutes" in watchdog.problem()
    watchdog.heartbeat()
    assert watchdog.problem() == ""
    watchdog.ended.set()
    assert watchdog.problem() == "the scheduler has ended"


def test_a_job_that_hangs_is_told_and_one_that_gets_on_is_not(times):
    watchdog = SchedulerWatchdog(monotonic=lambda: times.steady)
    with watchdog.job("make"):
        for _ in range(5):
            times.pass_by(JOB_TIMEOUT - 1)
            watchdog.heartbeat()
            watchdog.progress("make")
        assert watchdog.problem() == ""
        times.pass_by(JOB_TIMEOUT + 1)
        watchdog.heartbeat()
        assert "'make' made no progress for 12 hours" in watchdog.problem()
        assert not watchdog.wait_idle(0)
    assert watchdog.problem() == ""
    assert watchdog.wait_idle(0)


def test_a_process_that_may_not_lead_leaves_the_lease_to_others(store, times):
    asked = []

    def refused(_tx, alone: object) -> bool:
        asked.append(alone)
        return False

    def election(owner: str, may_lead=None) -> LeaderElection:
        return LeaderElection(
            store,
            lambda: times.wall,
            owner=owner,
            monotonic=lambda: times.steady,
            may_lead=may_lead,
        )

    first, waiting = election("elsewhere/1/a"), election("afar/1/b", refused)
    assert not waiting.is_leader()
    assert asked == [True], "no other leads"
    for _ in range(3):
        assert first.renew()
        times.pass_by(RENEW_SECONDS)
        assert not waiting.renew()
    first.step_down()
    assert not waiting.is_leader()
    assert asked == [True, False], "another led since it started"
    assert election("elsewhere/1/c").is_leader()
