"""The numbers in names are the acceptance cases in docs/delivery.md."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from newsletter.domain.links import TEST_READER
from newsletter.domain.mail import SubscriberState, Subscription
from newsletter.domain.model import Rubric
from newsletter.inbound.processor import is_aligned, process_new, store_mail
from newsletter.render import Renderer, SiteInfo
from newsletter.store import inbound, subscriptions
from newsletter.store.inbound import InboundState
from newsletter.store.tables import inbound as table
from tests.fakes.app import app_of
from tests.fakes.mail import LINKS, RUBRIC, SENDER, START, FakeMailer, reader
from tests.fakes.replies import TONGUES, message, quoted
from tests.suite_size import LARGE

if TYPE_CHECKING:
    from newsletter.context import App
    from newsletter.store import Store

LATER = START + timedelta(hours=25)
RENDERER = Renderer(SiteInfo("arXiv digest", "Example Lab, 1 Street", "https://digest.example.org"))


@pytest.fixture
def person() -> Subscription:
    return reader()


@pytest.fixture
def app(store: Store, person: Subscription) -> App:
    with store.begin() as tx:
        subscriptions.insert_new(tx, person, START)
    rubric = Rubric(RUBRIC, "Cold stars", ("astro-ph.SR",), ())
    return app_of(store, rubrics={RUBRIC: rubric})


def receive(app: App, text: str, to: str, now=START, **options) -> int:
    """One mail comes in and is worked off; how many answers it got."""
    before = len(answers(app))
    extra = {"subject": "Re: arXiv digest", **options.pop("headers", {})}
    raw = message(text, Message_ID=f"<{now.timestamp()}.{text[:5].strip()}@x>", **extra)
    store_mail(app.store, raw, options.pop("author", "ann@example.com"), [to], now, **options)
    process_new(app, now)
    return len(answers(app)) - before


def answers(app: App) -> list:
    assert isinstance(app.mailer, FakeMailer)
    return app.mailer.taken


def state(app: App, person: Subscription) -> SubscriberState:
    with app.store.read() as tx:
        known = subscriptions.by_id(tx, person.id)
    assert known is not None
    return known.state


def kept(app: App) -> list[InboundState]:
    with app.store.read() as tx:
        return [
            InboundState(s) for s in tx.scalars(select(table.c.state).order_by(table.c.received_at))
        ]


def test_a_reply_unsubscribes_at_once_and_is_confirmed_once(app: App, person: Subscription):
    to = LINKS.reply_address(person.id)
    text = f"Unsubscribe\n\n{TONGUES[0].gmail}\n{quoted('1. Cold stars')}"

    assert receive(app, text, to) == 1

    [mail] = answers(app)
    assert state(app, person) is SubscriberState.UNSUBSCRIBED
    assert (mail.to_email, mail.reply_to) == (person.email, SENDER.operator)
    assert dict(mail.headers)["Auto-Submitted"] == "auto-replied"
    assert LINKS.preferences_url(person.id) in mail.text
    assert kept(app) == [InboundState.DONE]
    assert receive(app, text, to, now=LATER) == 0


def test_the_mailto_of_list_unsubscribe_works_with_any_text(app: App, person: Subscription):
    headers = {"Auto_Submitted": "auto-generated"}
    assert receive(app, "", LINKS.unsub_address(person.id), headers=headers) == 1
    assert state(app, person) is SubscriberState.UNSUBSCRIBED


def test_14_the_same_mail_three_times_is_one_action(app: App, person: Subscription):
    raw = message("unsubscribe", Message_ID="<one@example.com>")
    to = [LINKS.reply_address(person.id)] * 2
    news = [store_mail(app.store, raw, "ann@example.com", to, START) for _ in range(3)]

    assert news == [1, 0, 0]
    assert process_new(app, START) == 1
    assert process_new(app, START) == 0
    assert len(answers(app)) == 1


def test_14_a_mail_of_thirty_megabytes_is_kept_and_worked_off(app: App, person: Subscription):
    raw = message("unsubscribe") + b"\r\n" * 15_000_000
    assert (
        store_mail(app.store, raw, "ann@example.com", [LINKS.reply_address(person.id)], START) == 1
    )
    assert process_new(app, START) == 1
    assert state(app, person) is SubscriberState.UNSUBSCRIBED


def test_what_is_not_clear_waits_for_the_operator_and_gets_one_answer(
    app: App, person: Subscription
):
    to = LINKS.reply_address(person.id)

    assert receive(app, "How do I unsubscribe my colleague?", to) == 1

    assert state(app, person) is SubscriberState.ACTIVE
    assert LINKS.unsubscribe_url(person.id) in answers(app)[0].text
    with app.store.begin() as tx:
        [waiting] = inbound.review_queue(tx)
        assert (waiting.said, waiting.raw) == ("How do I unsubscribe my colleague?", b"")
        assert inbound.set_state(tx, waiting.id, InboundState.DONE)
        assert not inbound.set_state(tx, waiting.id, InboundState.DONE)
        assert inbound.review_queue(tx) == []


@pytest.mark.parametrize(("words", "state"), [(0, "review"), (12, "review"), (13, "letter")])
def test_what_is_no_wish_goes_to_the_operator_unanswered(
    app: App, person: Subscription, words: int, state: str
):
    said = " ".join(["wonderful"] * words)
    text = f"{said}\n\n{TONGUES[0].gmail}\n{quoted('1. Cold stars')}"

    assert receive(app, text, LINKS.reply_address(person.id)) == 0

    with app.store.read() as tx:
        [waiting] = inbound.review_queue(tx)
    assert (waiting.state, waiting.said.strip()) == (state, said)


def test_who_wants_their_data_deleted_is_offered_the_page_and_kept_for_a_person(
    app: App, person: Subscription
):
    assert receive(app, "Please delete my data.", LINKS.reply_address(person.id)) == 1

    [mail] = answers(app)
    assert LINKS.preferences_url(person.id) in mail.text
    assert "Erase me" in mail.text
    assert kept(app) == [InboundState.REVIEW]
    assert state(app, person) is SubscriberState.ACTIVE


def test_17_however_many_replies_get_one_answer_a_day(app: App, person: Subscription):
    to = LINKS.reply_address(person.id)
    many = 1000 if LARGE else 200
    for number in range(many):
        raw = message("please do not unsubscribe me", Message_ID=f"<{number}@x>")
        store_mail(app.store, raw, "ann@example.com", [to], START)
    assert process_new(app, START) == many
    assert len(answers(app)) == 1
    assert receive(app, "help", to, now=LATER) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Precedence": "bulk"},
        {"subject": "Automatic reply: away"},
    ],
    ids=str,
)
def test_17_machines_are_neither_obeyed_nor_answered(
    app: App, person: Subscription, headers: dict[str, str]
):
    to = LINKS.reply_address(person.id)
    assert receive(app, "unsubscribe", to, headers=headers) == 0
    assert state(app, person) is SubscriberState.ACTIVE
    assert kept(app) == [InboundState.DONE]


def test_17_two_of_us_writing_to_each_other_fall_silent(app: App, person: Subscription):
    receive(app, "help", LINKS.reply_address(person.id))
    [answer] = answers(app)
    from newsletter.mailers.mime import to_bytes

    back = to_bytes(answer)
    store_mail(app.store, back, SENDER.email, [LINKS.reply_address(person.id)], LATER)
    process_new(app, LATER)
    assert len(answers(app)) == 1


def test_17_a_feedback_report_to_a_readers_address_ends_the_subscription(
    app: App, person: Subscription
):
    raw = (
        b"From: fbl@example.com\r\nContent-Type: multipart/report; report-type=feedback-report;"
        b' boundary="b"\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n'
        b"Feedback-Type: abuse\r\n\r\n--b--\r\n"
    )
    store_mail(app.store, raw, "fbl@example.com", [LINKS.unsub_address(person.id)], START)
    process_new(app, START)
    assert state(app, person) is SubscriberState.UNSUBSCRIBED
    assert answers(app) == []


def test_pause_and_resume_by_reply(app: App, person: Subscription):
    to = LINKS.reply_address(person.id)
    assert receive(app, "pause", to) == 1
    assert state(app, person) is SubscriberState.PAUSED
    assert receive(app, "resume", to, now=LATER) == 1
    assert state(app, person) is SubscriberState.ACTIVE


def test_18_without_a_token_a_from_alone_proves_nothing(app: App, person: Subscription):
    headers = {"subject": "unsubscribe"}
    raw = message("unsubscribe", **headers).replace(b"ann@example.com", person.email.encode())
    raw = b"Authentication-Results: mx; dkim=pass header.d=example.org\r\n" + raw
    store_mail(app.store, raw, person.email, ["digest@in.example.org"], START)
    process_new(app, START)

    assert state(app, person) is SubscriberState.ACTIVE
    [mail] = answers(app)
    assert mail.to_email == person.email
    assert LINKS.unsubscribe_url(person.id) in mail.text
    again = raw.replace(b"unsubscribe", b"unsubscribe ")
    store_mail(app.store, again, person.email, ["digest@in.example.org"], START)
    process_new(app, START)
    assert len(answers(app)) == 1


def test_18_without_a_token_an_aligned_from_is_enough(app: App, person: Subscription):
    raw = message("unsubscribe").replace(b"ann@example.com", person.email.encode())
    store_mail(app.store, raw, person.email, ["digest@in.example.org"], START, aligned=True)
    process_new(app, START)
    assert state(app, person) is SubscriberState.UNSUBSCRIBED


def test_18_a_stranger_is_never_answered(app: App):
    assert receive(app, "unsubscribe", "digest@in.example.org") == 0
    assert receive(app, "unsubscribe", LINKS.reply_address("a" * 32), now=LATER) == 0
    assert kept(app) == [InboundState.REVIEW, InboundState.REVIEW]


def test_18_a_bent_token_proves_nothing(app: App, person: Subscription):
    to = LINKS.reply_address(person.id)
    bent = to.replace(to[10], "a" if to[10] != "a" else "b", 1)
    receive(app, "unsubscribe", bent)
    assert state(app, person) is SubscriberState.ACTIVE


def test_24_an_answer_to_a_test_mail_changes_nothing(app: App):
    assert receive(app, "unsubscribe", LINKS.reply_address(TEST_READER)) == 0
    assert kept(app) == [InboundState.DONE]


def test_who_complained_is_never_written_to(app: App, person: Subscription):
    with app.store.begin() as tx:
        subscriptions.end_all(tx, person.id, SubscriberState.COMPLAINED, "event", START)
    assert receive(app, "help", LINKS.reply_address(person.id)) == 0


def test_what_was_settled_is_forgotten_after_a_month(app: App, person: Subscription):
    receive(app, "help", LINKS.reply_address(person.id))
    with app.store.begin() as tx:
        assert inbound.delete_old(tx, START + timedelta(days=29)) == 0
        assert inbound.delete_old(tx, START + timedelta(days=31)) == 1
        row = tx.execute(select(table)).one()
    assert (row.body_id, row.said, row.envelope_from) == (None, "", "")


@pytest.mark.parametrize("words", [2, 20])
def test_what_waits_for_a_person_is_forgotten_after_three_months(
    app: App, person: Subscription, words: int
):
    receive(app, "wonderful " * words, LINKS.reply_address(person.id))
    with app.store.begin() as tx:
        assert inbound.delete_old(tx, START + timedelta(days=89)) == 0
        assert len(inbound.review_queue(tx)) == 1
        assert inbound.delete_old(tx, START + timedelta(days=91)) == 1
        assert inbound.review_queue(tx) == []
        row = tx.execute(select(table)).one()
    assert (row.body_id, row.said, row.envelope_from) == (None, "", "")


@pytest.mark.parametrize(
    ("dkim", "spf", "envelope_from", "expected"),
    [
        ("{@example.org : pass}", "none", "", True),
        ("{@mail.example.org : pass}", "", "", True),
        ("{@gmail.com : pass, @example.org : pass}", "", "", True),
        ("{@example.org : fail}", "fail", "ann@example.org", False),
        ("{@gmail.com : pass}", "", "", False),
        ("{@org : pass}", "", "", False),
        ("{@notexample.org : pass}", "", "", False),
        ("none", "pass", "ann@example.org", True),
        ("none", "pass", "ann@evil.example", False),
        ("none", "softfail", "ann@example.org", False),
        ("Can't locate object method via package", "", "", False),
        ("{@example.org.evil.example : pass}", "", "", False),
    ],
)
def test_18_alignment(dkim: str, spf: str, envelope_from: str, expected: bool):  # noqa: FBT001
    assert is_aligned("Ann <ann@example.org>", dkim, spf, envelope_from) is expected
    assert not is_aligned("nobody", dkim, spf, envelope_from)


def test_an_answer_that_cannot_be_sent_undoes_nothing(app: App, person: Subscription):
    from newsletter.mailers import SendError, SendFailure

    def refuse(_email: object) -> None:
        raise SendError(SendFailure.UNSENT, "no")

    broken = replace(app, mailer=FakeMailer(before=refuse))
    assert receive(broken, "unsubscribe", LINKS.reply_address(person.id)) == 0
    assert state(app, person) is SubscriberState.UNSUBSCRIBED
