"""Real services over one PostgreSQL database, an arXiv and a SendGrid on loopback."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import func, select

from newsletter.domain.announcements import announcement, following, newest
from newsletter.domain.mail import Subscription
from newsletter.jobs.leader import DAILY_RUN_LEASE
from newsletter.store import Store, leases, subscriptions
from newsletter.store.tables import delivery, digest, subscriber
from tests.fakes.arxiv import FakeArxiv, line, row
from tests.fakes.database import own_database
from tests.fakes.installation import Installation, sendgrid_environment
from tests.fakes.sendgrid import FakeSendGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
RUBRIC = """---
title: {title}
categories: [{category}]
---

## Criteria

1. Anything
   - Relevant: all of it.
"""


class Deployment:
    """A database, an arXiv and a SendGrid, and the services that were started over them."""

    def __init__(
        self, folder: Path, database: str, arxiv: FakeArxiv, sendgrid: FakeSendGrid, **more: str
    ) -> None:
        self.arxiv, self.sendgrid = arxiv, sendgrid
        self.store = Store(database)
        self.store.migrate()
        self.services: dict[int, subprocess.Popen[str]] = {}
        self.installation = Installation(
            folder,
            NEWSLETTER_DATABASE_URL=database,
            NEWSLETTER_ARXIV_API_URL=arxiv.url,
            NEWSLETTER_ARXIV_RSS_URL=arxiv.rss_url,
            NEWSLETTER_SCORER="local",
            **sendgrid_environment(sendgrid.url),
            PYTHONPATH=str(ROOT),
            **more,
        )
        for title, category in (("one", "cs.LG"), ("two", "cs.CL")):
            text = RUBRIC.format(title=title, category=category)
            (self.installation.rubrics / f"{title}.md").write_text(text, encoding="utf-8")

    def add_reader(self, name: str, rubric: str) -> None:
        """Add a reader whose send time is the hour of the announcement."""
        now = datetime.now(UTC)
        hour = announcement(newest(now)).public_from.time()
        given = Subscription(uuid4().hex, f"{name}@example.org", rubric, send_at=hour)
        with self.store.begin() as tx:
            subscriptions.insert_new(tx, given, now - timedelta(days=20))

    def start(self, *words: str) -> int:
        """Start `serve`, or the command that the words name; return its process id."""
        with (self.installation.folder / "log").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.quick_serve", *(words or ("--no-web",))],
                cwd=self.installation.folder,
                env=self.installation.environment,
                stderr=log,
                text=True,
            )
        self.services[process.pid] = process
        return process.pid

    def leader(self) -> int:
        """The process that leads; 0 while there is none."""
        with self.store.read() as tx:
            found = leases.holder(tx, DAILY_RUN_LEASE)
        return int(found.owner.split("/")[1]) if found else 0

    def live_processes(self) -> set[int]:
        with self.store.read() as tx:
            return {int(one.owner.split("/")[1]) for one in leases.workers(tx)}

    def states(self) -> dict[str, str]:
        query = select(subscriber.c.email, delivery.c.state).select_from(delivery.join(subscriber))
        with self.store.read() as tx:
            return {email: str(state) for email, state in tx.execute(query)}

    def digests_made(self) -> list[tuple[str, int]]:
        query = select(digest.c.rubric, func.count()).group_by(digest.c.rubric)
        with self.store.read() as tx:
            return sorted((rubric, number) for rubric, number in tx.execute(query))

    def end(self, pid: int) -> int:
        self.services[pid].send_signal(signal.SIGTERM)
        return self.services[pid].wait(240)

    def kill_all(self) -> None:
        for process in self.services.values():
            process.kill()
            process.wait()

    def log(self) -> str:
        return (self.installation.folder / "log").read_text(encoding="utf-8")


def wait_for(what: Callable[[], object], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.05)


@contextmanager
def deployment_on(postgres: str, folder: Path, **more: str) -> Iterator[Deployment]:
    """A deployment whose arXiv announced eight papers, with a database of its own."""
    rows = []
    day = newest(datetime.now(UTC))
    # Should arXiv's hour come while the test runs, the next day has papers as well.
    for one in (day, following(day)):
        window = announcement(one)
        for number, category in enumerate(("cs.LG", "cs.CL") * 4):
            at = window.start + (window.end - window.start) * (number + 1) / 9
            rows.append(row(f"{one:%y%m}.{one:%d}{number:03d}", at, [category]))
    with ExitStack() as stack:
        database = stack.enter_context(own_database(postgres))
        feed = [line(each) for each in rows[:8]]
        arxiv = stack.enter_context(FakeArxiv(rows, feed=lambda _names: feed))
        sendgrid = stack.enter_context(FakeSendGrid(delay=0.5))
        made = Deployment(folder, database, arxiv, sendgrid, **more)
        stack.callback(made.store.close)
        stack.callback(made.kill_all)
        yield made
