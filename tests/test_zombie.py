"""Who was asleep while its work was taken over wakes up and changes nothing."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from newsletter.deliver import deliver
from newsletter.desk import Desk
from newsletter.mailers.sendgrid import SendGrid
from newsletter.people import DeliveryState
from newsletter.scorers import Request, ScorerError
from newsletter.store import Store, claims, ledger
from newsletter.store.papers import keep
from newsletter.store.tables import delivery, unit
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.database import own_database
from tests.fakes.mail import Town, settings, written
from tests.fakes.scoring import DAY, DOLLAR, RUBRIC, claude, honest, papers
from tests.fakes.sendgrid import FakeSendGrid
from tests.fakes.workers import Nursery, Order, settle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from newsletter.people import Delivery, Email

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
READERS = 60


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


@pytest.mark.skipif(not POSTGRES, reason="needs PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL")
def test_a_sleeping_worker_is_overtaken_and_wakes_to_nothing(tmp_path: Path) -> None:
    """Both hold a lane of one digest; the one that is put to sleep has mails under way."""
    nursery = Nursery()
    with (
        own_database(POSTGRES) as url,
        FakeSendGrid(delay=0.4) as mail,
        FakeAnthropic(honest) as model,
    ):
        told = {"papers": 4, "threads": 2, "lease": 6.0}
        plan = Order("plan", url, str(tmp_path), mail.url, model.url, **told)
        settle(plan, rubrics=1, readers=READERS)
        store = Store(url)
        # Only the sleeper is there at first, on another machine as far as anyone can tell.
        work = Order("work", url, str(tmp_path), mail.url, model.url, **told)
        sleeper = nursery.begin(Order(**{**vars_of(work), "name": "z", "host": "asleep"}))
        planner = nursery.begin(plan)
        until(lambda: len(mail.requests) >= 10)
        os.kill(sleeper, signal.SIGSTOP)
        before = unit_row(store)
        heir = nursery.begin(Order(**{**vars_of(work), "name": "heir"}))
        until(lambda: nursery.status(planner) == 0)
        after = unit_row(store)
        os.kill(sleeper, signal.SIGCONT)
        time.sleep(3)
        assert (before.gen, before.state) == (1, "open")
        assert (after.gen, after.state) == (2, "done")
        assert unit_row(store) == after
        for pid in (sleeper, heir):
            os.kill(pid, signal.SIGTERM)
            until(lambda pid=pid: nursery.status(pid) == 0)
        with store.read() as tx:
            rows = {row.email: row.state for row in tx.execute(select(delivery))}
        store.close()
    nursery.close()
    taken = Counter(mail.addresses)
    assert set(taken.values()) == {1}
    assert len(taken) == len(rows) == READERS
    # What it had under way came to its end: the answer after the lease is still proof.
    assert set(rows.values()) == {"accepted"}


def vars_of(order: Order) -> dict[str, Any]:
    return {name: getattr(order, name) for name in Order.__dataclass_fields__}


def unit_row(store: Store) -> Any:
    with store.read() as tx:
        query = select(unit.c.gen, unit.c.state, unit.c.sent, unit.c.owner)
        return tx.execute(query.where(unit.c.kind == "mail")).one()


def until(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    pytest.fail("it did not come to pass")
