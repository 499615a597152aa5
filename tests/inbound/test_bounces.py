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
from newsletter.inbound import bounces
from newsletter.inbound.processor import process_new, store_mail
from newsletter.render import Renderer, SiteInfo
from newsletter.store import StoreError, inbound, operator_views, subscribers, suppressions
from newsletter.store.inbound import InboundState
from newsletter.store.tables import delivery, event, subscriber
from newsletter.store.tables import inbound as table
from tests.fakes.app import app_of
from tests.fakes.mail import LINKS, RUBRIC, SENDER, START, FakeMailer, Town

if TYPE_CHECKING:
    from newsletter.context import App
    from newsletter.store import Store

RENDERER = Renderer(SiteInfo("arXiv digest", "Example Lab, 1 Street", "https://digest.example.org"))
GONE = "5.1.1 (no such user)"


@pytest.fixture
def town(store: Store) -> Town:
    made = Town(store)
    made.settle(2)
    made.announce()
    made.send(FakeMailer())
    return made


def app_for(town: Town) -> App:
    rubric = Rubric(RUBRIC, "Cold stars", ("astro-ph.SR",), ())
    return app_of(town.store, rubrics={RUBRIC: rubric})


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


def arrive(town: Town, raw: bytes, to: str = SENDER.email) -> None:
    store_mail(town.store, raw, "", [to], START)
    process_new(app_for(town), START)


def states(town: Town) -> dict[str, str]:
    with town.store.read() as tx:
        rows = tx.execute(select(subscriber.c.email, subscriber.c.state))
        return {row.email: row.state for row in rows}


def events_told(town: Town) -> list[str]:
    with town.store.read() as tx:
        return list(tx.scalars(select(event.c.kind)))


def test_13_a_bounce_by_mail_ends_the_subscription_it_is_about(town: Town):
    first, second = town.rows()
    arrive(town, report("an.alias@elsewhere.example", ours=message_id(first)))
    assert states(town) == {
        first.email: SubscriberState.BOUNCED,
        second.email: SubscriberState.ACTIVE,
    }
    with town.store.read() as tx:
        assert suppressions.reason_for(tx, first.email) is suppressions.Reason.UNSUBSCRIBED
    assert town.rows()[0].fate == "reported bounce"


def test_13_a_report_to_the_bounce_address_is_about_that_delivery(town: Town):
    row = town.rows()[0]
    arrive(town, report("an.alias@elsewhere.example"), LINKS.bounce_address(row.id).upper())
    assert states(town)[row.email] == SubscriberState.BOUNCED
    with town.store.read() as tx:
        assert suppressions.reason_for(tx, row.email) is suppressions.Reason.BOUNCED
    assert town.rows()[0].fate == "hard bounce"


def test_13_a_mail_in_doubt_that_bounces_had_been_taken(town: Town):
    row = town.rows()[0]
    with town.store.begin() as tx:
        tx.execute(delivery.update().values(state=DeliveryState.UNKNOWN))
    arrive(town, report(row.email, status="4.2.2", ours=message_id(row)))
    assert town.states()[row.email] is DeliveryState.ACCEPTED
    assert states(town)[row.email] == SubscriberState.ACTIVE


def test_12_a_report_that_comes_twice_counts_once(town: Town):
    row = town.rows()[0]
    for to in (SENDER.email, "postmaster@mail.example.org"):
        arrive(town, report(row.email, status="4.2.2", ours=message_id(row)), to)
    arrive(town, report(row.email, status="4.2.2 still", ours=message_id(row)))
    assert events_told(town) == ["soft bounce"]


def test_17_a_token_of_a_forwarded_digest_ends_nothing_for_good(town: Town):
    row = town.rows()[0]
    header = f"Reply-To: {LINKS.reply_address(row.subscriber_id).upper()}\r\n"
    arrive(town, report("x@y.example", ours=header))
    assert states(town)[row.email] == SubscriberState.BOUNCED
    assert events_told(town) == ["reported bounce"]
    with town.store.read() as tx:
        assert suppressions.reason_for(tx, row.email) is suppressions.Reason.UNSUBSCRIBED


def test_18_an_address_alone_proves_nothing(town: Town):
    row = town.rows()[0]
    arrive(town, report(row.email))
    arrive(town, report(row.email, ours=f"Message-ID: <{'0' * 32}@mail.example.org>\r\n"))
    arrive(town, report(row.email, kind="arf"))
    assert states(town)[row.email] == SubscriberState.ACTIVE
    assert events_told(town) == ["soft bounce"]
    with town.store.read() as tx:
        assert suppressions.reason_for(tx, row.email) is None
        assert [one.state for one in inbound.review_queue(tx)] == [InboundState.LETTER]


@pytest.mark.parametrize("subtype", ["report", "mixed"])
@pytest.mark.parametrize("feedback", ["abuse", "fraud", "Abuse"])
def test_17_a_feedback_report_is_a_complaint_and_counts_as_one(
    town: Town, feedback: str, subtype: str
):
    row = town.rows()[0]
    ours = f"List-Unsubscribe: <mailto:{LINKS.unsub_address(row.subscriber_id)}>\r\n"
    for _ in range(2):
        told = report(
            "redacted",
            kind="arf",
            ours=message_id(row) + ours,
            feedback=feedback,
            subtype=subtype,
        )
        arrive(town, told, LINKS.bounce_address(row.id))
    assert states(town)[row.email] == SubscriberState.COMPLAINED
    assert events_told(town) == ["complaint"]


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
    town: Town, feedback: str, state: SubscriberState, told: list[str], *, by_token: bool
):
    row = town.rows()[0]
    token = f"List-Unsubscribe: <mailto:{LINKS.unsub_address(row.subscriber_id)}>\r\n"
    ours = message_id(row) + (token if by_token else "")
    to = LINKS.reply_address(row.subscriber_id) if by_token else SENDER.email
    arrive(town, report("redacted", kind="arf", ours=ours, feedback=feedback), to)
    assert (states(town)[row.email], events_told(town)) == (state, told)


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
    town: Town, raw: bytes, told: list[str], states_of: str
):
    row = town.rows()[0]
    arrive(town, raw, LINKS.bounce_address(row.id))
    assert (events_told(town), states(town)[row.email]) == (told, SubscriberState.ACTIVE)
    assert town.rows()[0].fate == (told[0] if told else "")
    with town.store.read() as tx:
        assert list(tx.scalars(select(table.c.state))) == [states_of]


def test_18_a_reader_who_forwards_a_report_is_no_bounce(town: Town):
    row = town.rows()[0]
    raw = report("friend@elsewhere.example").replace(
        b"From: MAILER-DAEMON@mx.example.com", b"From: reader1@example.org"
    )
    raw = raw.replace(b"multipart/report; report-type=delivery-status", b"multipart/mixed")
    store_mail(town.store, raw, row.email, [LINKS.reply_address(row.subscriber_id)], START)
    process_new(app_for(town), START)
    assert (events_told(town), states(town)[row.email]) == ([], SubscriberState.ACTIVE)


def test_14_a_report_that_nobody_can_read_is_counted_and_never_dropped(town: Town):
    arrive(town, report("stranger@elsewhere.example"))
    arrive(town, b"From: MAILER-DAEMON@mx.example.com\r\nMessage-ID: <1@x>\r\n\r\n?\r\n")
    with town.store.read() as tx:
        assert operator_views.unreadable(tx, START) == 2
    assert events_told(town) == []


@pytest.mark.parametrize(
    ("action", "told"), [("delayed", ["deferred"]), ("delivered", ["processed"])]
)
def test_13_a_delay_is_no_bounce(town: Town, action: str, told: list[str]):
    row = town.rows()[0]
    arrive(town, report(row.email, action=action, status="4.4.1", ours=message_id(row)))
    assert (events_told(town), states(town)[row.email]) == (told, SubscriberState.ACTIVE)


def test_13_five_by_hearsay_rest_a_reader_and_suppress_nobody(town: Town):
    row = town.rows()[0]
    for week in range(6):
        at = START + timedelta(days=7 * week)
        store_mail(town.store, report(row.email, status=f"5.1.1 {week}"), "", [SENDER.email], at)
        process_new(app_for(town), at)
    assert states(town)[row.email] == SubscriberState.BOUNCED
    with town.store.read() as tx:
        assert suppressions.reason_for(tx, row.email) is None


@given(st.binary(max_size=400))
def test_16_whatever_comes_back_can_be_read(raw: bytes):
    bounces.parse_report(raw)
    bounces.parse_report(b"Final-Recipient: rfc822;" + raw)


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


def test_14_a_mail_that_breaks_us_is_left_to_a_person_and_stops_no_other(town: Town):
    first, second = town.rows()
    with town.store.begin() as tx:
        tx.execute(
            subscriber.update()
            .where(subscriber.c.id == first.subscriber_id)
            .values(state="of no release")
        )
    for number, row in enumerate((first, second)):
        to = LINKS.reply_address(row.subscriber_id)
        store_mail(town.store, reply("unsubscribe", number), "a@example.com", [to], START)
    assert process_new(app_for(town), START) == 2
    assert states(town)[second.email] == SubscriberState.UNSUBSCRIBED
    with town.store.read() as tx:
        [waiting] = inbound.review_queue(tx)
    assert (waiting.state, "log" in waiting.said) == (InboundState.REVIEW, True)
    assert process_new(app_for(town), START) == 0


def test_14_an_answer_that_cannot_be_made_stops_no_other_mail(town: Town):
    first, second = town.rows()
    broken = replace(app_for(town), renderer=Breaking(first.email))
    for number, row in enumerate((first, second)):
        to = LINKS.reply_address(row.subscriber_id)
        store_mail(town.store, reply("unsubscribe", number), "a@example.com", [to], START)
    assert process_new(broken, START) == 2
    assert set(states(town).values()) == {SubscriberState.UNSUBSCRIBED}
    assert [mail.to_email for mail in broken.mailer.taken] == [second.email]


def test_14_a_database_that_is_away_blames_no_mail(town: Town):
    row = town.rows()[0]
    to = LINKS.reply_address(row.subscriber_id)
    store_mail(town.store, reply("unsubscribe", 1), "a@example.com", [to], START)
    with town.store.begin() as tx:
        tx.execute(text("ALTER TABLE suppression RENAME TO hidden"))
    try:
        with pytest.raises(StoreError):
            process_new(app_for(town), START)
    finally:
        with town.store.begin() as tx:
            tx.execute(text("ALTER TABLE hidden RENAME TO suppression"))
    with town.store.read() as tx:
        assert list(tx.scalars(select(table.c.state))) == [InboundState.NEW]
        assert subscribers.get(tx, row.subscriber_id)
    assert process_new(app_for(town), START) == 1
