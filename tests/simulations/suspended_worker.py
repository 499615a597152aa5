"""A morning with one worker, who is put to sleep in the middle of a unit, and an heir."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import select

from newsletter.store import Store
from newsletter.store.tables import delivery, score
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.database import own_database
from tests.fakes.pace import hold_after
from tests.fakes.scoring import papers, scores_in_abstract
from tests.fakes.sendgrid import FakeSendGrid
from tests.simulations.workers import Order, WorkerForkServer, all_digests, all_tasks, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

READERS, RUBRICS, PAPERS = 24, 3, 16
PATIENCE = 500


@contextmanager
def suspended_worker(
    server: WorkerForkServer, postgres: str, folder: Path, kind: str, lease: float = 5.0
) -> Iterator[SuspendedWorker]:
    """`kind` says of which tasks the worker holds one when it is suspended: score or mail."""
    with (
        own_database(postgres) as url,
        FakeSendGrid(delay=0.3) as mail,
        FakeAnthropic(scores_in_abstract, latency=0.8) as model,
    ):
        told = {"papers": PAPERS, "threads": 2, "lease": lease}
        plan = Order("plan", url, str(folder), mail.url, model.url, **told)
        settle(plan, rubrics=RUBRICS, readers=READERS)
        store = Store(url)
        made = SuspendedWorker(server, plan, store, mail, model, kind)
        made.provider.wait_for_turn = made.pace.wait_for_turn
        try:
            yield made
        finally:
            store.close()


@dataclass
class SuspendedWorker:
    """`slept` are the seconds from the SIGSTOP to the SIGCONT.

    The stand-in holds all calls or mails back until `go_on`: until then the worker is at work, on a
    machine of any speed.
    """

    server: WorkerForkServer
    plan: Order
    store: Store
    mail: FakeSendGrid
    model: FakeAnthropic
    kind: str
    slept: float = 0.0

    def __post_init__(self) -> None:
        self.provider = self.model if self.kind == "score" else self.mail
        self.pace = hold_after(0)

    def is_at_work(self) -> bool:
        """Whether a call is held back, or as many mails as the worker sends at once."""
        at_once = 1 if self.kind == "score" else self.plan.threads * RUBRICS
        return len(self.provider.requests) >= at_once

    def go_on(self) -> None:
        """Let out what is held back."""
        self.pace.count(1)

    def overtaken(self) -> bool:
        """Whether its task is another's when it wakes, and stays so. All is checked but that."""
        # Only the sleeper is there at first, on another machine as far as anyone can tell.
        sleeper = self.server.begin(replace(self.plan, role="work", name="z", host="asleep"))
        planner = self.server.begin(self.plan)
        until(self.is_at_work)
        os.kill(sleeper, signal.SIGSTOP)
        began = time.monotonic()
        asleep = self.held(self.kind)
        self.go_on()
        heir = self.server.begin(replace(self.plan, role="work", name="heir"))
        until(lambda: self.server.status(planner) == 0)
        over, digests = all_tasks(self.store), all_digests(self.store)
        os.kill(sleeper, signal.SIGCONT)
        self.slept = time.monotonic() - began
        for pid in (sleeper, heir):
            os.kill(pid, signal.SIGTERM)
            until(lambda pid=pid: self.server.status(pid) == 0)
        assert set(Counter(self.mail.addresses).values()) == {1}
        assert len(self.mail.addresses) == len(self.mails()) == READERS
        assert self.wrong_scores() == []
        assert (all_tasks(self.store), all_digests(self.store)) == (over, digests)
        return bool(asleep) and all(
            over[one][0] == "SUCCESS" and over[one][1] != sleeper_id
            for one, sleeper_id in asleep.items()
        )

    def held(self, kind: str) -> dict[str, str]:
        """The tasks of a kind that a worker runs, and that worker."""
        return {
            name: worker
            for name, (status, worker) in all_tasks(self.store).items()
            if status == "PENDING" and name.startswith(kind)
        }

    def mails(self) -> dict[str, str]:
        with self.store.read() as tx:
            return {row.email: row.state for row in tx.execute(select(delivery))}

    def wrong_scores(self) -> list[object]:
        """Scores that are not those of their papers; all papers, where a score is not there."""
        wanted = {one.id: scores_in_abstract(one.title, one.abstract) for one in papers(PAPERS)}
        with self.store.read() as tx:
            found = tx.execute(select(score)).all()
        if len(found) != RUBRICS * PAPERS:
            return sorted(wanted)
        return [
            one.paper_id
            for one in found
            if (one.relevance, one.novelty)
            != (wanted[one.paper_id]["r"], wanted[one.paper_id]["n"])
        ]


def until(true: Callable[[], bool]) -> None:
    late = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < late, "it did not come to pass"
        time.sleep(0.1)
