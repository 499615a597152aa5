"""A reader of two rubrics gets one mail for each, at its own cadence; leaving one ends one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.links import Purpose
from newsletter.domain.mail import WEEKLY, DeliveryState
from newsletter.store import claims, subscribers, subscriptions
from newsletter.store.tables import delivery
from tests.delivery.test_planner import FRI, LONG_AGO, MON, THU, TUE, WED, PlannedService
from tests.fakes.mail import LINKS, START, DeliveryScenario, FakeMailer, email

if TYPE_CHECKING:
    from newsletter.domain.mail import Subscription
    from newsletter.store import Store

READER = "a" * 32
UNTIL = datetime(2025, 9, 24, tzinfo=UTC)


@pytest.fixture
def service(store: Store) -> PlannedService:
    return PlannedService(store)


def add(service: PlannedService, at: datetime = LONG_AGO, **wishes: object) -> str:
    """The reader of models reads stars as well."""
    with service.store.begin() as tx:
        added = subscriptions.add(tx, READER, "stars", at)
        subscriptions.set_preferences(tx, added, wishes, at)
    return added


def made(service: PlannedService, *days: date) -> None:
    service.made(*days)
    service.made(*days, slug="stars")


def morning(service: PlannedService, day: date) -> dict[str, list[str]]:
    """Of each rubric who is owed which dates."""
    return {slug: service.wake(day, slug=slug) for slug in ("models", "stars")}


def test_each_rubric_comes_once_at_its_own_cadence(service: PlannedService) -> None:
    service.add_reader("a")
    add(service, days=WEEKLY)
    for day in (MON, TUE, WED, THU, FRI):
        made(service, day)
        weekly = [f"a {MON:%d}-{FRI:%d}"] if day == FRI else []
        assert morning(service, day) == {"models": [f"a {day:%d}-{day:%d}"], "stars": weekly}


def test_a_rubric_that_is_added_begins_with_its_newest_digest(service: PlannedService) -> None:
    service.add_reader("a")
    made(service, MON, TUE)
    service.wake(MON)
    service.wake(TUE)
    add(service, datetime(2026, 3, 3, 12, tzinfo=UTC))
    assert morning(service, TUE) == {"models": [], "stars": []}
    made(service, WED)
    assert morning(service, WED) == {"models": ["a 04-04"], "stars": ["a 04-04"]}


def test_a_mover_gets_no_date_twice_and_none_of_what_waits_is_lost(
    service: PlannedService,
) -> None:
    service.add_reader("a")
    made(service, MON)
    assert service.wake(MON) == ["a 02-02"]
    made(service, TUE)
    service.plan(datetime(2026, 3, 3, 8, tzinfo=UTC))
    with service.store.begin() as tx:
        moved = subscriptions.move(tx, READER, "stars", datetime(2026, 3, 3, 9, tzinfo=UTC))
        assert moved
        row = tx.execute(
            delivery.select().where(delivery.c.state == DeliveryState.SKIPPED.value)
        ).one()
    assert row.reason == subscriptions.MOVED
    made(service, WED)
    assert morning(service, WED) == {"models": [], "stars": ["a 03-04"]}


@pytest.fixture
def scenario(store: Store) -> DeliveryScenario:
    """A reader of two rubrics, whose mail of both is planned."""
    scenario = DeliveryScenario(store)
    [person] = scenario.add_readers(1)
    with store.begin() as tx:
        subscriptions.add(tx, person.id, "models", START)
    for rubric in ("models", person.rubric):
        scenario.make_digest(rubric=rubric)
    return scenario


def claimed(scenario: DeliveryScenario) -> list[Subscription]:
    with scenario.store.begin() as tx:
        digests = sorted({row.digest_id for row in scenario.rows()})
        given = {"now": START, "until": UNTIL, "limit": 8}
        found = [claims.claim(tx, one, "me", **given)[0] for one in digests]
    return [one.subscription for mine in found for one in mine]


def test_rubrics_have_links_and_a_list_of_their_own(scenario: DeliveryScenario) -> None:
    models, stars = claimed(scenario)
    assert (models.rubric, stars.rubric) == ("models", "cold-stars")
    for one in (models, stars):
        headers = dict(email(one).headers)
        assert headers["List-Id"] == f"<{one.rubric}.digest.in.example.org>"
        token = headers["List-Unsubscribe"].partition(">")[0].rpartition("/")[2]
        assert LINKS.read(Purpose.UNSUBSCRIBE, token) == one.id
        assert LINKS.read_address(email(one).reply_to) == (Purpose.REPLY, one.id)


def test_mail_that_waits_is_skipped_for_the_rubric_that_was_left(
    scenario: DeliveryScenario,
) -> None:
    stars = next(row for row in scenario.rows() if row.subscription_id == row.subscriber_id)
    with scenario.store.begin() as tx:
        subscriptions.leave(tx, stars.subscription_id, "one-click", START)
    assert [one.rubric for one in claimed(scenario)] == ["models"]
    states = {row.subscription_id: row.state for row in scenario.rows()}
    assert states.pop(stars.subscription_id) == DeliveryState.SKIPPED
    assert list(states.values()) == [DeliveryState.SENDING]


def test_a_pause_skips_the_mail_of_all_rubrics(scenario: DeliveryScenario) -> None:
    with scenario.store.begin() as tx:
        subscribers.pause(tx, scenario.rows()[0].subscriber_id, "reply", START)
    assert claimed(scenario) == []
    assert {row.reason for row in scenario.rows()} == {"paused"}


def test_an_address_gets_both_mails(scenario: DeliveryScenario) -> None:
    mailer = FakeMailer()
    for digest_id in {row.digest_id for row in scenario.rows()}:
        scenario.digest_id = digest_id
        scenario.send(mailer)
    assert sorted(dict(one.headers)["List-Id"] for one in mailer.taken) == [
        "<cold-stars.digest.in.example.org>",
        "<models.digest.in.example.org>",
    ]
    assert len({one.to_email for one in mailer.taken}) == 1
