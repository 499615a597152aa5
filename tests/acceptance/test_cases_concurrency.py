"""A run by hand beside a service at work, in one second and after a sleep: one issue, one mail."""

from __future__ import annotations

import json
import signal
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.announcements import announcement, following, newest
from tests.acceptance.test_two_services import Town, wait_for
from tests.fakes.arxiv import FakeArxiv, line, row
from tests.fakes.sendgrid import FakeSendGrid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READERS = 16
RUN = ("run", "--rubric", "one", "--json")


@pytest.fixture
def town(tmp_path: Path, store_url: str) -> Iterator[Town]:
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
        post = stack.enter_context(FakeSendGrid(delay=0.2))
        made = Town(tmp_path, store_url, arxiv, post)
        stack.callback(made.store.close)
        for number in range(READERS):
            made.join(f"reader{number}", "one")
        yield made
        for process in made.services.values():
            process.kill()
            process.wait()


RUN = ("run", "--rubric", "one", "--json")


def all_are_sent(town: Town) -> None:
    states = town.states()
    assert (len(states), set(states.values())) == (READERS, {"accepted"})
    assert Counter(Counter(town.post.addresses).values()) == {1: READERS}
    assert town.editions() == [("one", 1)]
    again = town.installation.newsletter(*RUN)
    [issue] = json.loads(again.out)["issues"]
    assert (again.status, issue["sent"], issue["already"]) == (0, 0, READERS)
    assert len(town.post.messages) == READERS


def test_09_a_run_by_hand_in_the_second_a_service_starts(town: Town):
    service = town.start()
    with town.installation.begin(*RUN) as run:
        _, said = run.communicate(timeout=120)
    assert run.returncode == 0, said
    wait_for(lambda: set(town.states().values()) == {"accepted"})
    wait_for(lambda: service in town.live_processes())
    all_are_sent(town)
    assert town.end(service) == 0, town.log()


def test_09_a_service_that_slept_finds_what_a_run_sent_meanwhile(town: Town):
    service = town.start()
    wait_for(lambda: town.leader() == service)
    town.services[service].send_signal(signal.SIGSTOP)
    with town.installation.begin(*RUN) as run:
        _, said = run.communicate(timeout=120)
    town.services[service].send_signal(signal.SIGCONT)
    # Where it fell asleep as the one writer of SQLite, the run says so and leaves all to it.
    assert run.returncode == 0 or "no write lock" in said, said
    wait_for(lambda: set(town.states().values()) == {"accepted"})
    all_are_sent(town)
    assert town.end(service) == 0, town.log()
