from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.mail import SubscriberState
from newsletter.inbound.suppression_sync import SyncResult, forward_erasures, remove_returned, sync
from newsletter.mailers import ListName, SuppressionListsError
from newsletter.mailers.sendgrid.suppressions import SendGridSuppressions
from newsletter.store import subscribers, subscriptions, suppressions
from newsletter.store.suppressions import Reason
from tests.fakes.mail import import_reader, reader, settings
from tests.fakes.sendgrid_lists import FakeLists

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.domain.mail import Subscription
    from newsletter.store import Store

NOW = datetime(2025, 9, 24, 3, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=200)


@pytest.fixture
def fake() -> Iterator[FakeLists]:
    with FakeLists() as running:
        yield running


def lists(fake: FakeLists, timeout: float = 240.0) -> SendGridSuppressions:
    given = settings(sendgrid_api_key="SG.secret-key", sendgrid_url=fake.url)
    return SendGridSuppressions(given, timeout=timeout)


def join(store: Store, number: int = 1, email: str = "") -> Subscription:
    person = reader(number, email=email or f"reader{number}@example.org")
    with store.begin() as tx:
        subscriptions.insert_new(tx, person, LONG_AGO)
    return person


def night(store: Store, fake: FakeLists, now: datetime = NOW) -> SyncResult:
    return sync(store, lists(fake), now, threading.Event())


def state(store: Store, person: Subscription) -> SubscriberState:
    with store.read() as tx:
        known = subscriptions.by_id(tx, person.id)
    assert known
    return known.state


def reason(store: Store, email: str) -> Reason | None:
    with store.read() as tx:
        return suppressions.reason_for(tx, email)


@pytest.mark.parametrize(
    ("name", "told", "end"),
    [
        ("spam_reports", {"ip": "10.0.0.1"}, SubscriberState.COMPLAINED),
        ("bounces", {"status": "5.1.1", "reason": "550 5.1.1 no"}, SubscriberState.BOUNCED),
        ("invalid_emails", {"reason": "no such domain"}, SubscriberState.BOUNCED),
        ("unsubscribes", {}, SubscriberState.UNSUBSCRIBED),
        ("bounces", {"status": "5.7.1", "reason": "550 5.7.1 policy"}, SubscriberState.ACTIVE),
        ("bounces", {"status": "", "reason": ""}, SubscriberState.ACTIVE),
        ("blocks", {"status": "5.1.1", "reason": "550 5.1.1 no"}, SubscriberState.ACTIVE),
    ],
)
def test_what_a_lost_webhook_would_have_told_is_learned_once(
    store: Store, fake: FakeLists, name: str, told: dict[str, str], end: SubscriberState
):
    person = join(store)
    fake.put(name, person.email.upper(), **told)
    fake.put(name, "stranger@example.org", **told)

    first, second = night(store, fake), night(store, fake)

    expected = None if end is SubscriberState.ACTIVE else Reason(end.value)
    assert state(store, person) is end
    assert reason(store, person.email) is expected
    assert reason(store, "stranger@example.org") is expected
    assert second == SyncResult()
    assert (first.imported == 2) is (end is not SubscriberState.ACTIVE or "status" in told)


def test_blocks_rest_a_reader_after_five_and_never_suppress(store: Store, fake: FakeLists):
    person = join(store)
    old = int((NOW - timedelta(days=30)).timestamp())
    fake.put("blocks", person.email, old, reason="policy")
    for day in (16, 12, 8, 4, 1):
        blocked = NOW - timedelta(days=day)
        fake.put("blocks", person.email, int(blocked.timestamp()), reason="x", status="5.7.1")
        assert state(store, person) is SubscriberState.ACTIVE
        assert night(store, fake, blocked + timedelta(hours=3)).imported == 1

    assert state(store, person) is SubscriberState.BOUNCED
    assert reason(store, person.email) is None


def test_a_block_that_a_webhook_told_is_not_counted_again(store: Store, fake: FakeLists):
    person = join(store)
    fake.put("blocks", person.email, reason="told by the list", status="4.7.0")
    fake.put("blocks", person.email, fake.second + 60, reason="told otherwise", status="4.7.0")

    assert night(store, fake).imported == 1


def test_all_pages_are_read(store: Store, fake: FakeLists):
    for number in range(1001):
        fake.put("unsubscribes", f"gone{number}@example.org")

    assert night(store, fake).imported == 1001

    asked = [one for one in fake.requests if "/unsubscribes" in one]
    assert [one.rpartition("offset=")[2] for one in asked] == ["0", "500", "1000"]


def test_our_departures_are_told_once(store: Store, fake: FakeLists):
    left, complained, bounced, stays, erased = (join(store, n) for n in range(1, 6))
    fake.put("unsubscribes", "other@example.org")
    with store.begin() as tx:
        subscriptions.leave(tx, left.id, "one-click", NOW)
        subscriptions.end_all(tx, complained.id, SubscriberState.COMPLAINED, "report", NOW)
        subscriptions.end_all(tx, bounced.id, SubscriberState.BOUNCED, "event", NOW)
        subscribers.erase(tx, erased.id, NOW)

    assert night(store, fake).exported == 2
    assert night(store, fake) == SyncResult()

    assert fake.emails("unsubscribes") == ["other@example.org", left.email, complained.email]
    assert len(fake.changes) == 1
    assert state(store, stays) is SubscriberState.ACTIVE


def test_who_came_back_is_taken_off_their_list(store: Store, fake: FakeLists):
    person = join(store, email="ann%41/x+y@example.org")
    fake.put("unsubscribes", person.email)
    with store.begin() as tx:
        subscriptions.leave(tx, person.id, "one-click", NOW)
        subscriptions.restore(tx, person.id, "page", NOW)

    assert night(store, fake) == SyncResult(removed=1)

    assert fake.emails("unsubscribes") == []
    assert state(store, person) is SubscriberState.ACTIVE


def test_an_import_takes_nobody_off_their_list(store: Store, fake: FakeLists):
    person = reader()
    with store.begin() as tx:
        import_reader(tx, person, NOW)
        [person] = subscriptions.of_address(tx, person.email)
    fake.put("unsubscribes", person.email)

    assert night(store, fake, NOW + timedelta(days=1)) == SyncResult(imported=1)

    assert state(store, person) is SubscriberState.UNSUBSCRIBED
    assert fake.changes == []


def test_a_reader_who_just_came_back_is_freed_before_the_nightly_sync(
    store: Store, fake: FakeLists
):
    person = join(store)
    join(store, 2)
    fake.put("unsubscribes", person.email)
    with store.begin() as tx:
        subscriptions.leave(tx, person.id, "one-click", NOW)
        subscriptions.restore(tx, person.id, "page", NOW)

    assert remove_returned(store, lists(fake), NOW + timedelta(minutes=4)) == 1
    assert remove_returned(store, lists(fake), NOW + timedelta(minutes=5)) == 1
    assert remove_returned(store, lists(fake), NOW + timedelta(hours=1)) == 0

    assert fake.emails("unsubscribes") == []


def test_a_stop_changes_nothing_more(store: Store, fake: FakeLists):
    person = join(store)
    fake.put("spam_reports", person.email)
    stop = threading.Event()
    stop.set()

    assert sync(store, lists(fake), NOW, stop) == SyncResult()
    assert state(store, person) is SubscriberState.ACTIVE


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (401, "permission Suppressions"),
        (403, "permission Suppressions"),
        (404, "answered 404"),
        (429, "answered 429"),
        (500, "answered 500"),
        (302, "answered 302"),
        (b'{"errors": []}', "not a JSON list"),
        (b"<html>", "not a JSON list"),
        ("stall", "cannot be reached"),
    ],
)
def test_trouble_is_one_line_and_tells_nobody_on(
    store: Store, fake: FakeLists, fault: int | str | bytes, said: str
):
    left = join(store)
    with store.begin() as tx:
        subscriptions.leave(tx, left.id, "one-click", NOW)
    fake.faults["unsubscribes"] = fault

    with pytest.raises(SuppressionListsError, match=said) as caught:
        sync(store, lists(fake, timeout=2.0 if fault == "stall" else 240.0), NOW, threading.Event())

    assert "secret" not in str(caught.value)
    assert fake.changes == []


def test_a_provider_that_is_away_is_one_line():
    given = settings(sendgrid_api_key="SG.secret-key", sendgrid_url="http://127.0.0.1:9")
    with pytest.raises(SuppressionListsError, match="cannot be reached"):
        list(SendGridSuppressions(given).read(ListName.BOUNCES))


def test_nonsense_in_a_list_is_passed_over(fake: FakeLists):
    good = {"email": "ann@example.org", "created": fake.second}
    fake.lists["bounces"] = [
        good,
        *({**good, "created": odd} for odd in (None, "1", True, -1, 10**30)),
        *({**good, "email": odd} for odd in (None, 7, "", "nobody", "a@b@c")),
    ]
    [page] = lists(fake).read(ListName.BOUNCES)
    assert [one.email for one in page] == ["ann@example.org"]


def forget(store: Store, person: Subscription, at: datetime = NOW) -> None:
    with store.begin() as tx:
        assert subscribers.erase(tx, person.id, at)


def left_to_tell(store: Store) -> list[str]:
    with store.read() as tx:
        return suppressions.queued_erasures(tx)


def test_an_erasure_is_passed_on_once_and_the_suppression_stays(store: Store, fake: FakeLists):
    person = join(store)
    forget(store, person)
    assert forward_erasures(store, lists(fake), NOW) == 1
    assert forward_erasures(store, lists(fake), NOW) == 0
    assert fake.erased == [person.email]
    assert left_to_tell(store) == []
    assert reason(store, person.email) is Reason.ERASED
    assert saved(store, person.email) is subscribers.SubscriberChange.SUPPRESSED


def saved(store: Store, email: str) -> subscribers.SubscriberChange:
    with store.begin() as tx:
        return import_reader(tx, reader(9, email=email), NOW)


def test_an_erasure_waits_while_the_provider_is_away(store: Store, fake: FakeLists):
    person = join(store)
    forget(store, person)
    fake.faults["erasejob"] = 503
    with pytest.raises(SuppressionListsError, match="503") as told:
        forward_erasures(store, lists(fake), NOW)
    assert person.email not in str(told.value)
    assert left_to_tell(store) == [person.email]
    del fake.faults["erasejob"]
    assert forward_erasures(store, lists(fake), NOW) == 1
    assert left_to_tell(store) == []


def test_no_address_is_kept_for_long_for_a_provider_that_erases_nothing(
    store: Store, fake: FakeLists, caplog: pytest.LogCaptureFixture
):
    person = join(store)
    forget(store, person, LONG_AGO)
    fake.faults["erasejob"] = 403
    assert forward_erasures(store, lists(fake), NOW) == 0
    assert left_to_tell(store) == []
    assert "by hand" in caplog.text
    assert person.email not in caplog.text


def test_where_nobody_keeps_lists_the_address_is_gone_at_the_next_round(store: Store):
    forget(store, join(store))
    assert forward_erasures(store, None, NOW) == 1
    assert left_to_tell(store) == []
