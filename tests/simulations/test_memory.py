"""What one process holds does not grow with the readers; `make bench-memory` shows it by mail."""

from __future__ import annotations

import tracemalloc
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, insert, select

from newsletter.delivery.planner import plan_all, plan_due, rubrics_with_mail_due
from newsletter.domain.mail import DeliveryState, SubscriberState
from newsletter.jobs.daily import first_send_time
from newsletter.jobs.housekeeping import run_frequent, run_nightly
from newsletter.store import digests, subscriptions
from newsletter.store.tables import delivery, subscriber, subscription
from newsletter.web import metrics
from newsletter.web.context import Site
from tests.conftest import BACKENDS
from tests.fakes.mail import reader
from tests.fakes.simulated_service import Service
from tests.render.gallery import issues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from newsletter.mailers import ListedAddress, ListName
    from newsletter.store import Store

FEW, MANY = 300, 3300
LEAVES = 3
"""One reader in so many has left."""
MORE_BYTES = 400_000
"""As readers 3,000 take five times as much."""
DAYS = tuple(issues.DAY + timedelta(days=n) for n in range(-1, 3))


@dataclass
class Provider:
    """A provider's lists on which nobody stands yet."""

    told: list[int] = field(default_factory=list)

    def read(self, name: ListName) -> Iterator[list[ListedAddress]]:
        del name
        return iter(())

    def add(self, emails: Sequence[str]) -> None:
        self.told.append(len(emails))

    def remove(self, email: str) -> None:
        del email

    def erase(self, emails: Sequence[str]) -> None:
        self.told.append(len(emails))


class LargeService:
    """A service whose readers are many, and who all read one rubric."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.service = Service(store)
        self.provider = Provider()
        self.service.app = replace(self.service.app, suppression_lists=self.provider)
        self.number = 0

    def add_readers(self, number: int) -> None:
        came = datetime(2025, 9, 1, tzinfo=UTC)
        rows = []
        for n in range(self.number, number):
            left = n % LEAVES == 0
            state = SubscriberState.UNSUBSCRIBED if left else SubscriberState.ACTIVE
            one = reader(n, rubric="stars", state=state)
            rows.append(subscriptions.rows_of_new(one, came))
        self.number = number
        with self.store.begin() as tx:
            tx.execute(insert(subscriber), [of_reader for of_reader, _ in rows])
            tx.execute(insert(subscription), [own for _, own in rows])

    def make_digest(self, day: date) -> None:
        rubric = self.service.app.rubrics["stars"]
        made = issues.digest((issues.pick(1),), rubric=rubric, date=day)
        self.service.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        with self.store.begin() as tx:
            digests.save(tx, made, self.service.now)

    def plan(self) -> None:
        chosen = self.service.app.settings
        for some in rubrics_with_mail_due(self.store, self.service.now):
            plan_due(self.store, some, self.service.now, chosen.zone, chosen.send_at)

    def run(self) -> None:
        plan_all(self.store, "stars", self.service.now.date(), self.service.now)

    def duties(self) -> dict[str, Callable[[], object]]:
        """What a service does of itself, but for the mail."""
        app = self.service.app
        tomorrow = self.service.now.date() + timedelta(days=1)
        site = Site(app)
        return {
            "by when": lambda: first_send_time(app, app.rubrics.values(), tomorrow),
            "plan": self.plan,
            "run": self.run,
            "round": lambda: run_frequent(app),
            "night": lambda: run_nightly(app),
            "metrics": lambda: metrics.show(site, None),  # type: ignore[arg-type]
        }


@pytest.mark.parametrize("store", BACKENDS[:1], indirect=True)
def test_no_job_takes_more_memory_for_ten_times_the_readers(store: Store):
    large = LargeService(store)
    peaks: list[dict[str, int]] = []
    # The first times fill what is kept once for all: templates, compiled statements, those of the
    # alert about mail that is two days late among them.
    for number, day in zip((30, 31, FEW, MANY), DAYS, strict=True):
        large.add_readers(number)
        large.make_digest(day)
        peaks.append({name: peak_of(act) for name, act in large.duties().items()})
    *_, few, many = peaks
    grown = {name: many[name] - few[name] for name in many if many[name] - few[name] > MORE_BYTES}
    assert grown == {}
    assert planned(store) == sum(n - -(-n // LEAVES) for n in (30, 31, FEW, MANY))
    assert sum(large.provider.told) >= MANY // LEAVES


def peak_of(act: Callable[[], object]) -> int:
    tracemalloc.start()
    act()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("store", BACKENDS[1:], indirect=True)
def test_no_statement_answers_more_readers_than_a_page(store: Store):
    """PostgreSQL's driver holds all that a statement answers, before the first row is looked at."""
    large = LargeService(store)
    large.add_readers(MANY)
    large.make_digest(DAYS[0])
    with largest_answer(store) as answers:
        for act in large.duties().values():
            act()
        with store.read() as tx:
            assert sum(1 for _ in subscriptions.mailable(tx)) == MANY - MANY // LEAVES
            assert sum(1 for _ in subscriptions.all_subscriptions(tx)) == MANY
    assert max(answers) <= subscriptions.PAGE
    assert planned(store) == MANY - MANY // LEAVES


@contextmanager
def largest_answer(store: Store) -> Iterator[list[int]]:
    answers = [0]

    def note(*said: Any) -> None:
        _, cursor, statement, *_ = said
        if statement.startswith("SELECT"):
            answers.append(cursor.rowcount)

    event.listen(store.engine, "after_cursor_execute", note)
    yield answers
    event.remove(store.engine, "after_cursor_execute", note)


def planned(store: Store) -> int:
    with store.read() as tx:
        mails = select(delivery.c.id).where(delivery.c.state == DeliveryState.PENDING)
        return len(tx.execute(mails).all())
