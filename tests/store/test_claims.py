"""The edges between the states of a delivery, each by itself: guards, reasons and times."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from newsletter.domain.mail import Delivery, DeliveryState
from newsletter.store import (
    claims,
    deliveries,
    first_mails,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter.store.claims import SendOutcome
from newsletter.store.tables import delivery
from tests.fakes.mail import RUBRIC, START, DeliveryScenario

if TYPE_CHECKING:
    from datetime import datetime

    from newsletter.store import Store

HOUR, INSTANT = timedelta(hours=1), timedelta(microseconds=1)
LATER = START + HOUR
PENDING, SENDING, SKIPPED = DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.SKIPPED
ACCEPTED, UNKNOWN, REJECTED = DeliveryState.ACCEPTED, DeliveryState.UNKNOWN, DeliveryState.REJECTED


@pytest.fixture
def scenario(store: Store) -> DeliveryScenario:
    made = DeliveryScenario(store)
    made.add_readers(3)
    made.make_digest()
    return made


def claimed(scenario: DeliveryScenario, *, limit: int = 1, now: datetime = START) -> list[Delivery]:
    with scenario.store.begin() as tx:
        mine, _ = claims.claim(
            tx, scenario.digest_id, "me", now=now, until=LATER, limit=limit, mailer="smtp"
        )
    return mine


def rows(scenario: DeliveryScenario) -> list[Any]:
    """In the order in which they are claimed."""
    return sorted(scenario.rows(), key=lambda row: row.id)


def address(scenario: DeliveryScenario, row: Any) -> str:
    with scenario.store.read() as tx:
        found = subscriptions.by_id(tx, row.subscriber_id)
    assert found
    return found.email


def put(scenario: DeliveryScenario, **values: Any) -> None:
    with scenario.store.begin() as tx:
        tx.execute(update(delivery).values(**values))


def recorded(scenario: DeliveryScenario, outcome: SendOutcome, now: datetime = LATER) -> int:
    with scenario.store.begin() as tx:
        return claims.record(tx, [outcome], now)


@pytest.mark.parametrize("state", DeliveryState)
def test_all_rows_are_counted_by_state(scenario: DeliveryScenario, state: DeliveryState) -> None:
    """States in the order of their names; those without rows are left out."""
    put(scenario, state=state)
    with scenario.store.begin() as tx:
        assert deliveries.count_all(tx) == {state: 3}
        one = rows(scenario)[0].id
        tx.execute(update(delivery).where(delivery.c.id == one).values(state=SKIPPED))
        found = deliveries.count_all(tx)
    assert found == ({SKIPPED: 3} if state is SKIPPED else {state: 2, SKIPPED: 1})
    assert list(found) == sorted(found)


def test_no_rows_are_counted_as_none(store: Store) -> None:
    with store.read() as tx:
        assert deliveries.count_all(tx) == {}


def test_a_claim_is_limited_and_records_owner_mailer_and_lease(scenario: DeliveryScenario) -> None:
    mine = claimed(scenario, limit=2, now=START + INSTANT)
    assert [one.id for one in mine] == [row.id for row in rows(scenario)[:2]]
    assert [one.subscription.email for one in mine] == [row.email for row in rows(scenario)[:2]]
    assert {(one.state, one.attempt, one.digest_id) for one in mine} == {
        (SENDING, 1, scenario.digest_id)
    }
    first, _, third = rows(scenario)
    assert (first.state, first.attempt, first.mailer) == (SENDING, 1, "smtp")
    assert (first.lease_owner, first.lease_until) == ("me", LATER)
    assert first.changed_at == START + INSTANT
    assert (third.state, third.attempt, third.lease_owner) == (PENDING, 0, None)
    assert third.changed_at == START


@pytest.mark.parametrize("state", [one for one in DeliveryState if one is not PENDING])
def test_only_a_pending_row_is_claimed_skipped_or_started(
    scenario: DeliveryScenario, state: DeliveryState
) -> None:
    """Between the choice and the start another process may have taken the row."""
    put(scenario, state=state, reason="as it was", changed_at=START)
    before = rows(scenario)
    assert claimed(scenario, limit=9, now=LATER) == []
    with scenario.store.begin() as tx:
        claims.mark_sending(tx, [row.id for row in before], LATER, owner="me", until=LATER + HOUR)
        skip = {"row": before[0].id, "now": LATER, "address": "a@b.example", "why": "left"}
        tx.execute(claims._SKIP, skip)
    assert rows(scenario) == before


@pytest.mark.parametrize(("wait", "many"), [(-INSTANT, 3), (timedelta(0), 3), (INSTANT, 0)])
def test_a_row_waits_until_its_time_and_no_longer(
    scenario: DeliveryScenario, wait: timedelta, many: int
) -> None:
    put(scenario, not_before=START + wait)
    assert len(claimed(scenario, limit=9)) == many


def test_who_left_meanwhile_is_skipped_with_the_reason_and_the_time(
    scenario: DeliveryScenario,
) -> None:
    first, *_ = rows(scenario)
    known = [address(scenario, row) for row in rows(scenario)]
    with scenario.store.begin() as tx:
        subscribers.pause(tx, first.subscriber_id, "page", START)
        suppressions.suppress(tx, known[1], suppressions.Reason.COMPLAINED, "hook", START)
        mine, skipped = claims.claim(
            tx, scenario.digest_id, "me", now=LATER, until=LATER + HOUR, limit=9
        )
    assert ([one.subscription.email for one in mine], skipped) == (known[2:], 2)
    paused, suppressed, _ = rows(scenario)
    assert (paused.state, paused.reason, paused.changed_at) == (SKIPPED, "paused", LATER)
    assert (suppressed.state, suppressed.reason) == (SKIPPED, "suppressed: complained")


@pytest.mark.parametrize(
    ("state", "failed", "failures"), [(PENDING, True, 1), (PENDING, False, 0), (REJECTED, True, 1)]
)
def test_what_an_attempt_came_to_is_stored_with_reason_and_time(
    scenario: DeliveryScenario,
    state: DeliveryState,
    failed: bool,  # noqa: FBT001
    failures: int,
) -> None:
    [mine] = claimed(scenario)
    wait = LATER + HOUR
    assert (
        recorded(scenario, SendOutcome(mine, state, "as told", not_before=wait, failed=failed)) == 1
    )
    row = rows(scenario)[0]
    assert (row.state, row.reason, row.not_before) == (state, "as told", wait)
    assert (row.failures, row.changed_at) == (failures, LATER)
    assert (row.lease_owner, row.lease_until) == (None, None)
    with scenario.store.read() as tx:
        assert claims.failures(tx, mine.id) == failures
        assert claims.failures(tx, "nobody") == 0


def test_ids_are_kept_where_a_later_outcome_has_none(scenario: DeliveryScenario) -> None:
    [mine] = claimed(scenario)
    recorded(scenario, SendOutcome(mine, UNKNOWN, provider_id="x" * 200, content_hash="c"))
    recorded(scenario, SendOutcome(mine, ACCEPTED))
    row = rows(scenario)[0]
    assert (row.state, row.provider_id, row.content_hash) == (ACCEPTED, "x" * 128, "c")


@pytest.mark.parametrize("state", list(DeliveryState))
def test_an_answer_moves_what_is_being_sent_and_proof_what_is_unknown(
    scenario: DeliveryScenario, state: DeliveryState
) -> None:
    [mine] = claimed(scenario)
    put(scenario, state=state)
    assert recorded(scenario, SendOutcome(mine, REJECTED)) == int(state is SENDING)
    put(scenario, state=state)
    assert recorded(scenario, SendOutcome(mine, ACCEPTED)) == int(state in {SENDING, UNKNOWN})


def test_an_answer_to_another_attempt_moves_nothing(scenario: DeliveryScenario) -> None:
    [mine] = claimed(scenario)
    put(scenario, attempt=2)
    assert recorded(scenario, SendOutcome(mine, ACCEPTED)) == 0
    with scenario.store.begin() as tx:
        assert claims.record(tx, [], LATER) == 0


@pytest.mark.parametrize(
    ("now", "dead", "many"),
    [(LATER, False, 0), (LATER + INSTANT, False, 1), (START, True, 1)],
)
def test_a_lease_holds_to_its_last_instant(
    scenario: DeliveryScenario,
    now: datetime,
    dead: bool,  # noqa: FBT001
    many: int,
) -> None:
    claimed(scenario)
    with scenario.store.begin() as tx:
        assert claims.expire_leases(tx, now, lambda owner: dead and owner == "me") == many
    row, *others = rows(scenario)
    assert {one.state for one in others} == {PENDING}
    if many:
        assert (row.state, row.reason, row.changed_at) == (UNKNOWN, claims.SENDER_LOST, now)
    else:
        assert (row.state, row.changed_at) == (SENDING, START)


def test_the_next_try_is_the_first_that_waits(scenario: DeliveryScenario) -> None:
    def at(now: datetime) -> datetime | None:
        with scenario.store.read() as tx:
            return claims.next_attempt_at(tx, scenario.digest_id, now)

    assert at(START) == START
    put(scenario, not_before=LATER)
    assert at(START) == LATER
    assert at(LATER + HOUR) == LATER + HOUR
    put(scenario, state=ACCEPTED)
    assert at(START) is None


def test_files_of_the_outbox_are_mailed_after_all_to_who_may_be_mailed(
    scenario: DeliveryScenario,
) -> None:
    put(scenario, state=ACCEPTED, mailer=claims.OUTBOX, provider_id="file", content_hash="c")
    first, second, _ = rows(scenario)
    known = address(scenario, second)
    with scenario.store.begin() as tx:
        subscribers.pause(tx, first.subscriber_id, "page", START)
        suppressions.suppress(tx, known, suppressions.Reason.UNSUBSCRIBED, "page", START)
        assert claims.count_outbox_only(tx, [scenario.digest_id]) == 1
        assert claims.count_outbox_only(tx, [scenario.digest_id + 1]) == 0
        claims.requeue_outbox_only(tx, [scenario.digest_id], LATER)
        assert claims.count_outbox_only(tx, [scenario.digest_id]) == 0
    *others, row = rows(scenario)
    assert ([one.state for one in others], row.state) == ([ACCEPTED, ACCEPTED], PENDING)
    assert (row.reason, row.changed_at) == ("it was in files alone", LATER)
    assert (row.provider_id, row.content_hash, row.not_before) == (None, None, None)


@pytest.mark.parametrize(("sent", "state"), [(True, ACCEPTED), (False, PENDING)])
def test_the_operator_resolves_only_unknown_mails(
    scenario: DeliveryScenario,
    sent: bool,  # noqa: FBT001
    state: DeliveryState,
) -> None:
    first, second, third = rows(scenario)
    with scenario.store.begin() as tx:
        for row, at in ((first, LATER), (second, START)):
            mine = delivery.c.id == row.id
            values = {"state": UNKNOWN, "reason": "no answer", "changed_at": at}
            tx.execute(update(delivery).where(mine).values(**values))
        assert [one.id for one in claims.unknown_deliveries(tx)] == [second.id, first.id]
        [oldest] = claims.unknown_deliveries(tx, limit=1)
        assert (oldest.email, oldest.rubric) == (second.email, RUBRIC)
        assert (oldest.reason, oldest.since) == ("no answer", START)
        assert claims.resolve(tx, first.id, LATER, sent=sent)
        assert not claims.resolve(tx, first.id, LATER, sent=sent)
        assert not claims.resolve(tx, third.id, LATER, sent=sent)
    row = rows(scenario)[0]
    assert (row.state, row.reason, row.changed_at) == (state, "by the operator", LATER)
    assert row.not_before is None


def test_of_first_mails_to_imported_addresses_a_hundred_leave_unless_all_may(store: Store) -> None:
    scenario = DeliveryScenario(store)
    people = scenario.add_readers(101)
    scenario.make_digest()
    with store.begin() as tx:
        first_mails.add_imported(tx, [suppressions.fingerprint(one.email) for one in people], START)
    for takes in (claims.claim, claims.select_pending):
        with store.engine.connect() as tx:
            given = {"owner": "me", "until": LATER} if takes is claims.claim else {}
            mine, _ = takes(tx, scenario.digest_id, now=START, limit=200, **given)
            tx.rollback()
        with store.engine.connect() as tx:
            every, _ = takes(tx, scenario.digest_id, now=START, limit=200, slowly=False, **given)
            tx.rollback()
        assert (len(mine), len(every)) == (100, 101)


def test_an_outcome_is_no_failure_unless_it_says_so_and_cannot_be_changed(
    scenario: DeliveryScenario,
) -> None:
    [mine] = claimed(scenario)
    outcome = SendOutcome(mine, PENDING)
    recorded(scenario, outcome)
    assert rows(scenario)[0].failures == 0
    with pytest.raises(FrozenInstanceError):
        outcome.failed = True  # type: ignore[misc]
    assert not hasattr(outcome, "__dict__")
