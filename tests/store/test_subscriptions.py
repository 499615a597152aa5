"""Several rubrics for one address: each subscription is joined, changed, moved and left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.mail import WEEKLY, EventKind, Format, SubscriberState
from newsletter.domain.subscriber_csv import SubscriberRow
from newsletter.store import (
    events,
    restore_subscriber,
    signups,
    subscriber_import,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter.store.events import Event
from newsletter.store.subscribers import SubscriberChange
from newsletter.store.suppressions import Reason
from newsletter.store.tables import subscriber, subscription
from tests.fakes.mail import START, reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from newsletter.domain.mail import Subscription
    from newsletter.store import Store

ADDRESS = "reader1@example.org"
LATER = START + timedelta(days=1)
ACTIVE, PENDING = SubscriberState.ACTIVE, SubscriberState.PENDING
PAUSED, LEFT = SubscriberState.PAUSED, SubscriberState.UNSUBSCRIBED


@pytest.fixture
def tx(store: Store) -> Iterator[Connection]:
    with store.begin() as tx:
        yield tx


@pytest.fixture
def both(tx: Connection) -> tuple[Subscription, Subscription]:
    """One address that reads stars and models."""
    given = reader(rubric="stars", days=("mon",), timezone="Asia/Tokyo", max_papers=9)
    subscriptions.insert_new(tx, given, START)
    added = subscriptions.add(tx, given.id, "models", LATER, consent="asked")
    found = subscriptions.by_id(tx, added)
    assert found
    return given, found


def states(tx: Connection) -> dict[str, SubscriberState]:
    return {one.rubric: one.state for one in subscriptions.of_address(tx, ADDRESS)}


def imported(tx: Connection, rubric: str) -> SubscriberChange:
    row = SubscriberRow(1, ADDRESS, rubric)
    counts = subscriber_import.save_all(tx, [row], "asked", LATER).counts
    [done] = (change for change, number in counts.items() if number)
    return done


def test_another_rubric_has_an_id_of_its_own_and_the_subscribers_preferences(
    tx: Connection, both: tuple[Subscription, Subscription]
) -> None:
    stars, models = both
    assert models.id != stars.id
    assert (models.subscriber_id, models.consent, models.since) == (stars.id, "asked", LATER)
    assert (models.days, models.timezone, models.max_papers) == (("mon",), "Asia/Tokyo", 9)
    assert subscriptions.add(tx, stars.id, "models", LATER) == models.id
    assert subscriptions.count_by_rubric(tx) == {"stars": 1, "models": 1}
    assert subscribers.count_states(tx) == {ACTIVE: 1}
    assert [one.rubric for one in subscriptions.all_subscriptions(tx)] == ["models", "stars"]


def test_a_cadence_length_and_format_are_of_one_subscription_the_zone_of_all(
    tx: Connection, both: tuple[Subscription, Subscription]
) -> None:
    stars, models = both
    wished = {"days": WEEKLY, "max_papers": None, "format": Format.TITLES, "send_at": time(6)}
    subscriptions.set_preferences(tx, models.id, wished, LATER)
    found = {one.rubric: one for one in subscriptions.of_subscriber(tx, stars.id)}
    assert (found["models"].days, found["models"].max_papers) == (WEEKLY, None)
    assert (found["models"].format, found["stars"].format) == (Format.TITLES, Format.FULL)
    assert (found["stars"].days, found["stars"].max_papers) == (("mon",), 9)
    assert found["models"].send_at == found["stars"].send_at == time(6)
    assert found["models"].chosen == ("send_at", "days", "max_papers", "format")
    assert found["stars"].chosen == ("send_at",)


def test_the_only_subscription_changes_the_subscriber(tx: Connection) -> None:
    given = reader(rubric="stars")
    subscriptions.insert_new(tx, given, START)
    subscriptions.set_preferences(tx, given.id, {"days": WEEKLY}, START)
    added = subscriptions.by_id(tx, subscriptions.add(tx, given.id, "models", LATER))
    assert added
    assert (added.days, added.chosen) == (WEEKLY, ("days",))


def test_leaving_one_rubric_leaves_the_other_and_stops_an_import_of_that_row_alone(
    tx: Connection, both: tuple[Subscription, Subscription]
) -> None:
    stars, _ = both
    assert subscriptions.leave(tx, stars.id, "one-click", LATER)
    assert states(tx) == {"models": ACTIVE, "stars": LEFT}
    assert suppressions.reason_for(tx, ADDRESS) is None
    assert events.departed_addresses(tx) == []
    assert imported(tx, "stars") is SubscriberChange.SUPPRESSED
    assert imported(tx, "models") is SubscriberChange.UNCHANGED
    for table in (subscription, subscriber):
        tx.execute(table.delete())
    assert imported(tx, "stars") is SubscriberChange.SUPPRESSED
    assert imported(tx, "models") is SubscriberChange.ADDED


def test_whoever_leaves_the_last_rubric_is_suppressed_until_they_confirm(
    tx: Connection, both: tuple[Subscription, Subscription]
) -> None:
    stars, models = both
    subscriptions.leave(tx, stars.id, "reply", LATER)
    subscriptions.leave(tx, models.id, "reply", LATER)
    assert suppressions.reason_for(tx, ADDRESS) is Reason.UNSUBSCRIBED
    assert events.departed_addresses(tx) == [ADDRESS]
    assert imported(tx, "other") is SubscriberChange.SUPPRESSED
    left = subscriptions.by_id(tx, models.id)
    assert left
    assert signups.rejoin(tx, left, "models", "web form", LATER)
    assert states(tx) == {"models": ACTIVE, "stars": LEFT}
    assert events.returning_addresses(tx, START) == [ADDRESS]
    assert imported(tx, "stars") is SubscriberChange.SUPPRESSED


def test_a_departure_is_taken_back_for_one_rubric(
    tx: Connection, both: tuple[Subscription, Subscription]
) -> None:
    stars, models = both
    subscriptions.leave(tx, stars.id, "page", LATER)
    assert not subscriptions.restore(tx, models.id, "undo", LATER), "it was not left"
    assert subscriptions.restore(tx, stars.id, "undo", LATER)
    assert states(tx) == {"models": ACTIVE, "stars": ACTIVE}
    assert not suppressions.lift(tx, ADDRESS, "stars")


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (EventKind.COMPLAINT, SubscriberState.COMPLAINED),
        (EventKind.HARD_BOUNCE, SubscriberState.BOUNCED),
        (EventKind.UNSUBSCRIBE, LEFT),
    ],
)
@pytest.mark.usefixtures("both")
def test_what_concerns_the_address_ends_all(
    tx: Connection, kind: EventKind, state: SubscriberState
) -> None:
    events.apply(tx, [Event(kind, ADDRESS, LATER)], LATER)
    assert set(states(tx).values()) == {state}
    assert subscriptions.count_by_rubric(tx) == {}
    assert suppressions.reason_for(tx, ADDRESS) == Reason(state.value)


def test_a_pause_is_for_all_and_leaving_during_it_for_one(
    tx: Connection, both: tuple[Subscription, Subscription]
) -> None:
    stars, _ = both
    assert subscribers.pause(tx, stars.subscriber_id, "page", LATER)
    assert set(states(tx).values()) == {PAUSED}
    assert subscriptions.leave(tx, stars.id, "page", LATER)
    assert states(tx) == {"models": PAUSED, "stars": LEFT}
    assert suppressions.reason_for(tx, ADDRESS) is None
    assert subscribers.resume(tx, stars.subscriber_id, "page", LATER)
    assert states(tx) == {"models": ACTIVE, "stars": LEFT}


def test_an_erasure_ends_all_and_is_remembered(
    tx: Connection, both: tuple[Subscription, Subscription]
) -> None:
    stars, models = both
    assert subscribers.erase(tx, stars.subscriber_id, LATER)
    for one in (stars, models):
        gone = subscriptions.by_id(tx, one.id)
        assert gone
        assert (gone.email, gone.state, gone.consent) == ("", LEFT, "")
        assert suppressions.reason_for(tx, ADDRESS, one.rubric) is Reason.ERASED
    assert list(subscriptions.all_subscriptions(tx)) == []


def test_a_move_leaves_one_and_joins_the_other_with_the_same_preferences(tx: Connection) -> None:
    given = reader(rubric="stars", days=("fri",))
    subscriptions.insert_new(tx, given, START)
    moved = subscriptions.move(tx, given.id, "models", LATER)
    assert moved
    assert (moved.rubric, moved.days, moved.state) == ("models", ("fri",), ACTIVE)
    assert states(tx) == {"models": ACTIVE, "stars": LEFT}
    assert suppressions.reason_for(tx, ADDRESS, "stars") is None, "a move may be taken back"
    back = subscriptions.move(tx, moved.id, "stars", LATER)
    assert back
    assert (back.id, states(tx)) == (given.id, {"stars": ACTIVE, "models": LEFT})
    assert subscriptions.move(tx, moved.id, "other", LATER) == subscriptions.by_id(tx, moved.id)


def test_a_pending_subscription_that_moves_stays_one_and_waits(tx: Connection) -> None:
    given = reader(rubric="stars", state=PENDING)
    subscriptions.insert_new(tx, given, START)
    moved = subscriptions.move(tx, given.id, "models", LATER)
    assert moved
    assert (moved.id, states(tx)) == (given.id, {"models": PENDING})


def test_one_rubric_waits_for_a_confirmation_while_another_is_read(
    tx: Connection, both: tuple[Subscription, Subscription]
) -> None:
    stars, _ = both
    added = subscriptions.add(tx, stars.id, "other", LATER, active=False)
    assert states(tx)["other"] is PENDING
    assert subscriptions.count_by_rubric(tx) == {"stars": 1, "models": 1}
    assert signups.refuse(tx, added, LATER)
    assert states(tx) == {"stars": ACTIVE, "models": ACTIVE}
    assert suppressions.reason_for(tx, ADDRESS) is None


def test_the_nightly_job_deletes_the_unconfirmed_subscription_not_the_reader(
    tx: Connection, both: tuple[Subscription, Subscription]
) -> None:
    stars, _ = both
    assert signups.request(tx, ADDRESS, "other", START)
    subscriptions.add(tx, stars.id, "other", START, active=False)
    assert signups.purge(tx, START + signups.KEPT + timedelta(days=1)) == 0
    assert states(tx) == {"stars": ACTIVE, "models": ACTIVE}


def test_requests_of_one_address_share_their_wait_whatever_the_rubric(tx: Connection) -> None:
    assert signups.request(tx, ADDRESS, "stars", START)
    assert not signups.request(tx, ADDRESS, "models", START + timedelta(minutes=30))
    assert signups.request(tx, ADDRESS, "models", START + timedelta(hours=2))
    assert not signups.request(tx, ADDRESS, "other", START + timedelta(hours=5))
    asked = signups.pending_request(tx, ADDRESS)
    assert asked
    assert asked.rubric == "models"
    signups.clear(tx, ADDRESS, "models")
    asked = signups.pending_request(tx, ADDRESS)
    assert asked
    assert asked.rubric == "stars"


def test_the_operator_restores_a_reader_who_left_all(
    tx: Connection, both: tuple[Subscription, Subscription]
) -> None:
    stars, _ = both
    assert subscriptions.leave_all(tx, stars.id, "reply", LATER)
    assert not subscriptions.leave_all(tx, stars.id, "reply", LATER)
    assert set(states(tx).values()) == {LEFT}
    assert restore_subscriber.restore(tx, ADDRESS, [], "wrote", LATER)
    assert set(states(tx).values()) == {ACTIVE}, "both were left together"


def test_an_import_changes_the_subscription_of_its_row(
    tx: Connection, both: tuple[Subscription, Subscription]
) -> None:
    stars, models = both
    row = SubscriberRow(1, ADDRESS, "models", days=("tue",))
    done = subscriber_import.save_all(tx, [row], "asked", LATER)
    assert done.counts[SubscriberChange.UPDATED] == 1
    assert subscriptions.by_id(tx, models.id) == replace(models, days=("tue",))
    assert subscriptions.by_id(tx, stars.id).days == ("mon",)  # type: ignore[union-attr]
