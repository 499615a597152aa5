"""Readers whose mail bounces again and again: when they end, and how they are tried again."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.bounce_codes import Step, ended_at, in_a_row, next_step
from newsletter.domain.mail import EventKind, SubscriberState
from newsletter.store import (
    bounces,
    deliveries,
    events,
    signups,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter.store.events import Event
from newsletter.store.tables import subscription
from tests.fakes.mail import RUBRIC, START, DeliveryScenario, FakeMailer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from newsletter.store import Store

READER = "reader1@example.org"


def days(*numbers: int) -> list[datetime]:
    return [START + timedelta(days=number) for number in numbers]


@pytest.mark.parametrize(
    ("bounces", "arrived", "ended"),
    [
        ((0, 1, 2, 3, 4), (), None),
        ((0, 3, 7, 10, 13), (), None),
        ((0, 3, 7, 10, 14), (), 14),
        ((0, 14, 28, 42), (), None),
        (tuple(range(20)), (), 14),
        ((0, 3, 7, 10, 14), (5,), None),
        ((0, 3, 7, 10, 14), (14,), None),
        ((0, 3, 7, 10, 14, 18, 22), (3,), 22),
    ],
)
def test_13_five_in_a_row_end_a_reader_if_they_span_fourteen_days(
    bounces: Sequence[int], arrived: Sequence[int], ended: int | None
):
    row = in_a_row(days(*bounces), days(*arrived))
    assert ended_at(row) == (None if ended is None else days(ended)[0])


def test_13_there_is_one_try_a_week_for_a_month() -> None:
    row = days(0, 4, 8, 12, 14)
    steps, last_try = [], row[-1]
    for day in range(14, 60):
        [now] = days(day)
        step = next_step(row, last_try, now)
        if step is Step.TRY:
            last_try = now
        steps.append((day, step))
    tries = [day for day, step in steps if step is Step.TRY]
    over = [day for day, step in steps if step is Step.GIVE_UP]
    assert (tries, over[0]) == ([21, 28, 35, 42], 49)


class PlainScenario(DeliveryScenario):
    """Everybody is owed each digest by itself, and not what was missed with it."""

    def plan(self, _day: date = date(2025, 9, 23), rubric: str = RUBRIC) -> None:
        with self.store.begin() as tx:
            mine = subscription.c.rubric == rubric
            deliveries.create_rows(tx, self.digest_id, mine, self.clock.now(), None)


@pytest.fixture
def scenario(store: Store) -> DeliveryScenario:
    made = PlainScenario(store)
    made.add_readers(1)
    return made


def tell(scenario: DeliveryScenario, kind: EventKind, at: datetime, delivery_id: str = "") -> None:
    with scenario.store.begin() as tx:
        events.apply(tx, [Event(kind, READER, at, delivery_id)], at)


def state(scenario: DeliveryScenario) -> SubscriberState:
    with scenario.store.read() as tx:
        known = subscriptions.find(tx, READER)
    assert known is not None
    return known.state


def newest(scenario: DeliveryScenario) -> str:
    return max(scenario.rows(), key=lambda row: row.created_at).id


def review(scenario: DeliveryScenario) -> None:
    with scenario.store.begin() as tx:
        bounces.review_page(tx, scenario.clock.now(), "")


def end_softly(scenario: DeliveryScenario) -> None:
    for at in days(0, 4, 8, 12, 14):
        tell(scenario, EventKind.SOFT_BOUNCE, at)
    [scenario.clock.at] = days(14)
    assert state(scenario) is SubscriberState.BOUNCED


def mail(scenario: DeliveryScenario) -> int:
    """One day's digest: how many mails left."""
    scenario.make_digest(scenario.clock.now().date() - timedelta(days=1))
    mailer = FakeMailer()
    scenario.send(mailer)
    return len(mailer.taken)


def test_13_the_operator_sees_what_the_mail_server_said(scenario: DeliveryScenario):
    end_softly(scenario)
    said = "5.2.2 smtp; 552 5.2.2 the mailbox is full"
    with scenario.store.begin() as tx:
        told = Event(EventKind.SOFT_BOUNCE, READER, days(15)[0], reason=said)
        events.apply(tx, [told], days(15)[0])
        assert list(subscribers.bounced_because(tx).values()) == [f"soft bounces: {said}"]


def test_13_a_try_is_one_mail_and_only_a_bounce_ends_it_again(scenario: DeliveryScenario):
    end_softly(scenario)
    review(scenario)
    assert mail(scenario) == 0
    scenario.clock.at += timedelta(days=7)
    review(scenario)
    assert (mail(scenario), state(scenario)) == (1, SubscriberState.BOUNCED)
    scenario.clock.at += timedelta(days=1)
    review(scenario)
    assert mail(scenario) == 0
    [row] = scenario.rows()
    tell(scenario, EventKind.SOFT_BOUNCE, scenario.clock.now(), row.id)
    scenario.clock.at += timedelta(days=6)
    review(scenario)
    assert mail(scenario) == 1


def test_13_a_try_that_arrives_brings_the_reader_back(scenario: DeliveryScenario):
    end_softly(scenario)
    scenario.clock.at += timedelta(days=7)
    review(scenario)
    assert mail(scenario) == 1
    tell(scenario, EventKind.DELIVERED, scenario.clock.now(), newest(scenario))
    assert state(scenario) is SubscriberState.ACTIVE


def test_13_by_smtp_a_try_of_which_nothing_is_heard_has_arrived(scenario: DeliveryScenario):
    end_softly(scenario)
    scenario.clock.at += timedelta(days=7)
    review(scenario)
    assert mail(scenario) == 1
    scenario.clock.at += timedelta(days=5)
    review(scenario)
    assert state(scenario) is SubscriberState.BOUNCED
    scenario.clock.at += timedelta(days=1)
    review(scenario)
    assert state(scenario) is SubscriberState.ACTIVE


def test_13_whose_bounces_are_long_forgotten_is_not_mailed_again(scenario: DeliveryScenario):
    """As after a release that ended readers and never tried them again, or a year without us."""
    end_softly(scenario)
    scenario.clock.at += timedelta(days=100)
    with scenario.store.begin() as tx:
        for kind in EventKind:
            events.delete_old_page(tx, kind=kind, now=scenario.clock.now())
    review(scenario)
    assert state(scenario) is SubscriberState.BOUNCED
    assert mail(scenario) == 0


def test_13_a_step_that_was_decided_does_not_undo_a_departure(scenario: DeliveryScenario):
    end_softly(scenario)
    later = scenario.clock.now() + timedelta(days=7)
    with scenario.store.begin() as tx:
        known = subscriptions.find(tx, READER)
        assert known is not None
        subscriptions.leave(tx, known.id, "page", scenario.clock.now())
        bounces._take_step(tx, known.id, scenario.clock.now(), later)
    assert state(scenario) is SubscriberState.UNSUBSCRIBED


def test_13_after_a_month_of_tries_it_is_final_and_nobody_is_suppressed(scenario: DeliveryScenario):
    end_softly(scenario)
    for _ in range(60):
        scenario.clock.at += timedelta(days=1)
        review(scenario)
        if state(scenario) is SubscriberState.ACTIVE:
            assert mail(scenario) == 1
            tell(scenario, EventKind.SOFT_BOUNCE, scenario.clock.now(), newest(scenario))
    assert len(scenario.rows()) == 4
    assert state(scenario) is SubscriberState.BOUNCED
    with scenario.store.read() as tx:
        assert suppressions.reason_for(tx, READER) is None


def test_19_who_confirms_again_is_let_in_and_old_bounces_count_no_more(scenario: DeliveryScenario):
    end_softly(scenario)
    with scenario.store.begin() as tx:
        known = subscriptions.find(tx, READER)
        assert known
        assert signups.rejoin(tx, known, known.rubric, "web form", scenario.clock.now())
    assert state(scenario) is SubscriberState.ACTIVE
    tell(scenario, EventKind.SOFT_BOUNCE, days(15)[0])
    assert state(scenario) is SubscriberState.ACTIVE


def test_12_soft_bounces_and_deliveries_end_alike_in_any_order(scenario: DeliveryScenario):
    bounced = [Event(EventKind.SOFT_BOUNCE, READER, at) for at in days(0, 5, 9, 13, 15)]
    batch = [*bounced, Event(EventKind.DELIVERED, READER, days(3)[0])]
    [now] = days(20)
    ends = set()
    for order in list(permutations(batch))[::48]:
        with scenario.store.begin() as tx:
            trial = tx.begin_nested()
            for one in order:
                events.apply(tx, [one], now)
            known = subscriptions.find(tx, READER)
            assert known
            ends.add(known.state)
            trial.rollback()
    assert ends == {SubscriberState.ACTIVE}


def test_13_by_smtp_mails_that_arrived_in_between_break_the_row(scenario: DeliveryScenario):
    scenario.make_digest(date(2025, 9, 22))
    scenario.send(FakeMailer())
    for at in days(-4, -3, -2, -1, 14):
        tell(scenario, EventKind.SOFT_BOUNCE, at)
    assert state(scenario) is SubscriberState.ACTIVE
