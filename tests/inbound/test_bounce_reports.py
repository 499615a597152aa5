"""Delivery and feedback reports that come by mail. The numbers are cases of docs/delivery.md."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from newsletter.domain.mail import DeliveryState, SubscriberState
from newsletter.domain.model import Rubric
from newsletter.inbound import bounce_reports
from newsletter.inbound.processor import process_new, store_mail
from newsletter.render import Renderer, SiteInfo
from newsletter.store import StoreError, inbound, subscriptions, suppressions
from newsletter.store.inbound import InboundState
from newsletter.store.reports import operator_views
from newsletter.store.tables import delivery, event, subscriber, subscription
from newsletter.store.tables import inbound as table
from tests.fakes.app import app_of
from tests.fakes.mail import LINKS, RUBRIC, SENDER, START, DeliveryScenario, FakeMailer

if TYPE_CHECKING:
    from newsletter.context import App
    from newsletter.store import Store

RENDERER = Renderer(SiteInfo("arXiv digest", "Example Lab, 1 Street", "https://digest.example.org"))
GONE = "5.1.1 (no such user)"


@pytest.fixture
def scenario(store: Store) -> DeliveryScenario:
    made = DeliveryScenario(store)
    made.add_readers(2)
    made.make_digest()
    made.send(FakeMailer())
    return made


def app_for(scenario: DeliveryScenario) -> App:
    rubric = Rubric(RUBRIC, "Cold stars", ("astro-ph.SR",), ())
    return app_of(scenario.store, rubrics={RUBRIC: rubric})


def report(
    about: str,
    *,
    action: str = "failed",
    status: str = GONE,
    ours: str = "",
    kind: str = "dsn",
    feedback: str = "abuse",
    subtype: str = "report",
) -> bytes:
    """What a mail server says of the mail `ours` (its headers) to the address `about`."""
    types = {"dsn": "delivery-status", "arf": "feedback-report"}
    failed = f"Action: {action}\r\nStatus: {status}\r\n"
    fields = failed if kind == "dsn" else f"Feedback-Type: {feedback}\r\n"
    number = abs(hash((about, action, status, ours, kind, feedback)))
    named = "Final-Recipient: rfc822; " if kind == "dsn" else "Original-Rcpt-To: "
    return (
        "From: MAILER-DAEMON@mx.example.com\r\nSubject: Undelivered Mail\r\n"
        f"Message-ID: <{number}@mx.example.com>\r\n"
        f'Content-Type: multipart/{subtype}; report-type={types[kind]}; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n"
        f"--b\r\nContent-Type: message/{types[kind]}\r\n\r\n{named}{about}\r\n{fields}\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{ours}\r\n--b--\r\n"
    ).encode()


def message_id(row) -> str:
    return f"Message-ID: <{row.id}@mail.example.org>\r\n"


def arrive(scenario: DeliveryScenario, raw: bytes, to: str = SENDER.email) -> None:
    store_mail(scenario.store, raw, "", [to], START)
    process_new(app_for(scenario), START)


def states(scenario: DeliveryScenario) -> dict[str, str]:
    with scenario.store.read() as tx:
        own = subscription.c.state.label("own")
        rows = tx.execute(
            select(subscriber.c.email, subscriber.c.state, own).join_from(subscription, subscriber)
        )
        return {row.email: row.state if row.own == "active" else row.own for row in rows}


def events_told(scenario: DeliveryScenario) -> list[str]:
    with scenario.store.read() as tx:
        return list(tx.scalars(select(event.c.kind)))


def test_13_a_bounce_by_mail_ends_the_subscription_it_is_about(scenario: DeliveryScenario):
    first, second = scenario.rows()
    arrive(scenario, report("an.alias@elsewhere.example", ours=message_id(first)))
    assert states(scenario) == {
        first.email: SubscriberState.BOUNCED,
        second.email: SubscriberState.ACTIVE,
    }
    with scenario.store.read() as tx:
        assert suppressions.reason_for(tx, first.email) is suppressions.Reason.UNSUBSCRIBED
    assert scenario.rows()[0].fate == "reported bounce"


def test_13_a_report_to_the_bounce_address_is_about_that_delivery(scenario: DeliveryScenario):
    row = scenario.rows()[0]
    arrive(scenario, report("an.alias@elsewhere.example"), LINKS.bounce_address(row.id).upper())
    assert states(scenario)[row.email] == SubscriberState.BOUNCED
    with scenario.store.read() as tx:
        assert suppressions.reason_for(tx, row.email) is suppressions.Reason.BOUNCED
    assert scenario.rows()[0].fate == "hard bounce"


def test_13_a_bounce_of_an_unknown_mail_proves_that_it_was_accepted(scenario: DeliveryScenario):
    row = scenario.rows()[0]
    with scenario.store.begin() as tx:
        tx.execute(delivery.update().values(state=DeliveryState.UNKNOWN))
    arrive(scenario, report(row.email, status="4.2.2", ours=message_id(row)))
    assert scenario.states()[row.email] is DeliveryState.ACCEPTED
    assert states(scenario)[row.email] == SubscriberState.ACTIVE


def test_12_a_report_that_comes_twice_counts_once(scenario: DeliveryScenario):
    row = scenario.rows()[0]
    for to in (SENDER.email, "postmaster@mail.example.org"):
        arrive(scenario, report(row.email, status="4.2.2", ours=message_id(row)), to)
    arrive(scenario, report(row.email, status="4.2.2 still", ours=message_id(row)))
    assert events_told(scenario) == ["soft bounce"]


def test_17_a_token_of_a_forwarded_digest_ends_nothing_for_good(scenario: DeliveryScenario):
    row = scenario.rows()[0]
    header = f"Reply-To: {LINKS.reply_address(row.subscriber_id).upper()}\r\n"
    arrive(scenario, report("x@y.example", ours=header))
    assert states(scenario)[row.email] == SubscriberState.BOUNCED
    assert events_told(scenario) == ["reported bounce"]
    with scenario.store.read() as tx:
        assert suppressions.reason_for(tx, row.email) is suppressions.Reason.UNSUBSCRIBED


def test_18_an_address_alone_proves_nothing(scenario: DeliveryScenario):
    row = scenario.rows()[0]
    arrive(scenario, report(row.email))
    arrive(scenario, report(row.email, ours=f"Message-ID: <{'0' * 32}@mail.example.org>\r\n"))
    arrive(scenario, report(row.email, kind="arf"))
    assert states(scenario)[row.email] == SubscriberState.ACTIVE
    assert events_told(scenario) == ["soft bounce"]
    with scenario.store.read() as tx:
        assert suppressions.reason_for(tx, row.email) is None
        assert [one.state for one in inbound.review_queue(tx)] == [InboundState.PERSONAL]


@pytest.mark.parametrize("subtype", ["report", "mixed"])
@pytest.mark.parametrize("feedback", ["abuse", "fraud", "Abuse"])
def test_17_a_feedback_report_is_a_complaint_and_counts_as_one(
    scenario: DeliveryScenario, feedback: str, subtype: str
):
    row = scenario.rows()[0]
    ours = f"List-Unsubscribe: <mailto:{LINKS.unsub_address(row.subscriber_id)}>\r\n"
    for _ in range(2):
        told = report(
            "redacted",
            kind="arf",
            ours=message_id(row) + ours,
            feedback=feedback,
            subtype=subtype,
        )
        arrive(scenario, told, LINKS.bounce_address(row.id))
    assert states(scenario)[row.email] == SubscriberState.COMPLAINED
    assert events_told(scenario) == ["complaint"]


@pytest.mark.parametrize(
    ("feedback", "state", "told"),
    [
        ("abuse", SubscriberState.UNSUBSCRIBED, ["unsubscribe"]),
        ("opt-out", SubscriberState.UNSUBSCRIBED, ["unsubscribe"]),
        ("not-spam", SubscriberState.ACTIVE, []),
        ("auth-failure", SubscriberState.ACTIVE, []),
        ("virus", SubscriberState.ACTIVE, []),
        ("other", SubscriberState.ACTIVE, []),
        ("", SubscriberState.ACTIVE, []),
    ],
)
@pytest.mark.parametrize("by_token", [False, True])
def test_17_what_a_forwarded_digest_shows_proves_no_more_than_the_wish_to_leave(
    scenario: DeliveryScenario,
    feedback: str,
    state: SubscriberState,
    told: list[str],
    *,
    by_token: bool,
):
    row = scenario.rows()[0]
    token = f"List-Unsubscribe: <mailto:{LINKS.unsub_address(row.subscriber_id)}>\r\n"
    ours = message_id(row) + (token if by_token else "")
    to = LINKS.reply_address(row.subscriber_id) if by_token else SENDER.email
    arrive(scenario, report("redacted", kind="arf", ours=ours, feedback=feedback), to)
    assert (states(scenario)[row.email], events_told(scenario)) == (state, told)


VACATION = (
    b"From: reader@elsewhere.example\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n"
    b"Message-ID: <away@elsewhere.example>\r\n\r\nI am away until 5.1.1 next year.\r\n"
)
STRANGE = (
    b"From: Mail Delivery Subsystem <mailer-daemon@elsewhere.example>\r\nSubject: ???\r\n"
    b"Message-ID: <odd@elsewhere.example>\r\n\r\n\xff\xfe: no.\r\n"
)


@pytest.mark.parametrize(
    ("raw", "told", "states_of"), [(VACATION, [], "done"), (STRANGE, ["soft bounce"], "done")]
)
def test_13_what_comes_to_a_bounce_address_is_about_that_mail_whatever_it_says(
    scenario: DeliveryScenario, raw: bytes, told: list[str], states_of: str
):
    row = scenario.rows()[0]
    arrive(scenario, raw, LINKS.bounce_address(row.id))
    assert (events_told(scenario), states(scenario)[row.email]) == (told, SubscriberState.ACTIVE)
    assert scenario.rows()[0].fate == (told[0] if told else "")
    with scenario.store.read() as tx:
        assert list(tx.scalars(select(table.c.state))) == [states_of]


def test_18_a_reader_who_forwards_a_report_is_no_bounce(scenario: DeliveryScenario):
    row = scenario.rows()[0]
    raw = report("friend@elsewhere.example").replace(
        b"From: MAILER-DAEMON@mx.example.com", b"From: reader1@example.org"
    )
    raw = raw.replace(b"multipart/report; report-type=delivery-status", b"multipart/mixed")
    store_mail(scenario.store, raw, row.email, [LINKS.reply_address(row.subscriber_id)], START)
    process_new(app_for(scenario), START)
    assert (events_told(scenario), states(scenario)[row.email]) == ([], SubscriberState.ACTIVE)


def test_14_a_report_that_nobody_can_read_is_counted_and_never_dropped(scenario: DeliveryScenario):
    arrive(scenario, report("stranger@elsewhere.example"))
    arrive(scenario, b"From: MAILER-DAEMON@mx.example.com\r\nMessage-ID: <1@x>\r\n\r\n?\r\n")
    with scenario.store.read() as tx:
        assert operator_views.unreadable(tx, START) == 2
    assert events_told(scenario) == []


@pytest.mark.parametrize(
    ("action", "told"), [("delayed", ["deferred"]), ("delivered", ["processed"])]
)
def test_13_a_delay_is_no_bounce(scenario: DeliveryScenario, action: str, told: list[str]):
    row = scenario.rows()[0]
    arrive(scenario, report(row.email, action=action, status="4.4.1", ours=message_id(row)))
    assert (events_told(scenario), states(scenario)[row.email]) == (told, SubscriberState.ACTIVE)


def test_13_five_unproven_bounces_end_a_subscription_and_suppress_nobody(
    scenario: DeliveryScenario,
):
    row = scenario.rows()[0]
    for week in range(6):
        at = START + timedelta(days=7 * week)
        store_mail(
            scenario.store, report(row.email, status=f"5.1.1 {week}"), "", [SENDER.email], at
        )
        process_new(app_for(scenario), at)
    assert states(scenario)[row.email] == SubscriberState.BOUNCED
    with scenario.store.read() as tx:
        assert suppressions.reason_for(tx, row.email) is None


@given(st.binary(max_size=400))
def test_16_whatever_comes_back_can_be_read(raw: bytes):
    bounce_reports.parse_report(raw)
    bounce_reports.parse_report(b"Final-Recipient: rfc822;" + raw)


def reply(said: str, number: int) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["Message-ID"] = "a@example.com", f"<{number}@example.com>"
    mail.set_content(said)
    return mail.as_bytes()


class Breaking:
    """A renderer that fails for whoever is in `cursed`."""

    def __init__(self, cursed: str) -> None:
        self.cursed = cursed

    def mail(self, name: str, **given: object) -> tuple[str, str, str]:
        if given["email"] == self.cursed:
            raise ZeroDivisionError
        return RENDERER.mail(name, **given)


def test_14_a_mail_that_breaks_us_is_left_to_a_person_and_stops_no_other(
    scenario: DeliveryScenario,
):
    first, second = scenario.rows()
    with scenario.store.begin() as tx:
        tx.execute(
            subscriber.update()
            .where(subscriber.c.id == first.subscriber_id)
            .values(state="of no release")
        )
    for number, row in enumerate((first, second)):
        to = LINKS.reply_address(row.subscriber_id)
        store_mail(scenario.store, reply("unsubscribe", number), "a@example.com", [to], START)
    assert process_new(app_for(scenario), START) == 2
    assert states(scenario)[second.email] == SubscriberState.UNSUBSCRIBED
    with scenario.store.read() as tx:
        [waiting] = inbound.review_queue(tx)
    assert (waiting.state, "log" in waiting.said) == (InboundState.REVIEW, True)
    assert process_new(app_for(scenario), START) == 0


def test_14_an_answer_that_cannot_be_made_stops_no_other_mail(scenario: DeliveryScenario):
    first, second = scenario.rows()
    broken = replace(app_for(scenario), renderer=Breaking(first.email))
    for number, row in enumerate((first, second)):
        to = LINKS.reply_address(row.subscriber_id)
        store_mail(scenario.store, reply("unsubscribe", number), "a@example.com", [to], START)
    assert process_new(broken, START) == 2
    assert set(states(scenario).values()) == {SubscriberState.UNSUBSCRIBED}
    assert [mail.to_email for mail in broken.mailer.taken] == [second.email]


def test_14_a_database_that_is_away_blames_no_mail(scenario: DeliveryScenario):
    row = scenario.rows()[0]
    to = LINKS.reply_address(row.subscriber_id)
    store_mail(scenario.store, reply("unsubscribe", 1), "a@example.com", [to], START)
    with scenario.store.begin() as tx:
        tx.execute(text("ALTER TABLE suppression RENAME TO hidden"))
    try:
        with pytest.raises(StoreError):
            process_new(app_for(scenario), START)
    finally:
        with scenario.store.begin() as tx:
            tx.execute(text("ALTER TABLE hidden RENAME TO suppression"))
    with scenario.store.read() as tx:
        assert list(tx.scalars(select(table.c.state))) == [InboundState.NEW]
        assert subscriptions.by_id(tx, row.subscriber_id)
    assert process_new(app_for(scenario), START) == 1
