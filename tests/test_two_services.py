"""Two real services: on PostgreSQL one follows the other, on SQLite the second does not start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from newsletter.announcements import announcement, following, newest
from newsletter.deliver import Limits
from newsletter.leading import MORNINGS
from newsletter.people import Subscriber
from newsletter.store import Store, leases, subscribers
from newsletter.store.tables import delivery, digest, subscriber
from tests.fakes.arxiv import FakeArxiv, line, row
from tests.fakes.database import own_database
from tests.fakes.sendgrid import FakeSendGrid
from tests.fakes.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
ROOT = Path(__file__).parents[1]
READERS = 40
RUBRIC = """---
title: {title}
categories: [{category}]
---

## Criteria

1. Anything
   - Relevant: all of it.
"""


class Town:
    """A database, an arXiv and a SendGrid, and the services that were started over them."""

    def __init__(self, folder: Path, database: str, arxiv: FakeArxiv, post: FakeSendGrid) -> None:
        self.post = post
        self.store = Store(database)
        self.store.migrate()
        self.services: dict[int, subprocess.Popen[str]] = {}
        self.world = World(
            folder,
            NEWSLETTER_DATABASE_URL=database,
            NEWSLETTER_ARXIV_API_URL=arxiv.url,
            NEWSLETTER_ARXIV_RSS_URL=arxiv.rss_url,
            NEWSLETTER_SCORER="local",
            NEWSLETTER_MAILER="sendgrid",
            SENDGRID_API_KEY="SG.two.services",
            NEWSLETTER_SENDGRID_URL=post.url,
            NEWSLETTER_FROM_EMAIL="digest@example.org",
            NEWSLETTER_POSTAL_ADDRESS="1 Sky Road",
            PYTHONPATH=str(ROOT),
        )
        for title, category in (("one", "cs.LG"), ("two", "cs.CL")):
            text = RUBRIC.format(title=title, category=category)
            (self.world.rubrics / f"{title}.md").write_text(text, encoding="utf-8")

    def join(self, name: str, rubric: str) -> None:
        """Somebody whose hour came when arXiv announced."""
        now = datetime.now(UTC)
        hour = announcement(newest(now)).public_from.time()
        given = Subscriber(uuid4().hex, f"{name}@example.org", rubric, send_at=hour)
        with self.store.begin() as tx:
            subscribers.save(tx, given, now - timedelta(days=20))

    def start(self) -> int:
        with (self.world.folder / "log").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.quick_serve", "--no-web"],
                cwd=self.world.folder,
                env=self.world.environment,
                stderr=log,
                text=True,
            )
        self.services[process.pid] = process
        return process.pid

    def leader(self) -> int:
        """The process that runs the mornings; 0 while there is none."""
        with self.store.read() as tx:
            found = leases.holder(tx, MORNINGS)
        return int(found.owner.split("/")[1]) if found else 0

    def lives(self) -> set[int]:
        with self.store.read() as tx:
            return {int(one.owner.split("/")[1]) for one in leases.lives(tx)}

    def states(self) -> dict[str, str]:
        query = select(subscriber.c.email, delivery.c.state).select_from(delivery.join(subscriber))
        with self.store.read() as tx:
            return {email: str(state) for email, state in tx.execute(query)}

    def editions(self) -> list[tuple[str, int]]:
        query = select(digest.c.rubric, func.count()).group_by(digest.c.rubric)
        with self.store.read() as tx:
            return sorted((rubric, number) for rubric, number in tx.execute(query))

    def end(self, pid: int) -> int:
        self.services[pid].send_signal(signal.SIGTERM)
        return self.services[pid].wait(60)

    def log(self) -> str:
        return (self.world.folder / "log").read_text(encoding="utf-8")


def wait_for(what: Callable[[], object], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.05)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    if not POSTGRES:
        pytest.skip("two services need PostgreSQL; name one in NEWSLETTER_TEST_DATABASE_URL")
    rows = []
    day = newest(datetime.now(UTC))
    # Should arXiv's hour come while the test runs, the next day has papers as well.
    for one in (day, following(day)):
        window = announcement(one)
        for number, category in enumerate(("cs.LG", "cs.CL") * 4):
            at = window.start + (window.end - window.start) * (number + 1) / 9
            rows.append(row(f"{one:%y%m}.{one:%d}{number:03d}", at, [category]))
    with ExitStack() as stack:
        database = stack.enter_context(own_database(POSTGRES))
        feed = [line(each) for each in rows[:8]]
        arxiv = stack.enter_context(FakeArxiv(rows, feed=lambda _names: feed))
        post = stack.enter_context(FakeSendGrid(delay=0.1))
        made = Town(tmp_path, database, arxiv, post)
        stack.callback(made.store.close)
        yield made
        for process in made.services.values():
            process.kill()
            process.wait()


def test_of_two_services_one_mails_and_the_other_follows_it_when_it_is_killed(town: Town):
    for number in range(READERS):
        town.join(f"reader{number}", "one")
    both = {town.start(), town.start()}
    wait_for(lambda: len(town.post.messages) > READERS // 4)
    wait_for(lambda: town.lives() == both)
    first = town.leader()
    os.kill(first, signal.SIGKILL)
    town.services[first].wait()
    in_doubt = len(town.post.messages)
    assert in_doubt < READERS, "it was killed too late for this test"

    # A rubric that nobody read so far: its edition is the other's to make.
    town.join("late", "two")
    wait_for(lambda: "late@example.org" in town.post.addresses, 120)
    [second] = both - {first}
    assert town.leader() == second
    wait_for(lambda: not {"pending", "sending"} & set(town.states().values()))
    assert town.end(second) == 0, town.log()

    assert town.editions() == [("one", 1), ("two", 1)]
    states, taken = town.states(), Counter(town.post.addresses)
    assert len(states) == READERS + 1
    assert set(states.values()) <= {"accepted", "unknown"}
    assert max(taken.values()) == 1
    doubtful = {email for email, state in states.items() if state == "unknown"}
    assert len(doubtful) <= Limits().threads
    assert taken.keys() | doubtful == states.keys()


def test_each_ends_in_order_in_the_middle_of_its_mail_and_leaves_nothing_in_hand(town: Town):
    for number in range(READERS):
        town.join(f"reader{number}", "one")
    both = {town.start(), town.start()}
    wait_for(lambda: len(town.post.messages) > 2)
    wait_for(lambda: town.lives() == both)
    first = town.leader()
    assert town.end(first) == 0, town.log()
    assert first not in town.lives()
    assert "unknown" not in town.states().values()
    [second] = both - {first}
    wait_for(lambda: set(town.states().values()) == {"accepted"})
    assert town.leader() == second
    assert town.end(second) == 0, town.log()
    assert town.lives() == set()
    assert Counter(Counter(town.post.addresses).values()) == {1: READERS}
    assert town.editions() == [("one", 1)]


def test_on_sqlite_the_second_is_told_why_it_does_not_start(tmp_path: Path):
    world = World(tmp_path, NEWSLETTER_SOURCE="sample")
    (world.rubrics / "one.md").write_text(RUBRIC.format(title="one", category="cs.LG"))
    command = [sys.executable, "-m", "newsletter", "serve", "--no-web"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=world.environment, stderr=subprocess.PIPE, text=True
    ) as first:
        try:
            assert first.stderr
            assert any("mornings run" in said for said in first.stderr)
            second = world.newsletter("serve", "--no-web")
            assert second.status == 1
            assert "another serve works on" in second.err
            assert "SQLite lets one process write" in second.err
            first.send_signal(signal.SIGTERM)
            assert first.wait(60) == 0
        finally:
            first.kill()
