"""A run by hand beside a service at work, in one second and after a sleep: one issue, one mail."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
from collections import Counter
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.announcements import announcement, following, newest
from newsletter.store import write_queue
from tests.acceptance.test_two_services import Deployment, wait_for
from tests.fakes.arxiv import FakeArxiv, line, row
from tests.fakes.sendgrid import FakeSendGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.arxiv import Reply, Request

READERS = 16
RUN = ("run", "--rubric", "one", "--json")


@pytest.fixture
def deployment(tmp_path: Path, store_url: str) -> Iterator[Deployment]:
    rows = []
    day = newest(datetime.now(UTC))
    for one in (day, following(day)):
        window = announcement(one)
        for number in range(4):
            at = window.start + (window.end - window.start) * (number + 1) / 5
            rows.append(row(f"{one:%y%m}.{one:%d}{number:03d}", at, ["cs.LG"]))
    with ExitStack() as stack:
        feed = [line(each) for each in rows[:4]]
        arxiv = stack.enter_context(FakeArxiv(rows, feed=lambda _names: feed))
        sendgrid = stack.enter_context(FakeSendGrid(delay=0.2))
        made = Deployment(tmp_path, store_url, arxiv, sendgrid)
        stack.callback(made.store.close)
        stack.callback(made.kill_all)
        for number in range(READERS):
            made.add_reader(f"reader{number}", "one")
        yield made


def all_are_sent(deployment: Deployment) -> None:
    states = deployment.states()
    assert (len(states), set(states.values())) == (READERS, {"accepted"})
    assert Counter(Counter(deployment.sendgrid.addresses).values()) == {1: READERS}
    assert deployment.digests_made() == [("one", 1)]
    again = deployment.installation.newsletter(*RUN)
    [issue] = json.loads(again.out)["issues"]
    assert (again.status, issue["sent"], issue["already"]) == (0, 0, READERS)
    assert len(deployment.sendgrid.messages) == READERS


def test_09_a_run_by_hand_in_the_second_a_service_starts(deployment: Deployment):
    service = deployment.start()
    with deployment.installation.begin(*RUN) as run:
        _, said = run.communicate(timeout=300)
    assert run.returncode == 0, said
    wait_for(lambda: set(deployment.states().values()) == {"accepted"})
    wait_for(lambda: service in deployment.live_processes())
    all_are_sent(deployment)
    assert deployment.end(service) == 0, deployment.log()


def test_09_a_service_that_slept_finds_what_a_run_sent_meanwhile(deployment: Deployment):
    asked, answered = threading.Event(), threading.Event()

    def hold(_request: Request, reply: Reply) -> Reply:
        asked.set()
        answered.wait(240)
        return reply

    deployment.arxiv.fail(hold)
    service = deployment.start()
    assert asked.wait(240)
    assert deployment.leader() == service
    wait_for(lambda: suspended_between_writes(deployment, service))
    answered.set()
    with deployment.installation.begin(*RUN) as run:
        _, said = run.communicate(timeout=300)
    deployment.services[service].send_signal(signal.SIGCONT)
    assert run.returncode == 0, said
    wait_for(lambda: set(deployment.states().values()) == {"accepted"})
    all_are_sent(deployment)
    assert deployment.end(service) == 0, deployment.log()


def suspended_between_writes(deployment: Deployment, service: int) -> bool:
    """Suspend the service; wake it again if it holds the write lock, which a run waits for."""
    deployment.services[service].send_signal(signal.SIGSTOP)
    wait_for(lambda: is_suspended(service))
    if not deployment.store.is_sqlite:
        return True
    try:
        with write_queue.next_writer(f"{deployment.store.file}.turn", timeout=0):
            connection = sqlite3.connect(str(deployment.store.file), timeout=0)
            with closing(connection):
                connection.execute("BEGIN IMMEDIATE")
    except (OSError, sqlite3.OperationalError):
        deployment.services[service].send_signal(signal.SIGCONT)
        return False
    return True


def is_suspended(process: int) -> bool:
    """Whether each thread has stopped: a signal takes effect some time after it was sent."""
    threads = Path(f"/proc/{process}/task").iterdir()
    return all((one / "stat").read_text().rpartition(") ")[2].startswith("T") for one in threads)
