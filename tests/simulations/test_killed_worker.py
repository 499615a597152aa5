"""A worker of another machine is killed: the others go on when its heartbeat stops.

Its calls and mails have leases of ten minutes, which nobody waits for.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.jobs.reaper import HeartbeatConfig
from tests.simulations.suspended_worker import (
    READERS,
    RUBRICS,
    SuspendedWorker,
    suspended_worker,
    until,
)
from tests.simulations.workers import RHYTHM, WorkerForkServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
LEASE = 600.0
TWO_MINUTES = timedelta(minutes=2)

needs_postgres = pytest.mark.skipif(
    not POSTGRES, reason="needs PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL"
)


@pytest.fixture(scope="module")
def server() -> Iterator[WorkerForkServer]:
    made = WorkerForkServer()
    yield made
    made.close()


def kill_at_work(suspended: SuspendedWorker) -> float:
    """Seconds from the kill to the end of the daily run, which another worker ends."""
    victim = suspended.server.begin(
        replace(suspended.plan, role="work", name="w1", host="elsewhere")
    )
    planner = suspended.server.begin(suspended.plan)
    until(suspended.is_at_work)
    suspended.server.kill(victim)
    suspended.go_on()
    killed = time.monotonic()
    other = suspended.server.begin(replace(suspended.plan, role="work", name="w2"))
    until(lambda: suspended.server.status(planner) == 0)
    seconds = time.monotonic() - killed
    suspended.server.kill(other)
    assert suspended.wrong_scores() == []
    assert set(suspended.mails().values()) <= {"accepted", "unknown"}
    assert len(suspended.mail.addresses) == len(set(suspended.mail.addresses))
    return seconds


@needs_postgres
def test_nobody_waits_for_the_lease_of_a_call(server: WorkerForkServer, tmp_path: Path) -> None:
    with suspended_worker(server, POSTGRES, tmp_path, "score", LEASE) as suspended:
        assert kill_at_work(suspended) < LEASE
        assert len(suspended.mail.addresses) == READERS


@needs_postgres
def test_nobody_waits_for_the_lease_of_a_mail(server: WorkerForkServer, tmp_path: Path) -> None:
    with suspended_worker(server, POSTGRES, tmp_path, "mail", LEASE) as suspended:
        assert kill_at_work(suspended) < LEASE
        in_doubt = [email for email, state in suspended.mails().items() if state == "unknown"]
        assert len(in_doubt) <= suspended.plan.threads * RUBRICS


def test_the_products_own_heartbeats_keep_within_two_minutes() -> None:
    """The simulations are quicker by a factor; here is the sum of all waits that it has."""
    own = HeartbeatConfig()
    waits = own.heartbeat_interval + own.silent_after + own.reap_interval + own.heartbeat_interval
    assert waits <= TWO_MINUTES - timedelta(seconds=30)
    assert RHYTHM.silent_after < own.silent_after
