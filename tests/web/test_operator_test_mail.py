"""The operator's test mail: what is seen is sent, once, and the answer is told as it was."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.mailers import SendError, SendFailure
from newsletter.store import suppressions
from newsletter.store.operator import actions
from newsletter.store.operator.actions import ActionKind
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes.browser import served
from tests.fakes.operators import HEADER, Person, form_fields, recorded
from tests.fakes.pages import (
    MODELS,
    NOW,
    STARS,
    THURSDAY,
    TUESDAY,
    Mailbox,
    application,
    issue,
    paper,
    reader,
)

if TYPE_CHECKING:
    from newsletter.domain.mail import Email
    from newsletter.store import Store
    from tests.fakes.browser import Page
    from tests.fakes.pages import Clock

PATIENCE = 30
TEST, SEND = "/operator/test-mail", "/operator/test-mail/send"
WISHED = {"rubric": "stars", "to": "me@example.org", "format": "titles"}


@pytest.fixture
def _digests(store: Store) -> None:
    issue(store, STARS, TUESDAY, [paper("1"), paper("2")])
    issue(store, STARS, THURSDAY, [paper("3", "Newest of all"), paper("4")])


def previewed(person: Person, **changes: str) -> Page:
    return person.fill(person.get(TEST), TEST, **{**WISHED, **changes})


@pytest.mark.usefixtures("_digests")
def test_what_is_previewed_is_sent_and_logged(store: Store, ada: Person, mailbox: Mailbox):
    page = previewed(ada)
    assert "To me@example.org , subject “[TEST]" in page.words
    frame = page.soup.find("iframe")
    assert frame["sandbox"] == []
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    shown = ada.get(frame["src"])
    assert "Newest of all" in shown.text
    full = ada.get(frame["src"].replace("titles", "full"))
    assert len(shown.text) < len(full.text)
    assert mailbox.mails == []
    done = ada.shown(ada.fill(page, SEND))
    [mail] = mailbox.mails
    assert (mail.to_email, mail.subject[:6]) == ("me@example.org", "[TEST]")
    assert "Newest of all" in mail.text
    assert "sent to m…@example.org by outbox" in done.words
    [action] = recorded(store)
    assert (action.kind, action.subject) == (ActionKind.SEND_TEST, "stars")
    assert "me@example.org" not in ada.get("/operator/log").text


@pytest.mark.usefixtures("_digests")
def test_a_double_click_sends_one_mail(store: Store, ada: Person, mailbox: Mailbox):
    fields = form_fields(previewed(ada), SEND)
    first, again = ada.post(SEND, fields), ada.post(SEND, fields)
    assert first.headers["location"] == again.headers["location"]
    assert len(mailbox.mails) == len(recorded(store)) == 1


class SlowMailbox(Mailbox):
    """Says when mails are being sent, and waits until it may answer."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self.sending, self.may_answer = threading.Barrier(at_once + 1), threading.Event()

    def send(self, email: Email) -> str:
        self.sending.wait(PATIENCE)
        self.may_answer.wait(PATIENCE)
        return super().send(email)


@pytest.mark.usefixtures("_digests")
def test_a_second_click_while_the_mail_is_being_sent_sends_no_other(store: Store):
    mailbox = SlowMailbox(1)
    app = application(store, mailbox, operator_header=HEADER)
    with served(create_app(Site(app))) as web, ThreadPoolExecutor(1) as pool:
        ada = Person(web, "ada")
        fields = form_fields(previewed(ada), SEND)
        first = pool.submit(ada.post, SEND, fields)
        mailbox.sending.wait(PATIENCE)
        waiting = ada.shown(ada.post(SEND, fields))
        assert "no answer is stored yet: reload this page" in waiting.words
        assert mailbox.mails == []
        mailbox.may_answer.set()
        done = ada.shown(first.result())
    assert "sent to m…@example.org by outbox" in done.words
    assert len(mailbox.mails) == len(recorded(store)) == 1


@pytest.mark.usefixtures("_digests")
def test_two_operators_at_the_same_time_send_one_each(store: Store):
    mailbox = SlowMailbox(2)
    app = application(store, mailbox, operator_header=HEADER)
    with served(create_app(Site(app))) as web, ThreadPoolExecutor(2) as pool:
        people = Person(web, "ada"), Person(web, "bo")
        both = [
            pool.submit(one.fill, previewed(one, to=f"{name}@example.org"), SEND)
            for name, one in zip(("ada", "bo"), people, strict=True)
        ]
        mailbox.sending.wait(PATIENCE)
        mailbox.may_answer.set()
        pages = [one.shown(sent.result()) for one, sent in zip(people, both, strict=True)]
    assert sorted(one.to_email for one in mailbox.mails) == ["ada@example.org", "bo@example.org"]
    for name, page in zip("ab", pages, strict=True):
        assert f"sent to {name}…@example.org" in page.words
    told = {one.operator: one.result for one in recorded(store)}
    assert len(told) == 2
    assert all(f"sent to {name[0]}…" in result for name, result in told.items())


@pytest.mark.usefixtures("_digests")
def test_a_send_whose_process_was_killed_is_not_repeated_and_told_as_unknown(
    store: Store, ada: Person, clock: Clock, mailbox: Mailbox
):
    fields = form_fields(previewed(ada), SEND)
    assert ada.post(SEND, fields).status == 303
    with store.begin() as tx:
        actions.set_result(tx, str(fields["form"]), actions.NO_ANSWER)
    again = ada.shown(ada.post(SEND, fields))
    assert "no answer is stored yet" in again.words
    clock.at += timedelta(hours=1)
    assert "It may not have been sent: the process ended" in ada.get("/operator/log").words
    assert len(mailbox.mails) == 1


@pytest.mark.usefixtures("_digests")
def test_a_failure_is_told_as_what_it_is(store: Store, ada: Person, mailbox: Mailbox):
    mailbox.fault = SendError(SendFailure.REFUSED, "550 no such user me@example.org")
    done = ada.shown(ada.fill(previewed(ada), SEND))
    assert "was not sent: 550 no such user m…@example.org" in done.words
    mailbox.fault = SendError(SendFailure.UNKNOWN, "the connection ended")
    done = ada.shown(ada.fill(previewed(ada), SEND))
    assert "may not have been sent: the connection ended" in done.words
    assert len(recorded(store)) == 2


@pytest.mark.usefixtures("_digests")
def test_a_suppressed_address_gets_no_test(store: Store, ada: Person, mailbox: Mailbox):
    with store.begin() as tx:
        suppressions.suppress(tx, "me@example.org", suppressions.Reason.COMPLAINED, "x", NOW)
    refused = ada.fill(previewed(ada), SEND)
    assert refused.status == 409
    assert "must not be mailed (complained)" in refused.words
    assert (mailbox.mails, recorded(store)) == ([], [])


def test_wrong_fields_and_a_rubric_without_digest_are_told(store: Store, ada: Person):
    page = previewed(ada, to="nobody", rubric="unknown", format="huge")
    assert page.status == 422
    assert "is not an address" in page.words
    assert "choose a rubric" in page.words
    assert "has no digest yet" in previewed(ada).words
    forged = ada.post(SEND, {**WISHED, "token": "x", "form": "a" * 32})
    assert forged.status == 403
    assert recorded(store) == []


@pytest.mark.usefixtures("_digests")
def test_a_form_of_an_older_digest_sends_nothing(store: Store, ada: Person, mailbox: Mailbox):
    stars = previewed(ada)
    issue(store, MODELS, TUESDAY, [paper("5"), paper("6")])
    models = previewed(ada, rubric="models")
    issue(store, MODELS, THURSDAY, [paper("7"), paper("8")])
    late = ada.fill(models, SEND)
    assert late.status == 409
    assert "changed this after you opened the form" in late.words
    assert mailbox.mails == []
    assert ada.fill(stars, SEND).status == 303


@pytest.mark.usefixtures("_digests")
def test_a_reader_finds_their_test_mail_in_their_data(store: Store, ada: Person):
    person = reader(store, email="me@example.org")
    ada.fill(previewed(ada), SEND)
    assert recorded(store)[0].subscriber_id == person.subscriber_id
