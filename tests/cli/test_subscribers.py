from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from newsletter.domain.addresses import canonical, fingerprint
from newsletter.domain.mail import Format, SubscriberState
from newsletter.store import subscribers, subscriptions, suppressions
from newsletter.store.subscribers import SubscriberChange
from newsletter.store.suppressions import Reason
from newsletter.store.tables import delivery, subscriber, subscription, suppression
from tests.fakes.mail import RUBRIC, START, DeliveryScenario, import_reader, reader

if TYPE_CHECKING:
    from newsletter.store import Store

LATER = START + timedelta(days=1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann@Example.ORG", "ann@example.org"),
        ("ann@example.org.", "ann@example.org"),
        ("  ann@example.org ", "ann@example.org"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("\uff41nn@example.org", "ann@example.org"),
        ("用户@example.org", "用户@EXAMPLE.org"),
        ("e\u0301@example.org", "\u00e9@example.org"),
        ('"a@b"@Example.org', '"A@b"@example.org'),
    ],
)
def test_22_spellings_of_one_address_have_one_key(one: str, other: str):
    assert canonical(one) == canonical(other)
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    "other", ["ann+x@example.org", "a.nn@example.org", "ann@example.com", "ann@sub.example.org"]
)
def test_22_what_may_be_another_mailbox_has_another_key(other: str):
    assert canonical("ann@example.org") != canonical(other)


def test_22_the_spelling_given_is_kept_for_sending(store: Store):
    with store.begin() as tx:
        subscriptions.insert_new(tx, reader(email="Ann@Bücher.example"), START)
        found = subscriptions.find(tx, "ann@xn--bcher-kva.EXAMPLE")
    assert found is not None
    assert found.email == "Ann@Bücher.example"


def test_everything_about_a_subscriber_comes_back(store: Store):
    given = reader(
        timezone="Europe/Berlin",
        send_at=time(6, 30),
        days=("mon", "fri"),
        max_papers=12,
        format=Format.BRIEF,
        consent="asked for it at the seminar",
    )
    with store.begin() as tx:
        subscriptions.insert_new(tx, given, START)
        assert subscriptions.by_id(tx, given.id) == given
        assert list(subscriptions.mailable(tx, RUBRIC)) == [given]
        assert list(subscriptions.mailable(tx, "other")) == []


def test_an_import_repeated_changes_nothing(store: Store):
    given = reader()
    with store.begin() as tx:
        assert import_reader(tx, given, START) is SubscriberChange.ADDED
        [known] = subscriptions.all_subscriptions(tx)
        assert import_reader(tx, given, LATER) is SubscriberChange.UNCHANGED
        renamed = replace(given, name="Ann", email="READER1@example.org")
        assert import_reader(tx, renamed, LATER) is SubscriberChange.UPDATED
        assert list(subscriptions.all_subscriptions(tx)) == [replace(known, name="Ann")]


def test_an_import_with_consent_activates_the_pending_and_keeps_a_pause(store: Store):
    waiting = reader(1, state=SubscriberState.PENDING)
    resting = reader(2)
    with store.begin() as tx:
        subscriptions.insert_new(tx, waiting, START)
        subscriptions.insert_new(tx, resting, START)
        subscribers.pause(tx, resting.id, "page", START)
        for person in (waiting, resting):
            import_reader(tx, person, LATER, consent="form of 2025")
        states = {s.email: s.state for s in subscriptions.all_subscriptions(tx)}
        assert states == {
            waiting.email: SubscriberState.ACTIVE,
            resting.email: SubscriberState.PAUSED,
        }
        assert import_reader(tx, waiting, LATER, consent="") is SubscriberChange.UNCHANGED


def test_10_no_import_adds_an_address_that_left(store: Store):
    given = reader()
    with store.begin() as tx:
        subscriptions.insert_new(tx, given, START)
        assert subscriptions.leave(tx, given.id, "one-click", LATER)
        assert not subscriptions.leave(tx, given.id, "one-click", LATER)
    with store.begin() as tx:
        for spelling in ("reader1@example.org", "READER1@EXAMPLE.ORG."):
            again = reader(email=spelling)
            assert import_reader(tx, again, LATER) is SubscriberChange.SUPPRESSED
        assert list(subscriptions.mailable(tx, RUBRIC)) == []
        row = tx.execute(select(subscription)).one()
        assert (row.state, row.state_reason, row.state_at) == ("unsubscribed", "one-click", LATER)
        assert suppressions.reason_for(tx, "reader1@example.org") is Reason.UNSUBSCRIBED


def test_10_suppression_outlives_the_row(store: Store):
    given = reader()
    with store.begin() as tx:
        subscriptions.insert_new(tx, given, START)
        subscriptions.leave(tx, given.id, "reply", START)
        tx.execute(subscription.delete())
        tx.execute(subscriber.delete())
        assert import_reader(tx, reader(), LATER) is SubscriberChange.SUPPRESSED


def test_a_departure_can_be_taken_back_for_thirty_days(store: Store):
    given = reader()
    with store.begin() as tx:
        subscriptions.insert_new(tx, given, START)
        assert not subscriptions.restore(tx, given.id, "page", START)
        subscriptions.leave(tx, given.id, "reply", START)
        assert not subscriptions.restore(tx, given.id, "page", START + timedelta(days=31))
        assert subscriptions.restore(tx, given.id, "page", START + timedelta(days=30))
        assert list(subscriptions.mailable(tx, RUBRIC)) == [given]
        assert suppressions.reason_for(tx, given.email) is None


@pytest.mark.parametrize("end", [SubscriberState.COMPLAINED, SubscriberState.BOUNCED])
def test_only_leaving_by_choice_can_be_taken_back(store: Store, end: SubscriberState):
    given = reader()
    with store.begin() as tx:
        subscriptions.insert_new(tx, given, START)
        assert subscriptions.end_all(tx, given.id, end, "event", START)
        assert not subscriptions.restore(tx, given.id, "page", START)
        reason = suppressions.reason_for(tx, given.email)
        assert reason is not None
        assert reason.value == end.value


def test_a_complaint_outweighs_a_departure_but_a_bounce_does_not(store: Store):
    given = reader()
    with store.begin() as tx:
        subscriptions.insert_new(tx, given, START)
        subscriptions.leave(tx, given.id, "page", START)
        assert subscriptions.end_all(tx, given.id, SubscriberState.BOUNCED, "event", START)
        assert subscribers.count_states(tx) == {SubscriberState.UNSUBSCRIBED: 1}
        assert subscriptions.end_all(tx, given.id, SubscriberState.COMPLAINED, "event", START)
        assert not subscriptions.end_all(tx, given.id, SubscriberState.COMPLAINED, "event", START)
        assert suppressions.reason_for(tx, given.email) is Reason.COMPLAINED
        assert subscribers.count_states(tx) == {SubscriberState.COMPLAINED: 1}


def test_double_opt_in_lets_in_once_and_lifts_an_earlier_departure(store: Store):
    given = reader(state=SubscriberState.PENDING)
    with store.begin() as tx:
        subscriptions.insert_new(tx, given, START)
        assert list(subscriptions.mailable(tx, RUBRIC)) == []
        assert subscriptions.activate(tx, given.id, "form v1, 192.0.2.1", START)
        assert not subscriptions.activate(tx, given.id, "again", START)
        subscriptions.leave(tx, given.id, "page", START)
        assert not subscriptions.activate(tx, given.id, "old link", START)
        subscriptions.add(tx, given.id, RUBRIC, LATER, way="form", active=False)
        assert list(subscriptions.mailable(tx, RUBRIC)) == []
        assert subscriptions.activate(tx, given.id, "form v2", LATER)
        [back] = subscriptions.mailable(tx, RUBRIC)
    assert back.consent == "form v2"


def test_erasure_leaves_only_a_hash(store: Store):
    scenario = DeliveryScenario(store)
    [person] = scenario.add_readers(1)
    scenario.make_digest()
    with store.begin() as tx:
        assert subscribers.erase(tx, person.id, LATER)
        assert not subscribers.erase(tx, person.id, LATER)
        for table in (subscriber, delivery, suppression):
            assert "reader1" not in repr(tx.execute(select(table)).all()).lower()
        assert list(subscriptions.all_subscriptions(tx)) == []
        assert subscribers.count_states(tx) == {}
        assert tx.scalar(select(suppression.c.email_hash)) == fingerprint("Reader1@example.org")
        assert import_reader(tx, reader(), LATER) is SubscriberChange.SUPPRESSED


def test_a_pause_ends_only_where_there_is_one(store: Store):
    given = reader()
    with store.begin() as tx:
        subscriptions.insert_new(tx, given, START)
        assert not subscribers.resume(tx, given.id, "page", START)
        assert subscribers.pause(tx, given.id, "page", START)
        assert not subscribers.pause(tx, given.id, "page", START)
        assert list(subscriptions.mailable(tx, RUBRIC)) == []
        assert subscribers.resume(tx, given.id, "page", START)
        assert not subscribers.pause(tx, "0" * 32, "page", START)


def test_nobody_is_unsubscribed_by_a_strange_id(store: Store):
    with store.begin() as tx:
        assert subscriptions.by_id(tx, "0" * 32) is None
        assert not subscriptions.leave(tx, "0" * 32, "page", START)
        assert tx.execute(select(suppression)).all() == []
