"""The operator's page about a reader of two rubrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select

from newsletter.domain.mail import DeliveryState, SubscriberState
from newsletter.domain.votes import Vote
from newsletter.store import subscriptions, votes
from newsletter.store.tables import delivery, digest
from tests.fakes import operator_data
from tests.fakes.browser import served
from tests.fakes.pages import MODELS, NOW, STARS, THURSDAY, issue, paper, reader
from tests.web.test_operator import PASSWORD, Operator, operator_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.domain.mail import Subscription
    from newsletter.store import Store

PAPERS = [paper(f"2509.0000{number}") for number in range(4)]


@pytest.fixture
def both(store: Store) -> tuple[Subscription, Subscription]:
    """A reader of Stars, added to Models later, with a digest of each."""
    person = reader(store)
    with store.begin() as tx:
        added = subscriptions.add(tx, person.id, "models", NOW, consent="asked")
        models = subscriptions.by_id(tx, added)
    assert models
    for rubric in (STARS, MODELS):
        issue(store, rubric, THURSDAY, PAPERS)
    return person, models


@pytest.fixture
def operator(store: Store, both: tuple[Subscription, Subscription]) -> Iterator[Operator]:
    del both
    with served(operator_app(store, operator_password=PASSWORD)) as web:
        yield Operator(web)


def mailed(store: Store, one: Subscription, state: DeliveryState) -> str:
    with store.begin() as tx:
        digest_id = tx.scalar(select(digest.c.id).where(digest.c.rubric == one.rubric))
        row = dict(operator_data.row(digest_id, one, state))
        row |= {"subscriber_id": one.subscriber_id, "subscription_id": one.id}
        tx.execute(insert(delivery).values(row))
    return str(row["id"])


def states(store: Store, person: Subscription) -> dict[str, SubscriberState]:
    with store.read() as tx:
        found = subscriptions.of_subscriber(tx, person.subscriber_id)
    return {one.rubric: one.state for one in found}


def rows(operator: Operator) -> dict[str, list[str]]:
    """The cells of the first row of each name, of all tables."""
    found: dict[str, list[str]] = {}
    for row in operator.get().soup.select("tr"):
        cells = [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])]
        found.setdefault(cells[0], cells[1:])
    return found


def test_mails_are_counted_for_their_rubric(
    operator: Operator, store: Store, both: tuple[Subscription, Subscription]
) -> None:
    stars, models = both
    mailed(store, stars, DeliveryState.ACCEPTED)
    mailed(store, models, DeliveryState.REJECTED)
    found = rows(operator)
    assert (found["Stars"][-2:], found["Models"][-2:]) == (["1", "0"], ["0", "1"])
    assert found["Total"][-2:] == ["1", "1"]


def test_a_reply_about_one_rubric_leaves_that_one_alone(
    operator: Operator, store: Store, both: tuple[Subscription, Subscription]
) -> None:
    stars, models = both
    key = operator_data.reply(store, models)
    page = operator.press("/operator/replies", "/operator/review", id=key, action="unsubscribe")
    assert page.status == 303
    assert states(store, stars) == {
        "stars": SubscriberState.ACTIVE,
        "models": SubscriberState.UNSUBSCRIBED,
    }


def test_an_unknown_mail_is_decided_without_the_other_one(
    operator: Operator, store: Store, both: tuple[Subscription, Subscription]
) -> None:
    ids = {one.rubric: mailed(store, one, DeliveryState.UNKNOWN) for one in both}
    text = operator.get("/operator/review").text
    for key in ids.values():
        assert key in text
    operator.press("/operator/deliveries", "/operator/review", id=ids["models"], action="sent")
    with store.read() as tx:
        left = {row.id: row.state for row in tx.execute(select(delivery))}
    assert left == {ids["models"]: "accepted", ids["stars"]: "unknown"}


def test_votes_are_told_for_their_rubric(
    operator: Operator, store: Store, both: tuple[Subscription, Subscription]
) -> None:
    _, models = both
    with store.begin() as tx:
        for one in PAPERS[:3]:
            assert votes.cast(tx, models.id, one.id, Vote.MORE, NOW)
    told = operator.get().words
    assert "Models : 3 votes: 3 for more, 0 for less." in told
    assert "Stars :" not in told
