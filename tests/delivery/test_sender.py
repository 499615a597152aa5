"""The numbers in names are the acceptance cases in docs/delivery.md."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, select

from newsletter.delivery.sender import SendLimits, Tally
from newsletter.domain.mail import Delivery, DeliveryState, SubscriberState
from newsletter.mailers import SendError, SendFailure
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.process import is_dead
from newsletter.store import Store, StoreError, claims, deliveries, subscribers, subscriptions
from newsletter.store.tables import mailing
from tests.fakes.loopback import free_port
from tests.fakes.mail import DeliveryScenario, FakeMailer, reader, settings
from tests.fakes.sendgrid import FakeSendGrid, Fault, refusal
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from newsletter.domain.mail import Email


def sendgrid(fake: FakeSendGrid, timeout: float = 240.0) -> SendGridMailer:
    given = settings(sendgrid_api_key="SG.secret", sendgrid_url=fake.url)
    return SendGridMailer(given, timeout=timeout)


def failing(failure: SendFailure, times: int = 10**9, wait: float | None = None) -> FakeMailer:
    left = iter(range(times))

    def fail(_email: Email) -> None:
        if next(left, None) is not None:
            raise SendError(failure, "as told", wait)

    return FakeMailer(before=fail)


def to_one(number: int, fault: Fault) -> Callable[[dict], Fault | None]:
    address = f"reader{number}@example.org"

    def choose(payload: dict) -> Fault | None:
        hit = payload["personalizations"][0]["to"][0]["email"] == address
        return fault if hit else None

    return choose


def test_everyone_gets_it_once_however_often_it_is_run(scenario: DeliveryScenario):
    scenario.add_readers(5)
    scenario.make_digest()
    mailer = FakeMailer()

    assert scenario.send(mailer) == Tally(accepted=5)
    assert scenario.send(mailer) == Tally(accepted=5)

    assert sorted(e.to_email for e in mailer.taken) == [
        f"reader{n}@example.org" for n in range(1, 6)
    ]
    assert {row.provider_id for row in scenario.rows()} == {f"id-{n}" for n in range(1, 6)}
    assert all(len(row.content_hash) == 64 and row.attempt == 1 for row in scenario.rows())


def test_an_audience_is_counted_with_who_gets_nothing_and_why(scenario: DeliveryScenario):
    people = scenario.add_readers(5)
    with scenario.store.begin() as tx:
        subscribers.pause(tx, people[0].id, "page", scenario.clock.now())
        subscriptions.leave(tx, people[1].id, "one-click", scenario.clock.now())
    scenario.add_readers(1, email="else@example.org", rubric="warm-stars")
    scenario.make_digest()

    with scenario.store.begin() as tx:
        audience = deliveries.count_audience(
            tx, scenario.digest_id, "cold-stars", scenario.clock.now()
        )
        stored = tx.execute(select(mailing)).one()

    assert (audience.candidates, audience.prepared) == (5, 3)
    assert audience.excluded == {"paused": 1, "unsubscribed": 1}
    assert audience.candidates == audience.prepared + sum(audience.excluded.values())
    assert (stored.candidates, stored.excluded) == (5, audience.excluded)


def test_planning_takes_as_many_statements_for_fifty_readers_as_for_one(scenario: DeliveryScenario):
    said = []
    event.listen(scenario.store.engine, "before_cursor_execute", lambda *told: said.append(told[2]))
    asked = []
    for people in (1, 50):
        rubric = f"stars-{people}"
        arrived = [reader(people * 100 + n, rubric=rubric) for n in range(people)]
        with scenario.store.begin() as tx:
            for person in arrived:
                subscriptions.insert_new(tx, person, scenario.clock.now())
        said.clear()
        scenario.make_digest(rubric=rubric)
        asked.append(len(said))
    # PostgreSQL is told in a statement of its own how to plan.
    assert asked[0] == asked[1] <= 13 + (not scenario.store.is_sqlite)


def test_ids_are_made_in_order_and_cannot_be_guessed(scenario: DeliveryScenario):
    scenario.add_readers(20)
    scenario.make_digest()
    ids = sorted(row.id for row in scenario.rows())
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert [int(one[6:14], 16) for one in ids] == list(range(1, 21))
    assert len({one[14:] for one in ids}) == 20


def test_the_row_says_sending_before_the_request_leaves(scenario: DeliveryScenario):
    scenario.add_readers(3)
    scenario.make_digest()
    seen = []

    def look(email: Email) -> None:
        seen.append(scenario.states()[email.to_email])

    scenario.send(FakeMailer(before=look))

    assert seen == [DeliveryState.SENDING] * 3


def test_03_an_ambiguous_answer_is_never_sent_again(scenario: DeliveryScenario, fake: FakeSendGrid):
    scenario.add_readers(4)
    scenario.make_digest()
    one = SendLimits(threads=1)
    fake.faults.append(Fault(act="stall", accepts=True))
    # The first mail alone is waited for in vain: a busy machine may be slow to answer the others.
    begun = iter([False])
    hasty = scenario.send(sendgrid(fake, timeout=0.5), limits=one, stop=lambda: next(begun, True))
    assert hasty == Tally(unknown=1, pending=3)
    assert wait_until(lambda: fake.requests)
    fake.faults.extend([Fault(act="reset", accepts=True), Fault(act="truncate", accepts=True)])

    assert scenario.send(sendgrid(fake), limits=one) == Tally(accepted=1, unknown=3)
    assert scenario.send(sendgrid(fake)) == Tally(accepted=1, unknown=3)
    assert len(fake.requests) == len(set(fake.addresses)) == 4


def test_04_what_is_provably_unsent_is_tried_again_later(scenario: DeliveryScenario):
    scenario.add_readers(1)
    scenario.make_digest()
    mailer = failing(SendFailure.UNSENT, times=3)

    assert scenario.send(mailer) == Tally(accepted=1)

    assert len(mailer.taken) == 1
    assert [round(nap) for nap in scenario.clock.naps] == [2, 4, 8]
    [row] = scenario.rows()
    assert (row.attempt, row.failures) == (4, 3)


def test_04_a_row_that_never_gets_through_waits_for_the_next_run(scenario: DeliveryScenario):
    scenario.add_readers(2)
    scenario.make_digest()

    tally = scenario.send(failing(SendFailure.UNSENT), limits=SendLimits(threads=1))

    assert tally.pending == 2
    assert round(sum(scenario.clock.naps)) == 2 + 4 + 8 + 16 + 32
    assert scenario.send(FakeMailer()) == Tally(accepted=2)


def test_04_when_nothing_can_be_reached_the_run_stops_early(scenario: DeliveryScenario):
    scenario.add_readers(40)
    scenario.make_digest()
    tries = []
    mailer = failing(SendFailure.UNSENT)
    fail = mailer.before
    mailer.before = lambda email: (tries.append(email), fail(email))[1]

    tally = scenario.send(mailer, limits=SendLimits(threads=4))

    assert tally.pending == 40
    assert "in a row" in tally.halted_reason
    assert 60 <= sum(scenario.clock.naps) < 80
    assert len(tries) < 50


@pytest.mark.parametrize("people", [1, 9, 40])
@pytest.mark.parametrize("failure", [SendFailure.UNSENT, SendFailure.THROTTLED])
@pytest.mark.parametrize("seconds", [5, 55])
def test_04_a_mail_server_that_is_started_anew_does_not_end_the_run(
    scenario: DeliveryScenario, people: int, failure: SendFailure, seconds: int
):
    """Before, ten refused connections did: with 40 readers that was in the same second."""
    scenario.add_readers(people)
    scenario.make_digest()
    back = scenario.clock.now() + timedelta(seconds=seconds)

    def refuse(_email: Email) -> None:
        if scenario.clock.now() < back:
            raise SendError(failure, "connection refused")

    mailer = FakeMailer(before=refuse)

    assert scenario.send(mailer, limits=SendLimits()) == Tally(accepted=people)

    assert len(mailer.taken) == people
    assert scenario.clock.now() - back < timedelta(seconds=40)


def test_04_a_refused_connection_loses_nobody(scenario: DeliveryScenario, fake: FakeSendGrid):
    scenario.add_readers(2)
    scenario.make_digest()
    nobody = f"http://127.0.0.1:{free_port()}"
    dead = SendGridMailer(settings(sendgrid_api_key="SG.secret", sendgrid_url=nobody))

    assert scenario.send(dead).pending == 2
    assert scenario.send(sendgrid(fake)) == Tally(accepted=2)
    assert len(fake.messages) == 2


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry_After": "7"}, 7, 7.8),
        ({"Retry_After": "Tue, 23 Sep 2025 06:00:20 GMT"}, 1, 300 * 1.1),
        ({"X_RateLimit_Reset": "4070908800"}, 300, 330),
        ({"X_RateLimit_Reset": "1000"}, 4, 4.5),
        ({"Retry_After": "soon"}, 4, 4.5),
        ({}, 4, 4.5),
    ],
)
def test_05_too_many_requests_pauses_everyone_and_is_no_failure(
    scenario: DeliveryScenario,
    fake: FakeSendGrid,
    headers: dict[str, str],
    least: float,
    most: float,
):
    scenario.add_readers(3)
    scenario.make_digest()
    fake.faults.append(refusal(429, "too many requests", **headers))

    assert scenario.send(sendgrid(fake), limits=SendLimits(threads=1)) == Tally(accepted=3)

    assert len(scenario.clock.naps) == 1
    assert least <= scenario.clock.naps[0] <= most
    assert [row.failures for row in scenario.rows()] == [0, 0, 0]
    assert sorted(fake.addresses) == sorted(scenario.states())


def test_05_endless_throttling_ends_the_run_without_a_hot_loop(scenario: DeliveryScenario):
    scenario.add_readers(3)
    scenario.make_digest()
    mailer = failing(SendFailure.THROTTLED, wait=0.0)

    tally = scenario.send(mailer, limits=SendLimits(threads=1))

    assert tally.pending == 3
    assert "10 in a row" in tally.halted_reason
    assert len(scenario.clock.naps) == 9
    assert all(nap >= 1 for nap in scenario.clock.naps)


@pytest.mark.parametrize("status", [401, 403])
def test_06_no_credit_halts_the_run_and_marks_nobody(
    scenario: DeliveryScenario, fake: FakeSendGrid, status: int
):
    scenario.add_readers(12)
    scenario.make_digest()
    fake.faults.extend([Fault()] * 4 + [refusal(status, "Maximum credits exceeded")] * 20)

    tally = scenario.send(sendgrid(fake), limits=SendLimits(threads=3))

    assert (tally.accepted, tally.pending) == (4, 8)
    assert "Maximum credits exceeded" in tally.halted_reason
    assert len(fake.requests) <= 4 + 3
    with scenario.store.read() as tx:
        assert tx.execute(select(mailing.c.halted)).scalar_one() == tally.halted_reason
    fake.faults.clear()
    assert scenario.send(sendgrid(fake)) == Tally(accepted=12)
    assert len(fake.addresses) == len(set(fake.addresses)) == 12


def test_07_one_bad_address_is_rejected_alone(scenario: DeliveryScenario, fake: FakeSendGrid):
    scenario.add_readers(3)
    scenario.make_digest()
    bad = refusal(400, "Does not contain a valid address.", "personalizations.0.to.0.email")
    fake.fault_for = to_one(2, bad)

    assert scenario.send(sendgrid(fake)) == Tally(accepted=2, rejected=1)

    assert scenario.states()["reader2@example.org"] is DeliveryState.REJECTED
    assert scenario.send(sendgrid(fake)) == Tally(accepted=2, rejected=1)
    assert len(fake.requests) == 3


@pytest.mark.parametrize("where", ["from", "content.0.value", None])
def test_07_a_fault_of_the_message_halts_instead_of_rejecting_all(
    scenario: DeliveryScenario, fake: FakeSendGrid, where: str | None
):
    scenario.add_readers(5)
    scenario.make_digest()
    fake.fault_for = lambda _payload: refusal(400, "Wrong.", where)

    tally = scenario.send(sendgrid(fake), limits=SendLimits(threads=2))

    assert (tally.pending, tally.rejected) == (5, 0)
    assert "Wrong." in tally.halted_reason
    assert len(fake.requests) <= 2


@pytest.mark.parametrize("status", [200, 204, 302])
def test_08_what_is_not_202_is_no_success(
    scenario: DeliveryScenario, fake: FakeSendGrid, status: int
):
    scenario.add_readers(1)
    scenario.make_digest()
    fake.faults.append(Fault(status, headers={"Location": f"{fake.url}/elsewhere"}))

    tally = scenario.send(sendgrid(fake))

    assert tally.pending == 1
    assert str(status) in tally.halted_reason
    assert len(fake.requests) == 1


def test_five_server_errors_in_a_row_end_the_run(scenario: DeliveryScenario, fake: FakeSendGrid):
    scenario.add_readers(30)
    scenario.make_digest()
    fake.fault_for = lambda _payload: refusal(503, "down")

    tally = scenario.send(sendgrid(fake), limits=SendLimits(threads=2))

    assert 5 <= tally.unknown <= 7
    assert tally.unknown + tally.pending == 30
    assert "5 in a row" in tally.halted_reason


def test_09_concurrent_runs_share_the_work_and_double_nothing(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    scenario.add_readers(40)
    scenario.make_digest()
    tallies: list[Tally] = []
    start = threading.Barrier(3)

    def run() -> None:
        start.wait()
        scenario.plan()
        tallies.append(scenario.send(sendgrid(fake)))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(tallies) == 3
    assert len(fake.addresses) == len(set(fake.addresses)) == 40
    assert scenario.send(sendgrid(fake)) == Tally(accepted=40)


def test_10_who_leaves_before_the_claim_is_not_mailed(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    people = scenario.add_readers(5)
    scenario.make_digest()
    now = scenario.clock.now()
    with scenario.store.begin() as tx:
        subscriptions.leave(tx, people[0].id, "one-click", now)
        subscriptions.end_all(tx, people[1].id, SubscriberState.COMPLAINED, "spamreport", now)
        subscribers.pause(tx, people[2].id, "reply", now)
        subscribers.erase(tx, people[3].id, now)

    assert scenario.send(sendgrid(fake)) == Tally(accepted=1, skipped=4)

    assert fake.addresses == ["reader5@example.org"]
    assert sorted(row.reason for row in scenario.rows() if row.reason) == [
        "paused",
        "suppressed: complained",
        "suppressed: unsubscribed",
        "unsubscribed",
    ]


def test_10_leaving_in_the_middle_of_a_run_is_obeyed_at_once(scenario: DeliveryScenario):
    people = {person.email: person for person in scenario.add_readers(10)}
    scenario.make_digest()

    def leave(email: Email) -> None:
        with scenario.store.begin() as tx:
            for address, person in people.items():
                if address != email.to_email:
                    subscriptions.leave(tx, person.id, "one-click", scenario.clock.now())

    mailer = FakeMailer(before=leave)

    assert scenario.send(mailer, limits=SendLimits(threads=1)) == Tally(accepted=1, skipped=9)
    assert len(mailer.taken) == 1


def test_the_rate_limit_holds_over_the_whole_run(scenario: DeliveryScenario):
    scenario.add_readers(12)
    scenario.make_digest()
    started = []
    mailer = FakeMailer(before=lambda _email: started.append(scenario.clock.now()))

    scenario.send(mailer, limits=SendLimits(threads=4, per_second=2))

    assert len(started) == 12
    for first in started:
        within = [t for t in started if first <= t < first + timedelta(seconds=1)]
        assert len(within) <= 4
    assert (started[-1] - started[0]).total_seconds() >= 5


def test_25_a_stop_leaves_the_rest_pending_and_nothing_sending(scenario: DeliveryScenario):
    scenario.add_readers(20)
    scenario.make_digest()
    mailer = FakeMailer()

    tally = scenario.send(mailer, stop=lambda: len(mailer.taken) >= 5)

    assert tally.sending == 0
    assert 5 <= tally.accepted <= 8
    assert tally.accepted + tally.pending == 20
    assert scenario.send(mailer) == Tally(accepted=20)


def test_a_program_error_leaves_its_row_unknown_and_the_others_intact(
    scenario: DeliveryScenario,
):
    scenario.add_readers(6)
    scenario.make_digest()
    calls = []

    def break_third(_email: Email) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        scenario.send(FakeMailer(before=break_third), limits=SendLimits(threads=1))

    states = [row.state for row in scenario.rows()]
    assert states.count("sending") == 1
    scenario.clock.sleep(3600)
    assert scenario.send(FakeMailer()) == Tally(accepted=5, unknown=1)


def test_a_mail_that_cannot_be_composed_was_not_sent(scenario: DeliveryScenario):
    scenario.add_readers(2)
    scenario.make_digest()

    def broken(_delivery: object) -> Email:
        raise KeyError

    from newsletter.delivery.sender import deliver

    with pytest.raises(KeyError):
        deliver(
            scenario.store,
            FakeMailer(),
            scenario.digest_id,
            broken,
            clock=scenario.clock.now,
            sleep=scenario.clock.sleep,
        )
    assert set(scenario.states().values()) == {DeliveryState.PENDING}


def test_progress_ends_at_all_of_them(scenario: DeliveryScenario):
    scenario.add_readers(3)
    scenario.make_digest()
    said: list[tuple[int, int]] = []

    scenario.send(FakeMailer(), progress=lambda done, total: said.append((done, total)))

    assert said[-1] == (3, 3)
    assert said == sorted(said)


def test_an_answer_after_the_lease_is_still_proof(scenario: DeliveryScenario):
    scenario.add_readers(1)
    scenario.make_digest()
    later = scenario.clock.now() + timedelta(hours=1)
    with scenario.store.begin() as tx:
        [owed], _ = claims.claim(
            tx, scenario.digest_id, "elsewhere/1/x", now=scenario.clock.now(), until=later, limit=5
        )
    with scenario.store.begin() as tx:
        assert claims.expire_leases(tx, later - timedelta(minutes=1), is_dead) == 0
        assert claims.expire_leases(tx, later + timedelta(minutes=1), is_dead) == 1
        for state, changes in (
            (DeliveryState.PENDING, False),
            (DeliveryState.REJECTED, False),
            (DeliveryState.ACCEPTED, True),
        ):
            outcome = claims.SendOutcome(owed, state, provider_id="late")
            assert claims.record(tx, [outcome], later) == changes
    assert set(scenario.states().values()) == {DeliveryState.ACCEPTED}


def test_03_the_operator_resolves_unknown_mails(scenario: DeliveryScenario):
    scenario.add_readers(2)
    scenario.make_digest()
    scenario.send(failing(SendFailure.UNKNOWN), limits=SendLimits(threads=1))
    now = scenario.clock.now()
    with scenario.store.begin() as tx:
        first, second = sorted(claims.unknown_deliveries(tx), key=lambda doubt: doubt.email)
        assert (first.rubric, first.reason) == ("cold-stars", "as told")
        assert claims.resolve(tx, first.id, now, sent=True)
        assert claims.resolve(tx, second.id, now, sent=False)
        assert not claims.resolve(tx, first.id, now, sent=False)
        assert claims.unknown_deliveries(tx) == []
    mailer = FakeMailer()
    assert scenario.send(mailer) == Tally(accepted=2)
    assert [mail.to_email for mail in mailer.taken] == [second.email]


def test_25_without_a_durable_mark_no_request_leaves(scenario: DeliveryScenario):
    scenario.add_readers(5)
    scenario.make_digest()

    class Full(Store):
        """A disk that is full from the first claim on."""

        commits = 0

        @contextmanager
        def begin(self) -> Iterator[Connection]:
            with super().begin() as tx:
                yield tx
                self.commits += 1
                if self.commits > 1:
                    message = "database or disk is full"
                    raise StoreError(message)

    mailer = FakeMailer()
    full = DeliveryScenario(
        Full(scenario.store.url.render_as_string(hide_password=False)), scenario.clock
    )
    full.digest_id = scenario.digest_id
    with pytest.raises(StoreError, match="full"):
        full.send(mailer)
    full.store.close()

    assert mailer.taken == []
    assert set(scenario.states().values()) == {DeliveryState.PENDING}
    assert scenario.send(mailer) == Tally(accepted=5)


def test_the_content_of_a_second_try_is_that_of_the_first(scenario: DeliveryScenario):
    scenario.add_readers(1)
    scenario.make_digest()
    hashes = []

    def note(_email: Email) -> None:
        hashes.append(scenario.rows()[0].content_hash)
        if len(hashes) < 3:
            raise SendError(SendFailure.UNSENT, "as told")

    scenario.send(FakeMailer(before=note))
    assert hashes[0] is None
    assert hashes[1] == hashes[2] == scenario.rows()[0].content_hash


def test_what_an_earlier_attempt_says_late_does_not_touch_a_later_one(scenario: DeliveryScenario):
    scenario.add_readers(1)
    scenario.make_digest()
    now = scenario.clock.now()

    def take() -> Delivery:
        with scenario.store.begin() as tx:
            [owed], _ = claims.claim(
                tx, scenario.digest_id, "x", now=now, until=now + timedelta(hours=1), limit=1
            )
        return owed

    first = take()
    with scenario.store.begin() as tx:
        assert claims.record(tx, [claims.SendOutcome(first, DeliveryState.PENDING)], now) == 1
    second = take()
    assert (first.attempt, second.attempt) == (1, 2)
    with scenario.store.begin() as tx:
        for state in (DeliveryState.ACCEPTED, DeliveryState.UNKNOWN, DeliveryState.PENDING):
            assert claims.record(tx, [claims.SendOutcome(first, state)], now) == 0
    assert set(scenario.states().values()) == {DeliveryState.SENDING}


def test_who_wants_no_mail_on_this_weekday_gets_none_and_is_counted(scenario: DeliveryScenario):
    scenario.add_readers(1, days=("mon", "fri"))
    for day, prepared in ((date(2025, 9, 23), 0), (date(2025, 9, 26), 1)):
        scenario.make_digest(day)
        assert len(scenario.rows()) == prepared
    with scenario.store.begin() as tx:
        audience = deliveries.count_audience(tx, 1, "cold-stars", scenario.clock.now())
    assert audience.excluded == {"not yet due": 1}
