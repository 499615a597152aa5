"""Two real services: on PostgreSQL one follows the other, on SQLite the second does not start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from newsletter.mailers.sendgrid.mailer import SendGridMailer
from tests.fakes.installation import Installation
from tests.fakes.pace import hold_after
from tests.fakes.services import RUBRIC, Deployment, deployment_on, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
READERS = 60


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    if not POSTGRES:
        pytest.skip("two services need PostgreSQL; name one in NEWSLETTER_TEST_DATABASE_URL")
    with deployment_on(POSTGRES, tmp_path) as made:
        yield made


def test_of_two_services_one_mails_and_the_other_follows_it_when_it_is_killed(
    deployment: Deployment,
):
    for number in range(READERS):
        deployment.add_reader(f"reader{number}", "one")
    held = hold_after(READERS // 4)
    deployment.sendgrid.wait_for_turn = held.wait_for_turn
    both = {deployment.start(), deployment.start()}
    wait_for(lambda: len(deployment.sendgrid.messages) == READERS // 4)
    wait_for(lambda: deployment.live_processes() == both)
    first = deployment.leader()
    os.kill(first, signal.SIGKILL)
    deployment.services[first].wait()
    assert len(deployment.sendgrid.messages) == READERS // 4
    held.count(1)

    # A rubric that nobody read so far: its edition is the other's to make.
    deployment.add_reader("late", "two")
    wait_for(lambda: "late@example.org" in deployment.sendgrid.addresses)
    [second] = both - {first}
    assert deployment.leader() == second
    wait_for(lambda: not {"pending", "sending"} & set(deployment.states().values()))
    assert deployment.end(second) == 0, deployment.log()

    assert deployment.digests_made() == [("one", 1), ("two", 1)]
    states, taken = deployment.states(), Counter(deployment.sendgrid.addresses)
    assert len(states) == READERS + 1
    assert set(states.values()) <= {"accepted", "unknown"}
    assert max(taken.values()) == 1
    doubtful = {email for email, state in states.items() if state == "unknown"}
    assert len(doubtful) <= SendGridMailer.max_concurrent
    assert taken.keys() | doubtful == states.keys()


def test_each_ends_in_order_in_the_middle_of_its_mail_and_leaves_nothing_in_hand(
    deployment: Deployment,
):
    for number in range(READERS):
        deployment.add_reader(f"reader{number}", "one")
    # The rest waits for the signal: it comes in the middle of the mail on a machine of any speed.
    held = hold_after(READERS // 4)
    deployment.sendgrid.wait_for_turn = held.wait_for_turn
    both = {deployment.start(), deployment.start()}
    wait_for(lambda: len(deployment.sendgrid.messages) == READERS // 4)
    wait_for(lambda: deployment.live_processes() == both)
    first = deployment.leader()
    deployment.services[first].send_signal(signal.SIGTERM)
    held.count(1)
    assert deployment.end(first) == 0, deployment.log()
    assert first not in deployment.live_processes()
    assert "unknown" not in deployment.states().values()
    [second] = both - {first}
    wait_for(lambda: set(deployment.states().values()) == {"accepted"})
    wait_for(lambda: deployment.leader() == second)
    assert deployment.end(second) == 0, deployment.log()
    assert deployment.live_processes() == set()
    assert Counter(Counter(deployment.sendgrid.addresses).values()) == {1: READERS}
    assert deployment.digests_made() == [("one", 1)]


def test_on_sqlite_the_second_is_told_why_it_does_not_start(tmp_path: Path):
    installation = Installation(tmp_path, NEWSLETTER_SOURCE="sample")
    (installation.rubrics / "one.md").write_text(RUBRIC.format(title="one", category="cs.LG"))
    command = [sys.executable, "-m", "newsletter", "serve", "--no-web"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=installation.environment, stderr=subprocess.PIPE, text=True
    ) as first:
        try:
            assert first.stderr
            assert any("schedule running" in said for said in first.stderr)
            second = installation.newsletter("serve", "--no-web")
            assert second.status == 1
            assert "another serve works on" in second.err
            assert "SQLite lets one process write" in second.err
            first.send_signal(signal.SIGTERM)
            assert first.wait(240) == 0
        finally:
            first.kill()
