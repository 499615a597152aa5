"""Grouped sending: who gets what, and what becomes of a request whose answer is lost."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from newsletter.delivery.batch_sender import SCHEDULE_AHEAD, deliver_batches, recover_lost
from newsletter.delivery.personalize import Personalizer
from newsletter.delivery.planner import plan_due, rubrics_with_mail_due
from newsletter.delivery.sender import SendLimits, Tally, deliver
from newsletter.domain.mail import BatchEmail, DeliveryState, EventKind, Format, SubscriberState
from newsletter.domain.tasks import Task, TaskKind
from newsletter.inbound.processor import process_new, store_mail
from newsletter.inbound.sendgrid_webhooks import read_events
from newsletter.jobs import tasks
from newsletter.mailers import SendError, SendFailure
from newsletter.mailers.sendgrid.batch import SendGridBatches
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.render import Renderer
from newsletter.store import (
    Store,
    claims,
    digests,
    events,
    mail_batches,
    subscribers,
    subscriptions,
)
from newsletter.store.events import Event
from newsletter.store.mail_batches import MailBatchState
from newsletter.store.tables import delivery, mail_group
from tests.fakes.app import app_of
from tests.fakes.groups import LEAD, SmallGroups, ahead, mailer, message, run, states
from tests.fakes.installation import Installation
from tests.fakes.mail import (
    LINKS,
    RUBRIC,
    SENDER,
    START,
    Clock,
    DeliveryScenario,
    FakeMailer,
    settings,
)
from tests.fakes.sendgrid import FakeSendGrid, Fault, refusal
from tests.render.gallery import issues

if TYPE_CHECKING:
    from pathlib import Path

ONE_BY_ONE = ("Message-ID",)


def sends(fake: FakeSendGrid) -> int:
    return [path for path, _, _ in fake.requests].count("/v3/mail/send")


def lose_answers(
    scenario: DeliveryScenario, fake: FakeSendGrid, count: int = 1, *, accepts: bool = False
) -> None:
    """Lose the next answers so late that their batches can't be cancelled any more."""
    left = [Fault(act="reset", accepts=accepts)] * count

    def lose(_payload: object) -> Fault | None:
        if left:
            scenario.clock.sleep(3 * 60)
        return left.pop() if left else None

    fake.fault_for = lose


def settled(scenario: DeliveryScenario, people: int) -> DeliveryScenario:
    scenario.add_readers(people)
    scenario.make_digest()
    return scenario


def test_everyone_gets_it_once_in_few_requests(scenario: DeliveryScenario, fake: FakeSendGrid):
    settled(scenario, 25)
    seen = []

    tally = run(scenario, fake, progress=lambda done, total: seen.append((done, total)))

    assert tally == Tally(accepted=25)
    assert (tally.sent, seen[-1]) == (25, (25, 25))
    assert [len(m["personalizations"]) for m in fake.messages] == [10, 10, 5]
    assert sorted(fake.addresses) == sorted(row.email for row in scenario.rows())
    assert run(scenario, fake) == Tally(accepted=25)
    assert sends(fake) == 3
    assert len({row.provider_id for row in scenario.rows()}) == 3
    assert {(row.attempt, row.content_hash) for row in scenario.rows()} == {(1, "0" * 64)}
    # The words of each reader, and the ids by which events find the row.
    by_email = {row.email: row for row in scenario.rows()}
    for one in fake.received:
        assert one.text == f"One paper for {one.name}.\n"
        assert one.args["dg_delivery_id"] == by_email[one.to].id
        assert one.args["dg_group_id"] == by_email[one.to].group_id


HOSTILE = "Ann <b>&amp; -dg-h-recipient- ; \x02recipient\x03 {{name}}"


def test_a_copy_is_what_it_would_be_alone(store: Store, fake: FakeSendGrid):
    """But for Message-ID and Reply-To, which can't be each reader's own there."""
    scenario = DeliveryScenario(store)
    given: list[dict[str, Any]] = [{}, {"name": HOSTILE}, {"name": ""}, {"format": Format.BRIEF}]
    given += [{"format": Format.TITLES, "max_papers": 1}, {"max_papers": 1}, {"since": None}]
    for number, changes in enumerate(given):
        scenario.add_readers(1, **{"email": f"r{number}@example.org", **changes})
    scenario.make_digest()
    paper = replace(issues.paper(1), title="100 % -dg- <script> & {{x}} \\x02")
    digest = issues.digest((issues.pick(1), replace(issues.pick(2), paper=paper)))
    copies = Personalizer(Renderer(issues.SITE), LINKS, SENDER, digest, None)

    def both(url: str) -> Tally:
        sender = SendGridBatches(settings(sendgrid_api_key="SG.x", sendgrid_url=url))
        return deliver_batches(
            store,
            sender,
            scenario.digest_id,
            copies.batch_email,
            due=lambda _schedule: None,
            clock=scenario.clock.now,
            sleep=scenario.clock.sleep,
        )

    fake.batches.clock = lambda: scenario.clock.now().timestamp()
    assert both(fake.url) == Tally(accepted=7)
    with store.begin() as tx:
        tx.execute(update(delivery).values(state="pending"))
    alone = FakeMailer()
    deliver(
        store,
        alone,
        scenario.digest_id,
        lambda owed: copies.email(owed.subscription, owed.id, scenario.clock.now()),
        clock=scenario.clock.now,
        sleep=scenario.clock.sleep,
    )

    expected = {mail.to_email: mail for mail in alone.taken}
    assert len(fake.messages) == 4
    for one in fake.received:
        mail = expected[one.to]
        assert (one.html, one.text, one.subject) == (mail.html, mail.text, mail.subject)
        assert one.headers == dict(mail.headers)
        assert one.args["dg_delivery_id"] == mail.delivery_id
        assert one.name == mail.to_name
        assert one.reply_to == "reply+list@in.example.org"


def test_readers_of_one_instant_leave_together_whatever_it_is_called(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    scenario.add_readers(2, timezone="Europe/Berlin", send_at=time(8))
    for number, zone in ((3, "Europe/Paris"), (4, "UTC"), (5, None)):
        scenario.add_readers(1, email=f"reader{number}@example.org", timezone=zone, send_at=time(8))
    scenario.make_digest()
    hours = {"Europe/Berlin": LEAD, "Europe/Paris": LEAD, "UTC": 2 * LEAD, None: -LEAD}
    start = scenario.clock.now()

    tally = run(scenario, fake, due=lambda schedule: start + hours[schedule.timezone])

    assert tally == Tally(accepted=5)
    sizes = {m.get("send_at"): len(m["personalizations"]) for m in fake.messages}
    second = int(start.timestamp())
    assert sizes == {second + 900: 3, second + 1800: 1, second + 720: 1}
    assert all(m["batch_id"] for m in fake.messages)


@pytest.mark.parametrize("minutes", [-5, 0, 5, 10])
def test_mail_that_is_due_sooner_is_scheduled_twelve_minutes_ahead_and_can_be_cancelled(
    scenario: DeliveryScenario, fake: FakeSendGrid, minutes: int
):
    settled(scenario, 1)
    lead = timedelta(minutes=minutes)
    assert run(scenario, fake, due=ahead(scenario, lead)) == Tally(accepted=1)
    [message_] = fake.messages
    assert message_["send_at"] == int(START.timestamp()) + 720
    assert message_["batch_id"]


@pytest.mark.parametrize("fault", [Fault(500), Fault(act="reset", accepts=True)])
def test_a_lost_answer_to_mail_that_is_due_now_is_cancelled_and_sent_again(
    scenario: DeliveryScenario, fake: FakeSendGrid, fault: Fault
):
    settled(scenario, 15)
    fake.faults.append(fault)

    assert run(scenario, fake) == Tally(accepted=15)
    assert sorted(fake.addresses) == sorted(row.email for row in scenario.rows())


def test_10_who_left_before_the_claim_is_left_out(scenario: DeliveryScenario, fake: FakeSendGrid):
    people = scenario.add_readers(3)
    scenario.make_digest()
    with scenario.store.begin() as tx:
        subscriptions.leave(tx, people[0].id, "one-click", scenario.clock.now())
        subscribers.pause(tx, people[1].id, "page", scenario.clock.now())

    assert run(scenario, fake) == Tally(accepted=1, skipped=2)
    assert fake.addresses == [people[2].email]


def test_the_batch_is_committed_before_the_request_leaves(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 3)
    seen = []

    def look(_payload: object) -> Fault | None:
        seen.append((states(scenario.store), set(scenario.states().values())))
        return None

    fake.fault_for = look
    run(scenario, fake)
    assert seen == [([MailBatchState.STARTED], {DeliveryState.SENDING})]


class FirstHasty(SmallGroups):
    """Has a short timeout for the first batch: a busy machine may be slow to answer the others."""

    def __init__(self, fake: FakeSendGrid) -> None:
        given = settings(sendgrid_api_key="SG.secret", sendgrid_url=fake.url)
        super().__init__(given, timeout=240.0)
        self.first = [SmallGroups(given, timeout=3.0)]

    def send_batch(self, batch: BatchEmail) -> str:
        return self.first.pop().send_batch(batch) if self.first else super().send_batch(batch)


@pytest.mark.parametrize("act", ["stall", "reset", "garbage", "truncate"])
@pytest.mark.parametrize("accepts", [True, False])
def test_a_batch_with_a_lost_answer_is_cancelled_and_sent_again(
    scenario: DeliveryScenario, fake: FakeSendGrid, act: str, *, accepts: bool
):
    settled(scenario, 15)
    fake.faults.append(Fault(act=act, accepts=accepts))

    tally = run(scenario, fake, due=ahead(scenario), mailer=FirstHasty(fake))

    assert tally == Tally(accepted=15)
    assert max(Counter(fake.addresses).values()) == 1
    assert len(fake.addresses) == 15
    assert Counter(states(scenario.store)) == {
        MailBatchState.CANCELLED: 1,
        MailBatchState.ACCEPTED: 2,
    }
    batches = [m["batch_id"] for m in fake.messages]
    assert len(set(batches)) == len(batches)


def test_an_answer_lost_too_late_to_cancel_leaves_the_whole_batch_unknown(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 15)
    lose_answers(scenario, fake, accepts=True)

    assert run(scenario, fake) == Tally(accepted=5, unknown=10)
    assert run(scenario, fake) == Tally(accepted=5, unknown=10)
    assert max(Counter(fake.addresses).values()) == 1
    with scenario.store.read() as tx:
        [doubt] = mail_batches.unknown_batches(tx)
    assert (doubt.readers, doubt.rubric) == (10, "cold-stars")


def event_of(row: Any, **changes: Any) -> Event:
    given: dict[str, Any] = {
        "kind": EventKind.PROCESSED,
        "email": row.email,
        "at": START,
        "delivery_id": row.id,
        "group_id": row.group_id,
        "smtp_id": f"{row.id}@geopod",
    }
    return Event(**{**given, **changes})


def test_one_event_of_one_reader_proves_the_whole_batch(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 15)
    lose_answers(scenario, fake, accepts=True)
    run(scenario, fake)
    row = next(row for row in scenario.rows() if row.state == DeliveryState.UNKNOWN)

    with scenario.store.begin() as tx:
        events.apply(tx, [event_of(row)], scenario.clock.now())

    assert set(scenario.states().values()) == {DeliveryState.ACCEPTED}
    assert states(scenario.store) == [MailBatchState.ACCEPTED] * 2
    named = {one.email: one.message_id for one in scenario.rows() if one.message_id}
    assert named == {row.email: f"{row.id}@geopod"}


def test_an_event_of_a_cancelled_batch_keeps_its_reader_from_a_second_copy(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 2)
    fake.faults.append(Fault(act="reset", accepts=True))
    run(scenario, fake, due=ahead(scenario), stop=iter([False, True, True]).__next__)
    assert set(scenario.states().values()) == {DeliveryState.PENDING}

    with scenario.store.begin() as tx:
        events.apply(tx, [event_of(scenario.rows()[0])], scenario.clock.now())
    fake.batches.withdrawn.clear()
    run(scenario, fake)

    # It says whose mail went out all the same, and the other's may have: that is in the log.
    assert Counter(fake.addresses)[scenario.rows()[0].email] == 1


@pytest.mark.parametrize("sent", [True, False])
def test_the_operator_decides_on_an_unknown_batch(
    scenario: DeliveryScenario, fake: FakeSendGrid, *, sent: bool
):
    settled(scenario, 10)
    lose_answers(scenario, fake, accepts=sent)
    run(scenario, fake)
    with scenario.store.begin() as tx:
        [doubt] = mail_batches.unknown_batches(tx)
        assert mail_batches.resolve(tx, doubt.id, scenario.clock.now(), sent=sent)
        assert not mail_batches.resolve(tx, doubt.id, scenario.clock.now(), sent=sent)

    assert run(scenario, fake) == Tally(accepted=10)
    assert Counter(fake.addresses) == Counter(row.email for row in scenario.rows())


def test_an_unknown_batch_is_one_line_and_one_decision(tmp_path: Path, fake: FakeSendGrid):
    installation = Installation(tmp_path)
    installation.create_database()
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    scenario = settled(DeliveryScenario(store), 10)
    lose_answers(scenario, fake)
    run(scenario, fake)

    [line] = json.loads(installation.newsletter("deliveries", "list", "--json").out)
    assert line["email"] == "a batch of 10"
    done = installation.newsletter("deliveries", "resolve", line["id"], "--sent")
    assert done.status == 0, done.err
    assert set(scenario.states().values()) == {DeliveryState.ACCEPTED}
    assert installation.newsletter("deliveries", "resolve", line["id"], "--sent").status == 2
    store.close()


def begun(
    scenario: DeliveryScenario,
    fake: FakeSendGrid,
    *,
    lead: timedelta | None,
    owner: str = "host/1/x",
):
    """A process that died right after its claim was committed; its request never left."""
    now = scenario.clock.now()
    fake.batches.clock = lambda: scenario.clock.now().timestamp()
    batch_id = mailer(fake).new_batch_id() if lead else ""
    with scenario.store.begin() as tx:
        alike = mail_batches.next_rendering_key(tx, scenario.digest_id, now)
        group, _ = mail_batches.begin(
            tx,
            "a" * 32,
            scenario.digest_id,
            alike,
            owner,
            now=now,
            until=now + timedelta(minutes=2),
            limit=10,
            batch_id=batch_id,
            send_at=now + lead if lead else None,
        )
    return group


def test_the_batch_of_a_process_whose_lease_expired_is_cancelled(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 10)
    group = begun(scenario, fake, lead=LEAD)
    due = ahead(scenario)

    # Claims of single mails have nothing to say about it.
    with scenario.store.begin() as tx:
        assert claims.expire_leases(tx, scenario.clock.now(), lambda _owner: True) == 0
    assert run(scenario, fake, due=due).sending == 10
    scenario.clock.sleep(121)
    assert run(scenario, fake, due=due) == Tally(accepted=10)

    # It wakes up: what it sends belongs to a batch that is held back, what it writes finds no row.
    mailer(fake).send_batch(message(group))
    with scenario.store.begin() as tx:
        assert not mail_batches.accept(tx, group.id, scenario.clock.now(), provider_id="late")
    assert max(Counter(fake.addresses).values()) == 1


def test_a_batch_that_is_too_late_to_cancel_is_unknown(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 10)
    begun(scenario, fake, lead=LEAD)
    scenario.clock.sleep(6 * 60)

    assert run(scenario, fake) == Tally(unknown=10)
    assert fake.messages == []


def test_while_the_provider_is_away_a_lost_batch_waits_until_it_can_be_cancelled(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 10)
    begun(scenario, fake, lead=LEAD)
    scenario.clock.sleep(121)
    fake.batch_fault = lambda _path: Fault(503)
    sender = mailer(fake)

    assert recover_lost(scenario.store, sender, scenario.clock.now) == 1
    assert states(scenario.store) == [MailBatchState.STARTED]
    fake.batch_fault = lambda _path: None
    assert recover_lost(scenario.store, sender, scenario.clock.now) == 1
    assert states(scenario.store) == [MailBatchState.CANCELLED]
    assert recover_lost(scenario.store, sender, scenario.clock.now) == 0


def test_a_batch_whose_cancellation_is_refused_is_unknown(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 10)
    begun(scenario, fake, lead=LEAD)
    sender = mailer(fake)
    assert all(sender.cancel(sender.new_batch_id()) for _ in range(10))
    scenario.clock.sleep(121)

    assert recover_lost(scenario.store, sender, scenario.clock.now) == 1
    assert states(scenario.store) == [MailBatchState.UNKNOWN]
    assert set(scenario.states().values()) == {DeliveryState.UNKNOWN}


def test_a_batch_can_be_cancelled_twice(fake: FakeSendGrid):
    sender = mailer(fake)
    batch = sender.new_batch_id()
    assert sender.cancel(batch)
    assert sender.cancel(batch)
    assert not sender.cancel("f" * 32)


def test_a_cancelled_batch_is_released_long_after_its_send_time(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 10)
    fake.faults.append(Fault(act="reset", accepts=True))
    assert run(scenario, fake, due=ahead(scenario)) == Tally(accepted=10)
    assert len(fake.batches.withdrawn) == 1
    scenario.clock.sleep(24 * 60)
    recover_lost(scenario.store, mailer(fake), scenario.clock.now)
    assert len(fake.batches.withdrawn) == 1
    scenario.clock.sleep(2 * 60)
    recover_lost(scenario.store, mailer(fake), scenario.clock.now)
    recover_lost(scenario.store, mailer(fake), scenario.clock.now)

    assert fake.batches.withdrawn == {}
    assert sum("scheduled_sends/" in path for path, _, _ in fake.requests) == 1
    assert max(Counter(fake.addresses).values()) == 1


def test_no_more_batches_are_started_than_can_be_cancelled(scenario: DeliveryScenario):
    settled(scenario, 10)
    now = scenario.clock.now()
    row = {"digest_id": scenario.digest_id, "rendering": "x", "readers": 1, "lease_owner": "o"}
    row |= {"lease_until": now, "started_at": now, "changed_at": now, "reason": ""}

    def add(tx, number: int, state: MailBatchState, send_at=None):
        values = {"id": f"{number:032}", "state": state.value, "send_at": send_at}
        values["batch_id"] = f"batch {number}"
        tx.execute(mail_group.insert().values(**row, **values))

    with scenario.store.begin() as tx:
        for number in range(7):
            add(tx, number, MailBatchState.STARTED)
        assert mail_batches.has_room(tx)
        for number in range(7, 10):
            add(tx, number, MailBatchState.CANCELLED, now + LEAD)
        assert not mail_batches.has_room(tx)
        assert mail_batches.expired_cancelled(tx, now + LEAD) == []
        assert len(mail_batches.expired_cancelled(tx, now + 2 * LEAD)) == 3
        mail_batches.release_batch(tx, "batch 7")
        assert len(mail_batches.expired_cancelled(tx, now + 2 * LEAD)) == 2
        assert mail_batches.has_room(tx)
        add(tx, 10, MailBatchState.STARTED)
        assert not mail_batches.has_room(tx)


def test_07_one_bad_reader_is_rejected_and_the_others_are_sent(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 12)

    def refuse(payload: dict) -> Fault | None:
        for place, person in enumerate(payload["personalizations"]):
            if person["to"][0]["email"] in {"reader3@example.org", "reader7@example.org"}:
                return refusal(400, "not an address", f"personalizations.{place}.to.0.email")
        return None

    fake.fault_for = refuse
    assert run(scenario, fake) == Tally(accepted=10, rejected=2)
    assert len(fake.addresses) == 10


@pytest.mark.parametrize(
    "fault",
    [
        refusal(401, "Maximum credits exceeded"),
        refusal(400, "bad from", "from.email"),
        refusal(400, "who of them?", "personalizations"),
        refusal(413, "too big"),
        Fault(200),
    ],
)
def test_06_what_is_wrong_with_all_stops_the_run_and_loses_nobody(
    scenario: DeliveryScenario, fake: FakeSendGrid, fault: Fault
):
    settled(scenario, 25)
    fake.faults.append(fault)

    tally = run(scenario, fake)

    assert (tally.pending, tally.accepted) == (25, 0)
    assert "SendGrid answered" in tally.halted_reason
    assert sends(fake) == 1
    assert run(scenario, fake) == Tally(accepted=25)


def test_05_a_429_makes_all_rest_and_costs_nobody_anything(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 25)
    fake.faults.append(refusal(429, "too many", Retry_After="7"))

    assert run(scenario, fake) == Tally(accepted=25)
    assert 7 <= sum(scenario.clock.naps) < 10
    assert sum(row.failures for row in scenario.rows()) == 0


def test_04_a_provider_that_cannot_be_reached_ends_the_run_early(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 25)
    sender = SmallGroups(settings(sendgrid_api_key="SG.x", sendgrid_url="http://127.0.0.1:9"))

    tally = run(scenario, fake, mailer=sender, due=ahead(scenario))

    assert tally.pending == 25
    assert "in a row" in tally.halted_reason
    assert 60 <= sum(scenario.clock.naps) < 90


def test_04_a_provider_that_comes_back_within_a_minute_ends_no_run(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 25)
    back = scenario.clock.now() + timedelta(seconds=55)

    class Away(SmallGroups):
        def post(self, request: dict[str, Any]) -> str:
            if scenario.clock.now() < back:
                raise SendError(SendFailure.UNSENT, "connection refused")
            return super().post(request)

    sender = Away(settings(sendgrid_api_key="SG.x", sendgrid_url=fake.url))

    assert run(scenario, fake, mailer=sender) == Tally(accepted=25)

    assert len(fake.messages) == 3


def test_three_unknown_batches_in_a_row_end_the_run(scenario: DeliveryScenario, fake: FakeSendGrid):
    settled(scenario, 60)
    lose_answers(scenario, fake, 3)

    tally = run(scenario, fake)

    assert (tally.unknown, tally.pending) == (30, 30)
    assert "3 in a row" in tally.halted_reason


def test_a_rate_limit_counts_a_batch_as_one_request(scenario: DeliveryScenario, fake: FakeSendGrid):
    settled(scenario, 50)
    assert run(scenario, fake, limits=SendLimits(per_second=2)) == Tally(accepted=50)
    # 25 s if each mail counted; a run naps once more for each batch that a thread still sends.
    assert 1.9 <= sum(scenario.clock.naps) <= 12


def test_what_does_not_fit_leaves_with_the_next_request(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 20)

    class Narrow(SmallGroups):
        def fitting(self, group: BatchEmail) -> int:
            return min(4, super().fitting(group))

    sender = Narrow(settings(sendgrid_api_key="SG.x", sendgrid_url=fake.url))
    assert run(scenario, fake, mailer=sender) == Tally(accepted=20)
    assert {len(m["personalizations"]) for m in fake.messages} == {4}
    assert sorted(fake.addresses) == sorted(row.email for row in scenario.rows())


def test_words_that_no_request_takes_stop_the_run(scenario: DeliveryScenario, fake: FakeSendGrid):
    settled(scenario, 3)
    sender = mailer(fake)

    def long(group: mail_batches.MailBatch) -> BatchEmail:
        plain = message(group)
        words = (("-tag-", "é" * 5001),)
        return replace(plain, readers=tuple(replace(one, words=words) for one in plain.readers))

    tally = deliver_batches(
        scenario.store,
        sender,
        scenario.digest_id,
        long,
        due=lambda _schedule: None,
        clock=scenario.clock.now,
        sleep=scenario.clock.sleep,
    )
    assert tally.pending == 3
    assert "longer than a batch allows" in tally.halted_reason
    assert sends(fake) == 0


@pytest.mark.parametrize(("size", "sizes"), [(9_986, [1, 1000]), (9_987, [])])
def test_a_request_holds_a_thousand_readers_with_ten_thousand_bytes_each(
    scenario: DeliveryScenario, fake: FakeSendGrid, size: int, sizes: list[int]
):
    """The vendor's limits: the stand-in judges requests by its API description."""
    settled(scenario, 1001)
    fake.batches.clock = lambda: scenario.clock.now().timestamp()

    def full(group: mail_batches.MailBatch) -> BatchEmail:
        plain = message(group)
        words = (("-tag-", "x" * size),)
        return replace(plain, readers=tuple(replace(one, words=words) for one in plain.readers))

    tally = deliver_batches(
        scenario.store,
        SendGridBatches(settings(sendgrid_api_key="SG.secret", sendgrid_url=fake.url)),
        scenario.digest_id,
        full,
        due=lambda _schedule: None,
        clock=scenario.clock.now,
        sleep=scenario.clock.sleep,
    )
    assert sorted(len(m["personalizations"]) for m in fake.messages) == sizes
    assert tally.accepted == sum(sizes)


def test_a_large_request_is_cut_by_its_bytes(scenario: DeliveryScenario, fake: FakeSendGrid):
    settled(scenario, 10)
    group = begun(scenario, fake, lead=None)
    plain = message(group)
    assert mailer(fake).fitting(plain) == 10
    heavy = replace(plain, html="x" * (25 * 10**6 - 4000))
    assert 1 <= mailer(fake).fitting(heavy) < 10


def test_a_program_error_releases_the_batch(scenario: DeliveryScenario, fake: FakeSendGrid):
    settled(scenario, 3)

    def broken(_group: object) -> BatchEmail:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        deliver_batches(
            scenario.store,
            mailer(fake),
            scenario.digest_id,
            broken,
            due=lambda _schedule: None,
            clock=scenario.clock.now,
            sleep=scenario.clock.sleep,
        )
    assert set(scenario.states().values()) == {DeliveryState.PENDING}
    assert run(scenario, fake) == Tally(accepted=3)


def test_a_process_suspended_too_long_after_the_claim_sends_nothing(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 3)
    fake.batches.clock = lambda: scenario.clock.now().timestamp()

    def slow(group: mail_batches.MailBatch) -> BatchEmail:
        if len(states(scenario.store)) == 1:
            scenario.clock.sleep(61)
        return message(group)

    tally = deliver_batches(
        scenario.store,
        mailer(fake),
        scenario.digest_id,
        slow,
        due=lambda _schedule: None,
        clock=scenario.clock.now,
        sleep=scenario.clock.sleep,
    )
    assert tally == Tally(accepted=3)
    assert states(scenario.store) == [MailBatchState.UNSENT, MailBatchState.ACCEPTED]
    assert len(fake.addresses) == 3


def test_a_stop_ends_a_run_between_two_requests(scenario: DeliveryScenario, fake: FakeSendGrid):
    settled(scenario, 25)
    stops = iter([False, True])
    tally = run(scenario, fake, stop=lambda: next(stops, True))
    assert (tally.accepted, tally.pending, tally.sending) == (10, 15, 0)


def test_a_single_mail_after_a_batch_belongs_to_no_batch(
    scenario: DeliveryScenario, fake: FakeSendGrid
):
    settled(scenario, 2)
    fake.faults.append(refusal(401, "no"))
    run(scenario, fake)
    scenario.send(FakeMailer())
    with scenario.store.read() as tx:
        assert set(tx.scalars(select(delivery.c.group_id))) == {None}
    assert date(2025, 9, 23) == START.date()


@pytest.mark.parametrize(
    ("author", "aligned", "leaves"),
    [
        ("reader1@example.org", True, True),
        ("reader1@example.org", False, False),
        ("colleague@example.com", True, False),
        ("reader2@example.org", True, False),
    ],
)
def test_18_a_reply_to_a_batched_mail_is_matched_by_its_references(
    scenario: DeliveryScenario, fake: FakeSendGrid, author: str, *, aligned: bool, leaves: bool
):
    """Only the authenticated reader may leave; after any other sender the reader gets the link."""
    settled(scenario, 2)
    run(scenario, fake)
    first = scenario.rows()[0]
    now = scenario.clock.now()
    with scenario.store.begin() as tx:
        events.apply(tx, [event_of(first)], now)
    named = f"<other@x> <{first.id}@geopod>"
    raw = b"".join(
        line.encode() + b"\r\n"
        for line in (f"From: {author}", "Subject: Re: x", f"References: {named}", "", "unsubscribe")
    )
    sent = FakeMailer()
    post = app_of(scenario.store, mailer=sent)

    store_mail(scenario.store, raw, author, [LINKS.common_reply_address], now, aligned=aligned)
    process_new(post, now)

    with scenario.store.read() as tx:
        person = subscriptions.by_id(tx, first.subscriber_id)
    assert (person.state is SubscriberState.UNSUBSCRIBED) is leaves
    [mail] = sent.taken
    assert mail.to_email == "reader1@example.org"
    assert ("You are unsubscribed" in mail.text) is leaves


def test_events_name_the_batch_and_the_mail():
    told = {
        "event": "processed",
        "email": "ann@example.org",
        "timestamp": 1758607200,
        "dg_delivery_id": "d" * 32,
        "dg_group_id": "g" * 32,
        "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
    }
    [event] = read_events(json.dumps([told]).encode())
    assert event.group_id == "g" * 32
    assert event.smtp_id == "14c5d75ce93.dfd.64b469@ismtpd-555"


def units_of(app: Any, digest_id: int) -> Any:
    day = date(2025, 9, 23)
    return tasks.run_task(app, Task(TaskKind.MAIL, day, (str(digest_id), "0")), lambda *_: None)


@pytest.mark.parametrize(("audience", "requests"), [(2, 1), (3, 3)])
def test_many_readers_are_mailed_in_batches_and_few_one_by_one(
    store: Store, fake: FakeSendGrid, audience: int, requests: int
):
    """Readers whose hour is near are mailed at it, in one request whatever other days they want."""
    given = settings(
        sendgrid_api_key="SG.x",
        sendgrid_url=fake.url,
        group_audience=audience,
        timezone="UTC",
        send_at="07:00",
    )
    scenario = DeliveryScenario(store, Clock(datetime(2025, 9, 23, 6, 45, tzinfo=UTC)))
    fake.batches.clock = lambda: scenario.clock.now().timestamp()
    scenario.add_readers(2)
    scenario.add_readers(1, email="reader3@example.org", days=("tue", "thu"))
    with store.begin() as tx:
        digest_id = digests.save(
            tx, issues.digest((issues.pick(1),), rubric=replace(issues.RUBRIC, slug=RUBRIC)), START
        )
    scenario.plan(issues.DAY)
    app = app_of(
        store,
        mailer=SendGridMailer(given),
        renderer=Renderer(issues.SITE),
        settings=given,
        clock=scenario.clock.now,
        batch_mailer=SendGridBatches(given),
    )

    assert units_of(app, digest_id).sent == 3
    assert len(fake.messages) == requests
    assert sorted(fake.addresses) == [f"reader{n}@example.org" for n in (1, 2, 3)]
    hours = {message_.get("send_at") for message_ in fake.messages}
    assert hours == ({int(scenario.clock.now().timestamp()) + 900} if requests == 1 else {None})


def test_mail_that_is_scheduled_is_owed_a_little_before_its_hour(store: Store):
    scenario = DeliveryScenario(store)
    scenario.add_readers(2, since=START - timedelta(days=9))
    slug = replace(issues.RUBRIC, slug=RUBRIC)
    with store.begin() as tx:
        made = START - timedelta(hours=3)
        digests.save(tx, issues.digest((issues.pick(1),), rubric=slug), made)
    at, zone = datetime(2025, 9, 23, 6, 45, tzinfo=UTC), ZoneInfo("UTC")

    [some] = rubrics_with_mail_due(store, at)
    plan_due(store, some, at, zone, time(7))
    assert scenario.rows() == []
    plan_due(store, some, at - timedelta(minutes=6), zone, time(7), SCHEDULE_AHEAD)
    assert scenario.rows() == []
    plan_due(store, some, at, zone, time(7), SCHEDULE_AHEAD)
    assert len(scenario.rows()) == 2
