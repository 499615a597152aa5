"""Who was asleep while its work was taken over wakes up and changes nothing."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from newsletter.deliver import deliver
from newsletter.desk import Desk
from newsletter.mailers.sendgrid import SendGrid
from newsletter.people import DeliveryState
from newsletter.scorers import Request, ScorerError
from newsletter.store import Store, claims, ledger
from newsletter.store.papers import keep
from newsletter.store.tables import delivery, score, unit
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.database import own_database
from tests.fakes.mail import Town, settings, written
from tests.fakes.scoring import DAY, DOLLAR, RUBRIC, claude, honest, papers
from tests.fakes.sendgrid import FakeSendGrid
from tests.fakes.workers import Nursery, Order, all_digests, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from newsletter.people import Delivery, Email

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
READERS, RUBRICS, PAPERS = 24, 3, 16


def test_after_its_lease_no_request_leaves(store: Store) -> None:
    """The operator was told meanwhile, and said to send it again."""
    town = Town(store)
    town.settle(1)
    town.announce()

    def asleep(given: Delivery) -> Email:
        town.clock.sleep(11 * 60)
        with store.begin() as tx:
            assert claims.expire(tx, town.clock.now(), lambda _owner: False) == 1
            assert claims.resolve(tx, given.id, town.clock.now(), sent=False)
        return written(given)

    with FakeSendGrid() as fake:
        mailer = SendGrid(settings(sendgrid_api_key="SG.x", sendgrid_url=fake.url))
        clock, told = town.clock, {"stop": lambda: bool(town.clock.naps)}
        deliver(store, mailer, town.digest_id, asleep, clock=clock.now, sleep=clock.sleep, **told)
        assert fake.requests == []
        assert list(town.states().values()) == [DeliveryState.PENDING]
        town.send(mailer)
        assert len(fake.addresses) == 1


def test_after_its_lease_no_call_leaves_and_none_is_paid(store: Store) -> None:
    now = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
    late = now + timedelta(minutes=11)
    given = papers(4)
    with FakeAnthropic(honest) as fake:
        scorer = claude(fake)
        with store.begin() as tx:
            keep(tx, given)
        call = scorer.call(Request(RUBRIC, tuple(given)), now)
        budget = ledger.Budget(10 * DOLLAR)
        call_id = Desk(store, scorer, RUBRIC, DAY, budget, lambda: now).reserve(call)
        woken = Desk(store, scorer, RUBRIC, DAY, budget, lambda: late)
        with pytest.raises(ScorerError, match="lease ended"):
            woken.ask(call, call_id, trusting=True)
        assert fake.requests == []
        assert woken.left() == 10 * DOLLAR


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@contextmanager
def bedside(nursery: Nursery, folder: Path) -> Iterator[Bedside]:
    if not POSTGRES:
        pytest.skip("needs PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL")
    with (
        own_database(POSTGRES) as url,
        FakeSendGrid(delay=0.3) as mail,
        FakeAnthropic(honest, latency=0.8) as model,
    ):
        told = {"papers": PAPERS, "threads": 2, "lease": 5.0}
        plan = Order("plan", url, str(folder), mail.url, model.url, **told)
        settle(plan, rubrics=RUBRICS, readers=READERS)
        store = Store(url)
        try:
            yield Bedside(nursery, plan, store, mail, model)
        finally:
            store.close()


def test_a_sleeping_sender_is_overtaken_and_wakes_to_nothing(nursery: Nursery, tmp_path: Path):
    """Both hold lanes of one digest; the one that is put to sleep has mails under way."""
    with bedside(nursery, tmp_path) as house:
        assert house.overtaken("mail", lambda: len(house.mail.requests) >= READERS // 4)
        # What it had under way came to its end: the answer after the lease is still proof.
        assert set(house.mails().values()) == {"accepted"}


def test_a_sleeping_reader_is_overtaken_and_wakes_to_nothing(nursery: Nursery, tmp_path: Path):
    """It sleeps between a call and its answer, which is paid and comes when others have asked."""
    with bedside(nursery, tmp_path) as house:
        assert house.overtaken("score", lambda: len(house.model.requests) > 0)
        assert set(house.mails().values()) == {"accepted"}


@dataclass
class Bedside:
    """A morning with one worker, who is put to sleep in the middle of a unit, and an heir."""

    nursery: Nursery
    plan: Order
    store: Store
    mail: FakeSendGrid
    model: FakeAnthropic

    def overtaken(self, kind: str, at_work: Callable[[], bool]) -> bool:
        """Whether its unit is another's when it wakes, and stays so. All is checked but that."""
        # Only the sleeper is there at first, on another machine as far as anyone can tell.
        sleeper = self.nursery.begin(replace(self.plan, role="work", name="z", host="asleep"))
        planner = self.nursery.begin(self.plan)
        until(at_work)
        os.kill(sleeper, signal.SIGSTOP)
        asleep = self.held(kind)
        heir = self.nursery.begin(replace(self.plan, role="work", name="heir"))
        until(lambda: self.nursery.status(planner) == 0)
        over, digests = self.units(), all_digests(self.store)
        os.kill(sleeper, signal.SIGCONT)
        for pid in (sleeper, heir):
            os.kill(pid, signal.SIGTERM)
            until(lambda pid=pid: self.nursery.status(pid) == 0)
        assert set(Counter(self.mail.addresses).values()) == {1}
        assert len(self.mail.addresses) == len(self.mails()) == READERS
        assert self.wrong_scores() == []
        assert (self.units(), all_digests(self.store)) == (over, digests)
        return bool(asleep) and all(over[one] == (2, "done") for one in asleep)

    def held(self, kind: str) -> list[str]:
        """The units of a kind that somebody works on."""
        with self.store.read() as tx:
            taken = select(unit.c.id).where(unit.c.kind == kind, unit.c.owner != "")
            return list(tx.scalars(taken))

    def units(self) -> dict[str, tuple[int, str]]:
        with self.store.read() as tx:
            rows = tx.execute(select(unit.c.id, unit.c.gen, unit.c.state))
            return {row.id: (row.gen, row.state) for row in rows}

    def mails(self) -> dict[str, str]:
        with self.store.read() as tx:
            return {row.email: row.state for row in tx.execute(select(delivery))}

    def wrong_scores(self) -> list[object]:
        """Scores that are not those of their papers; all papers, where a score is not there."""
        wanted = {one.id: honest(one.title, one.abstract) for one in papers(PAPERS)}
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
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    pytest.fail("it did not come to pass")
