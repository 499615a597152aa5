"""Replies by mail on loopback: a digest by SMTP, the reply in a mailbox, the answer by SMTP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from newsletter.delivery import planner
from newsletter.delivery.personalize import Personalizer
from newsletter.delivery.sender import deliver
from newsletter.domain.mail import WEEKLY, SubscriberState, Subscription
from newsletter.domain.votes import Vote
from newsletter.jobs.housekeeping import process_inbound, read_mailbox
from newsletter.mailers.imap import ImapMailbox
from newsletter.mailers.smtp import SmtpMailer
from newsletter.store import Store, subscriptions, votes
from newsletter.store.tables import delivery
from tests.fakes.imap import FakeImap
from tests.fakes.mail import settings
from tests.fakes.pages import NOW, STARS, THURSDAY, application, issue, paper, reader
from tests.fakes.replies import message
from tests.fakes.smtp import FakeSmtp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from newsletter.context import App


@dataclass
class MailService:
    """The service between a mail server and a mailbox, and a reader who answers its mails."""

    app: App
    smtp: FakeSmtp
    imap: FakeImap
    person: Subscription

    def sent(self) -> list[EmailMessage]:
        return [message_from_bytes(raw, policy=policy.default) for raw in self.smtp.messages]

    def answer(self, mail: EmailMessage, said: str, **headers: str) -> list[EmailMessage]:
        """Reply to a mail as a mail program does; the mails that come back."""
        body = mail.get_body(("plain",))
        assert body is not None
        quoted = "".join(f"> {line}\n" for line in body.get_content().splitlines())
        attribution = f"On Thu, 25 Sept 2025 at 06:00, {mail['From']} wrote:"
        head = {"In_Reply_To": mail["Message-ID"], "References": mail["Message-ID"], **headers}
        raw = message(
            f"{said}\n\n{attribution}\n{quoted}",
            subject=f"Re: {mail['Subject']}",
            Message_ID=f"<{len(self.imap.mails)}@phone.example>",
            Delivered_To=mail["Reply-To"],
            **head,
        )
        self.imap.put(raw)
        before = len(self.smtp.messages)
        read_mailbox(self.app, NOW)
        process_inbound(self.app, NOW)
        return self.sent()[before:]

    @property
    def reader(self) -> Subscription:
        with self.app.store.read() as tx:
            known = subscriptions.by_id(tx, self.person.id)
        assert known
        return known


@pytest.fixture
def service(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailService]:
    folders = [tmp_path / name for name in ("smtp", "imap")]
    for folder in folders:
        folder.mkdir()
    with FakeSmtp(folders[0]) as smtp, FakeImap(folders[1]) as imap:
        authorities = tmp_path / "authorities.pem"
        trusted = [one.certificate.read_bytes() for one in (smtp, imap) if one.certificate]
        authorities.write_bytes(b"".join(trusted))
        monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
        mailbox = ImapMailbox(settings(imap_url=imap.url, from_email="digest@example.org"))
        mailer = SmtpMailer(settings(smtp_url=smtp.url))
        app = replace(application(store), mailer=mailer, mailbox=mailbox)
        yield MailService(app, smtp, imap, reader(store))


def mail_digest(service: MailService) -> EmailMessage:
    """The digest of Thursday as the reader gets it."""
    store, app = service.app.store, service.app
    papers = [paper(f"2509.0000{n}", f"Star {n}") for n in range(1, 6)]
    digest = issue(store, STARS, THURSDAY, papers)
    planner.plan_all(store, "stars", THURSDAY, NOW)
    with store.read() as tx:
        digest_id = tx.execute(select(delivery.c.digest_id)).scalar_one()
    personal = Personalizer(app.renderer, app.links, app.sender, digest, None)
    deliver(
        store,
        app.mailer,
        digest_id,
        lambda owed: personal.email(owed.subscription, owed.id, NOW),
        clock=app.clock,
        sleep=lambda _seconds: None,
    )
    [mail] = service.sent()
    return mail


def test_each_reply_is_done_and_answered_once(service: MailService):
    mail = mail_digest(service)
    body = mail.get_body(("plain",))
    assert body is not None
    assert "“pause 2 weeks” or “help”" in " ".join(body.get_content().split())

    [answer] = service.answer(mail, "+3 -1, thanks!")
    assert answer["Subject"] == "2 votes counted"
    with service.app.store.read() as tx:
        given = {one.title: one.vote for one in votes.given_by(tx, [service.person.id])}
    assert given == {"Star 3": Vote.MORE, "Star 1": Vote.LESS}

    [answer] = service.answer(mail, "Weekly, please.")
    assert service.reader.days == WEEKLY
    assert answer["Auto-Submitted"] == "auto-replied"
    assert answer["Reply-To"] == mail["Reply-To"]

    [answer] = service.answer(answer, "pause 2 weeks")
    assert service.reader.state is SubscriberState.PAUSED
    [answer] = service.answer(answer, "resume")
    assert service.reader.state is SubscriberState.ACTIVE
    [answer] = service.answer(answer, "help")
    assert service.answer(mail, "daily") == [], "five answers are all of a day"
    assert service.reader.days != WEEKLY

    service.answer(mail, "unsubscribe")
    assert service.reader.state is SubscriberState.UNSUBSCRIBED


def test_two_machines_do_not_answer_each_other(service: MailService):
    mail = mail_digest(service)
    away = {"Auto_Submitted": "auto-replied"}
    assert service.answer(mail, "help", **away) == []
    [answer] = service.answer(mail, "help")
    assert service.answer(answer, "I am away. Daily business: Bob.", **away) == []
    assert service.answer(answer, "I am away for 2 weeks.") == []
