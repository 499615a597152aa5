"""The numbers in names are the acceptance cases in docs/delivery.md."""

from __future__ import annotations

import itertools
import json
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event as sa_event
from sqlalchemy import func, select, text

from newsletter.delivery.sender import SendLimits, Tally
from newsletter.domain.mail import DeliveryState, EventKind, SubscriberState
from newsletter.inbound.sendgrid_webhooks import (
    MAX_BODY,
    Receipt,
    Signature,
    read_events,
    receive_events,
    receive_mail,
    verify,
)
from newsletter.mailers import SendError, SendFailure
from newsletter.store import events, subscribers, subscriptions, suppressions
from newsletter.store.suppressions import Reason
from newsletter.store.tables import (
    delivery,
    event,
    inbound,
    inbound_body,
    rubric_suppression,
    subscriber,
    subscription,
    suppression,
)
from tests.fakes.mail import LINKS, START, DeliveryScenario, FakeMailer, import_reader, reader
from tests.fakes.replies import message
from tests.fakes.webhook import SECOND, Signer, body, told

if TYPE_CHECKING:
    from newsletter.store import Store

SIGNER = Signer()
STAMP = str(SECOND)
DAY = 24 * 3600


@pytest.fixture
def scenario(store: Store) -> DeliveryScenario:
    return DeliveryScenario(store)


def post(scenario: DeliveryScenario, *told_events: Any) -> Receipt:
    raw = body(*told_events)
    return receive_events(scenario.store, SIGNER.public, SIGNER.sign(raw, STAMP), STAMP, raw, START)


def state_of(scenario: DeliveryScenario, number: int = 1) -> SubscriberState:
    with scenario.store.read() as tx:
        found = subscriptions.find(tx, f"reader{number}@example.org")
    assert found is not None
    return found.state


def everything(scenario: DeliveryScenario) -> list[Any]:
    """All that an event may move, without times."""
    with scenario.store.read() as tx:
        moved = [
            tx.execute(select(subscriber.c.email_key, subscriber.c.state)).all(),
            tx.execute(
                select(subscriber.c.email_key, subscription.c.state).join_from(
                    subscription, subscriber
                )
            ).all(),
            tx.execute(select(subscriber.c.email_key, subscriber.c.soft_bounces)).all(),
            tx.execute(select(suppression.c.email_hash, suppression.c.reason)).all(),
            tx.execute(select(delivery.c.id, delivery.c.state, delivery.c.fate)).all(),
            tx.execute(select(event.c.id)).all(),
        ]
    return [sorted(map(tuple, rows)) for rows in moved]


RAW = body(told("spamreport"))
GOOD = SIGNER.sign(RAW, STAMP)


@pytest.mark.parametrize(
    ("signature", "timestamp", "raw"),
    [
        ("", STAMP, RAW),
        (GOOD, "", RAW),
        ("garbage!", STAMP, RAW),
        ("Z2FyYmFnZQ==", STAMP, RAW),
        ("ü", STAMP, RAW),
        (GOOD[:-4], STAMP, RAW),
        (Signer().sign(RAW, STAMP), STAMP, RAW),
        (GOOD, str(SECOND + 1), RAW),
        (GOOD, "-1", RAW),
        (GOOD, "²", RAW),
        (GOOD, "9" * 40, RAW),
        (GOOD, STAMP, RAW.replace(b"reader1", b"reader2")),
        (GOOD, STAMP, RAW + b"\r\n"),
        (GOOD, STAMP, json.dumps(json.loads(RAW), indent=1).encode()),
        (GOOD, STAMP, b""),
    ],
    # A signature differs in every process; the names of the cases must not.
    ids=range(15),
)
def test_11_what_is_not_signed_changes_nothing(
    scenario: DeliveryScenario, signature: str, timestamp: str, raw: bytes
):
    scenario.add_readers(1)
    before = everything(scenario)

    receipt = receive_events(scenario.store, SIGNER.public, signature, timestamp, raw, START)

    assert receipt == Receipt(403)
    assert everything(scenario) == before


def test_11_a_trailing_line_end_that_was_signed_is_taken(scenario: DeliveryScenario):
    scenario.add_readers(1)
    raw = RAW + b"\r\n"
    receipt = receive_events(
        scenario.store, SIGNER.public, SIGNER.sign(raw, STAMP), STAMP, raw, START
    )
    assert receipt == Receipt(200, 1)


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b"{}",
        b"null",
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[1, null, [], {}]",
        body({"event": "delivered"}),
        body({"event": 7, "email": [], "timestamp": {}}),
        body(told("delivered", timestamp="soon")),
        body(told("delivered", timestamp=-5)),
        body(told("delivered", timestamp=10**18)),
        body(told("delivered", timestamp=True)),
        body(told("a new kind")),
    ],
)
def test_11_signed_nonsense_is_taken_and_dropped(scenario: DeliveryScenario, raw: bytes):
    receipt = receive_events(
        scenario.store, SIGNER.public, SIGNER.sign(raw, STAMP), STAMP, raw, START
    )
    assert receipt == Receipt(200, 0)


def test_11_a_body_beyond_the_limit_is_not_even_verified(scenario: DeliveryScenario):
    raw = b" " * (MAX_BODY + 1)
    assert receive_events(scenario.store, SIGNER.public, "", "", raw, START).status == 413


def test_without_a_key_the_hook_is_off(scenario: DeliveryScenario):
    assert receive_events(scenario.store, "", GOOD, STAMP, RAW, START).status == 404


@pytest.mark.parametrize("keys", ["!", "AAAA", "not a key", "é"])
def test_a_key_that_is_none_believes_nobody(keys: str):
    assert verify([keys], GOOD, STAMP, RAW, START) is Signature.INVALID


def test_two_keys_are_believed_while_they_are_changed(scenario: DeliveryScenario):
    scenario.add_readers(1)
    keys = f"{Signer().public}, {SIGNER.public}"
    assert receive_events(scenario.store, keys, GOOD, STAMP, RAW, START) == Receipt(200, 1)


@pytest.mark.parametrize(
    ("hours", "status"), [(-0.2, 403), (-0.1, 200), (0, 200), (23, 200), (26, 403)]
)
def test_12_the_clock_is_bounded_on_both_sides(
    scenario: DeliveryScenario, hours: float, status: int
):
    now = START + timedelta(hours=hours)
    receipt = receive_events(scenario.store, SIGNER.public, GOOD, STAMP, RAW, now)
    assert receipt.status == status
    assert bool(receipt.alert) == (status == 403)


# A machine under load is slow at making what is tried; that is no fault of ours.
AT_LEISURE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@AT_LEISURE
@given(st.binary(max_size=200))
def test_11_no_body_at_all_makes_reading_fail(raw: bytes):
    read_events(raw)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([])
NAMES = ["event", "email", "timestamp", "type", "status", "reason", "dg_delivery_id"]


@AT_LEISURE
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES), max_size=3))
def test_11_no_shape_of_event_makes_reading_fail(shapes: list[dict[str, Any]]):
    for found in read_events(json.dumps(shapes).encode()):
        events.identity(found)


def test_12_the_same_batch_many_times_is_one_batch(scenario: DeliveryScenario):
    scenario.add_readers(3)
    batch = [told("bounce", n, type="bounce", status="4.2.2", reason="full") for n in (1, 2, 3)]
    assert post(scenario, *batch).new_events == 3
    before = everything(scenario)

    for copy in range(46):
        renamed = [{**one, "sg_event_id": f"again-{copy}"} for one in batch]
        assert post(scenario, *renamed).new_events == 0

    assert everything(scenario) == before


def test_12_order_never_matters(scenario: DeliveryScenario):
    batch = [
        told("processed", timestamp=SECOND),
        told("bounce", timestamp=SECOND + 1, type="blocked", reason="a"),
        told("bounce", timestamp=SECOND + 2, type="blocked", reason="b"),
        told("delivered", timestamp=SECOND + 3),
        *(
            told("bounce", timestamp=SECOND + 4 + n, type="blocked", reason=f"c{n}")
            for n in range(4)
        ),
        told("bounce", 2, timestamp=SECOND, type="bounce", status="5.1.1"),
        told("delivered", 2, timestamp=SECOND + 9),
        told("unsubscribe", 2, timestamp=SECOND + 10),
        told("spamreport", 3, timestamp=SECOND),
        told("bounce", 3, timestamp=SECOND, type="bounce", status="5.1.1"),
    ]
    dice = random.Random(7)  # noqa: S311 - a reproducible shuffle
    ends = []
    for _ in range(8):
        shuffled = [*batch, *dice.sample(batch, 4)]
        dice.shuffle(shuffled)
        ends.append(_end_of(scenario, shuffled))
    assert all(end == ends[0] for end in ends)


def _end_of(scenario: DeliveryScenario, batch: list[dict[str, Any]]) -> list[Any]:
    with scenario.store.begin() as tx:
        for table in (event, subscription, subscriber, suppression, rubric_suppression):
            tx.execute(table.delete())
    scenario.add_readers(3)
    for one in batch:
        post(scenario, one)
    return everything(scenario)


def test_12_a_late_delivery_between_soft_bounces_lets_the_reader_back_in(
    scenario: DeliveryScenario,
):
    scenario.add_readers(1)
    for n in range(5):
        post(scenario, told("bounce", type="blocked", timestamp=SECOND - (16 - 4 * n) * DAY))
    assert state_of(scenario) is SubscriberState.BOUNCED
    post(scenario, told("delivered", timestamp=SECOND - 5 * DAY))
    assert state_of(scenario) is SubscriberState.ACTIVE


def test_12_delivered_after_a_hard_bounce_lifts_nothing(scenario: DeliveryScenario):
    scenario.add_readers(1)
    post(scenario, told("bounce", type="bounce", status="5.1.1"))
    post(scenario, told("delivered", timestamp=SECOND + 60))
    assert state_of(scenario) is SubscriberState.BOUNCED
    with scenario.store.read() as tx:
        assert suppressions.reason_for(tx, "reader1@example.org") is Reason.BOUNCED


@pytest.mark.parametrize(
    ("bounce", "kind"),
    [
        ({"type": "bounce", "status": "5.1.1"}, EventKind.HARD_BOUNCE),
        ({"type": "bounce", "status": "5.0.0"}, EventKind.SOFT_BOUNCE),
        ({"type": "bounce", "reason": "550 5.1.1 unknown user"}, EventKind.HARD_BOUNCE),
        ({"type": "bounce", "reason": "550 no such user"}, EventKind.SOFT_BOUNCE),
        ({"type": "bounce"}, EventKind.SOFT_BOUNCE),
        ({"type": "blocked", "status": "5.1.1"}, EventKind.SOFT_BOUNCE),
        ({"type": "bounce", "status": "5.7.1"}, EventKind.SOFT_BOUNCE),
        ({"type": "bounce", "status": "5.7.26"}, EventKind.SOFT_BOUNCE),
        ({"type": "bounce", "status": "5.4.4"}, EventKind.SOFT_BOUNCE),
        ({"type": "bounce", "status": "5.2.2"}, EventKind.SOFT_BOUNCE),
        ({"type": "bounce", "status": "4.4.7"}, EventKind.SOFT_BOUNCE),
        ({"type": 5, "status": None}, EventKind.SOFT_BOUNCE),
    ],
)
def test_13_only_a_wrong_address_is_a_hard_bounce(bounce: dict[str, Any], kind: EventKind):
    [found] = read_events(body(told("bounce", **bounce)))
    assert found.kind is kind


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("Bounced Address", SubscriberState.BOUNCED),
        ("Invalid", SubscriberState.BOUNCED),
        ("Spam Reporting Address", SubscriberState.COMPLAINED),
        ("Unsubscribed Address", SubscriberState.UNSUBSCRIBED),
        ("Recipient List over Package Quota", SubscriberState.ACTIVE),
        ("", SubscriberState.ACTIVE),
    ],
)
def test_13_a_drop_brings_our_list_into_step(
    scenario: DeliveryScenario, reason: str, end: SubscriberState
):
    scenario.add_readers(1)
    post(scenario, told("dropped", reason=reason))
    assert state_of(scenario) is end


def test_13_a_late_bounce_without_ids_finds_its_reader_by_the_address(scenario: DeliveryScenario):
    scenario.add_readers(2)
    late = told("bounce", type="bounce", status="5.1.1", email="READER2@Example.ORG")
    for name in ("sg_message_id", "sg_event_id", "category"):
        del late[name]
    assert post(scenario, late).new_events == 1
    assert (state_of(scenario, 1), state_of(scenario, 2)) == (
        SubscriberState.ACTIVE,
        SubscriberState.BOUNCED,
    )


def test_13_soft_bounces_in_a_row_rest_a_reader_but_suppress_nobody(scenario: DeliveryScenario):
    scenario.add_readers(1)
    for n in range(15):
        assert state_of(scenario) is SubscriberState.ACTIVE
        post(scenario, told("bounce", type="blocked", timestamp=SECOND - (14 - n) * DAY))
    assert state_of(scenario) is SubscriberState.BOUNCED
    with scenario.store.read() as tx:
        assert suppressions.reason_for(tx, "reader1@example.org") is None


def test_13_a_delivery_between_resets_the_count(scenario: DeliveryScenario):
    scenario.add_readers(1)
    for n in range(8):
        post(scenario, told("bounce", type="blocked", timestamp=SECOND + 2 * n))
        post(scenario, told("delivered", timestamp=SECOND + 2 * n + 1))
    assert state_of(scenario) is SubscriberState.ACTIVE


def test_a_complaint_about_somebody_unknown_is_remembered(scenario: DeliveryScenario):
    post(scenario, told("spamreport", 9))
    with scenario.store.begin() as tx:
        change = import_reader(tx, reader(9), START)
    assert change is subscribers.SubscriberChange.SUPPRESSED


def test_03_an_event_proves_what_an_answer_did_not(scenario: DeliveryScenario):
    scenario.add_readers(2)
    scenario.make_digest()

    def fall_silent(_email: object) -> None:
        raise SendError(SendFailure.UNKNOWN, "no answer")

    assert scenario.send(FakeMailer(before=fall_silent)) == Tally(unknown=2)
    [first, second] = scenario.rows()
    for name in ("processed", "delivered"):
        post(scenario, told(name, 1, dg_delivery_id=first.id))

    [proven, still] = scenario.rows()
    assert (proven.state, proven.fate) == (DeliveryState.ACCEPTED, "delivered")
    assert (still.id, still.state) == (second.id, DeliveryState.UNKNOWN)
    assert scenario.send(FakeMailer()) == Tally(accepted=1, unknown=1)


def test_an_event_moves_no_row_that_was_never_sent(scenario: DeliveryScenario):
    scenario.add_readers(1)
    scenario.make_digest()
    [row] = scenario.rows()
    post(scenario, told("delivered", dg_delivery_id=row.id))
    assert set(scenario.states().values()) == {DeliveryState.PENDING}


def test_the_gravest_news_is_a_mails_fate_in_any_order(scenario: DeliveryScenario):
    scenario.add_readers(1)
    scenario.make_digest()
    scenario.send(FakeMailer())
    [row] = scenario.rows()
    news = [told(name, dg_delivery_id=row.id) for name in ("processed", "delivered", "deferred")]
    news.append(told("bounce", type="bounce", status="5.1.1", dg_delivery_id=row.id))
    for order in itertools.islice(itertools.permutations(news), 0, None, 5):
        with scenario.store.begin() as tx:
            tx.execute(event.delete())
        for one in order:
            post(scenario, one)
        assert scenario.rows()[0].fate == "hard bounce"


def test_too_many_complaints_stop_the_next_run(scenario: DeliveryScenario):
    scenario.add_readers(30)
    scenario.make_digest()
    scenario.send(FakeMailer())
    for number in (1, 2):
        post(scenario, told("spamreport", number))
    scenario.make_digest(day=START.date() + timedelta(days=1))
    assert scenario.send(FakeMailer(), limits=SendLimits(threads=2)).halted_reason == ""
    post(scenario, told("spamreport", 3))
    scenario.clock.sleep(2 * 24 * 3600)
    scenario.add_readers(31)
    scenario.make_digest(day=START.date() + timedelta(days=2))
    mailer = FakeMailer()

    tally = scenario.send(mailer)

    assert "3 readers complained" in tally.halted_reason
    assert mailer.taken == []
    assert tally.pending == 28


def test_one_who_reports_all_his_mails_stops_nobody_elses(scenario: DeliveryScenario):
    scenario.add_readers(30)
    for days in range(4):
        scenario.make_digest(day=START.date() + timedelta(days=days))
        scenario.send(FakeMailer())
    for minute in range(4):
        post(scenario, told("spamreport", 1, timestamp=SECOND + 60 * minute))
    scenario.make_digest(day=START.date() + timedelta(days=5))
    tally = scenario.send(FakeMailer())
    assert (tally.halted_reason, tally.accepted) == ("", 29)


def test_old_events_are_forgotten(scenario: DeliveryScenario):
    post(scenario, told("delivered"))
    for days, left in ((89, 1), (91, 0)):
        with scenario.store.begin() as tx:
            events.delete_old_page(tx, EventKind.DELIVERED, START + timedelta(days=days))
            assert tx.scalar(select(func.count()).select_from(event)) == left


def test_many_events_are_taken_by_pages_and_one_delivery_is_counted_once_in_each(
    scenario: DeliveryScenario,
):
    """9,000 events of one delivery took three minutes in one transaction, in which nobody else
    could write.
    """
    asked: list[str] = []
    commits: list[Any] = []
    engine = scenario.store.engine
    sa_event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    sa_event.listen(engine, "commit", commits.append)
    kinds = itertools.cycle(("delivered", "deferred"))
    many = [
        told(next(kinds), dg_delivery_id="d" * 32, timestamp=SECOND + number)
        for number in range(2 * events.EVENTS_PER_TRANSACTION + 1)
    ]
    assert post(scenario, *many).new_events == len(many)
    assert sum(one.startswith("UPDATE delivery") for one in asked) == 3 * 3
    assert sum(one.startswith("INSERT INTO event") for one in asked) == len(many)
    assert len(commits) == 3


def parsed(scenario: DeliveryScenario, **fields: str | bytes) -> Receipt:
    given = {n: v if isinstance(v, bytes) else v.encode() for n, v in fields.items()}
    return receive_mail(scenario.store, LINKS, given, START)


def test_14_a_post_of_inbound_parse_is_stored_for_each_recipient(scenario: DeliveryScenario):
    ours = sorted(LINKS.reply_address(f"{n:032x}") for n in (1, 2))
    envelope = json.dumps({"from": "ann@example.com", "to": [*ours, "b@x.example"]})
    mail = message("unsubscribe", Message_ID="<1@example.com>")
    given = {"envelope": envelope, "dkim": "{@example.com : pass}", "email": mail}

    assert parsed(scenario, **given) == Receipt(200, 2)
    assert parsed(scenario, **given) == Receipt(200, 0)

    with scenario.store.read() as tx:
        rows = tx.execute(select(inbound).order_by(inbound.c.envelope_to)).all()
        bodies = tx.execute(select(inbound_body)).all()
    assert [row.envelope_to for row in rows] == ours
    assert [body.raw for body in bodies] == [mail]
    assert all(row.aligned and row.body_id == bodies[0].id for row in rows)


def test_a_mail_to_strangers_at_our_domain_is_kept_once(scenario: DeliveryScenario):
    to = ["x@elsewhere.example", *(f"{n}@in.example.org" for n in range(50))]
    envelope = json.dumps({"from": "ann@example.com", "to": to})
    assert parsed(scenario, envelope=envelope, email=message("hello")) == Receipt(200, 1)
    with scenario.store.read() as tx:
        assert tx.execute(select(inbound)).one().envelope_to == "0@in.example.org"


def test_one_mail_to_a_hundred_readers_adds_less_than_a_megabyte(scenario: DeliveryScenario):
    to = [LINKS.reply_address(f"{n:032x}") for n in range(100)]
    envelope = json.dumps({"from": "ann@example.com", "to": to})
    mail = message("hello") + b"x" * (3 * 2**20)
    before = size(scenario.store)
    assert parsed(scenario, envelope=envelope, email=mail) == Receipt(200, 100)
    assert size(scenario.store) - before < 2**20


def size(store: Store) -> int:
    """Bytes of the database."""
    ask = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    if not store.is_sqlite:
        ask = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname LIKE 'inbound%'"
    with store.read() as tx:
        return int(tx.scalar(text(ask)))


@pytest.mark.parametrize(
    "envelope", [b"", b"{}", b"null", b"[" * 50_000, b'{"to": 7}', b'{"to": [7]}', b"\xff"]
)
def test_14_a_broken_envelope_is_kept_by_the_header(scenario: DeliveryScenario, envelope: bytes):
    assert parsed(scenario, envelope=envelope, email=message("hello")) == Receipt(200, 1)
    with scenario.store.read() as tx:
        assert "in.example.org" in tx.execute(select(inbound)).one().envelope_to


def test_14_a_post_without_a_mail_is_taken_and_said(scenario: DeliveryScenario):
    receipt = parsed(scenario, text="unsubscribe")
    assert (receipt.status, receipt.new_events) == (200, 0)
    assert "send_raw" in receipt.alert
