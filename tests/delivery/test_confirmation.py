"""Who was imported without consent is asked once by mail, and is mailed nothing else."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from newsletter.delivery.confirmation import (
    IMPORTED_AN_HOUR,
    SentConfirmations,
    confirmation_mail,
    send_confirmations,
)
from newsletter.domain.mail import SubscriberState
from newsletter.mailers import SendError, SendFailure
from newsletter.store import signups
from tests.fakes.installation import Installation
from tests.fakes.pages import NOW, Mailbox, application, reader

RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"


@pytest.fixture
def installation(tmp_path):
    made = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="sample",
        NEWSLETTER_FROM_EMAIL="digest@example.org",
        NEWSLETTER_POSTAL_ADDRESS="1 Example Street",
    )
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    return made


def imported(installation, *words, **environment):
    roster = "email,rubric\nada@example.org,one\nbob@example.org,one\n"
    (installation.folder / "r.csv").write_text(roster)
    return installation.newsletter("subscribers", "import", "r.csv", *words, **environment)


def test_each_is_asked_once_however_often_the_file_comes(installation):
    done = imported(installation)
    assert (done.status, "2 asked by mail" in done.out) == (0, True), done.err
    assert sorted(mail["To"] for mail in installation.mails()) == [
        "ada@example.org",
        "bob@example.org",
    ]
    for mail in installation.mails():
        text = mail.get_body(("plain",)).get_content()
        assert re.search(r"https://digest\.example\.org/confirm/[a-z2-7]{48}", text)
    again = imported(installation)
    assert (again.status, "asked" in again.out) == (0, False)
    assert len(installation.mails()) == 2
    assert "nobody" in installation.newsletter("run").out.lower()


def test_one_who_is_added_is_asked_as_well(installation):
    assert (
        installation.newsletter("subscribers", "add", "cy@example.org", "--rubric", "one").status
        == 0
    )
    [mail] = installation.mails()
    assert mail["To"] == "cy@example.org"


def test_an_import_needs_no_scorer(installation):
    assert imported(installation, NEWSLETTER_SCORER="claude").status == 0
    assert len(installation.mails()) > 0


def test_who_agreed_before_and_who_is_only_rehearsed_is_not_asked(installation):
    assert imported(installation, "--dry-run").status == 0
    assert imported(installation, "--consent", "on paper").status == 0
    assert installation.mails() == []


def test_real_mail_half_set_stops_it_before_anything_is_stored(installation):
    done = imported(installation, SENDGRID_API_KEY="SG.x", NEWSLETTER_POSTAL_ADDRESS="")
    assert done.status == 2
    assert "NEWSLETTER_POSTAL_ADDRESS" in done.err
    assert "there is no database" in installation.newsletter("subscribers", "list", "--json").err


def test_mail_that_cannot_leave_is_said_and_made_up_later(installation):
    installation.outbox.write_text("a file where a folder should be")
    done = imported(installation)
    assert (done.status, "not everyone was asked" in done.err) == (1, True)
    installation.outbox.unlink()
    assert "2 asked by mail" in imported(installation).out


def waiting(store, number):
    people = [
        reader(store, email=f"r{n}@example.org", state=SubscriberState.PENDING, consent="import")
        for n in range(number)
    ]
    return [person.email for person in people]


def sent_confirmations(app, emails, now=NOW) -> SentConfirmations:
    def build(pending):
        return confirmation_mail(
            app.renderer, app.links, app.sender, pending[0], ["Cold stars"], now
        )

    return send_confirmations(app.store, app.mailer, emails, build, now)


def test_a_long_list_is_asked_in_parts_and_leaves_room_for_the_form(store):
    mailbox = Mailbox()
    work, emails = application(store, mailbox), waiting(store, IMPORTED_AN_HOUR + 5)
    first = sent_confirmations(work, emails)
    assert (first.sent, "this hour" in first.problem) == (IMPORTED_AN_HOUR, True)
    with store.begin() as tx:
        assert signups.request(tx, "web@example.org", "stars", NOW)
    assert sent_confirmations(work, emails, NOW + timedelta(hours=2)) == SentConfirmations(5)
    assert len({mail.to_email for mail in mailbox.mails}) == IMPORTED_AN_HOUR + 5


@pytest.mark.parametrize(
    ("failure", "later"), [(SendFailure.HALT, 2), (SendFailure.UNSENT, 2), (SendFailure.UNKNOWN, 0)]
)
def test_what_may_have_left_is_never_sent_again(store, failure, later):
    mailbox = Mailbox(fault=SendError(failure, "no answer"))
    work, emails = application(store, mailbox), waiting(store, 2)
    assert sent_confirmations(work, emails).sent == 0
    mailbox.fault = None
    assert sent_confirmations(work, emails).sent == later


def test_nobody_else_is_asked(store):
    mailbox = Mailbox()
    emails = [
        reader(store, email=f"{state}@example.org", state=state).email
        for state in SubscriberState
        if state is not SubscriberState.PENDING
    ]
    app = application(store, mailbox)
    assert sent_confirmations(app, [*emails, "no@example.org"]) == SentConfirmations()
    assert mailbox.mails == []
