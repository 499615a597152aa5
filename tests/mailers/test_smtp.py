"""Mail by SMTP, against a server that takes commands in their order and form alone.

Each of these was broken on purpose in `newsletter/mailers/smtp.py` once, and tests of SMTP, of the
mailers' contract and of the doctor went red (so many of them): no login (38), RCPT before MAIL
(36), an address without brackets (29), DATA in place of the doctor's RSET (2).
"""

from __future__ import annotations

import email as parser
from dataclasses import replace
from email import policy
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from newsletter.domain.links import LOCAL_PART_OCTETS, Purpose
from newsletter.mailers import SendError, SendFailure
from newsletter.mailers.smtp import SmtpMailer
from newsletter.mailers.smtp_connection import is_loopback
from newsletter.settings import SettingsError
from newsletter.store import subscriptions, suppressions
from newsletter.store.suppressions import Reason
from newsletter.store.tables import event
from tests.fakes.loopback import free_port
from tests.fakes.mail import LINKS, SENDER, DeliveryScenario, email, reader, settings
from tests.fakes.smtp import FakeSmtp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from newsletter.domain.mail import Email
    from newsletter.store import Store


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FakeSmtp]]:
    """Start a server whose certificate is believed."""
    running: list[FakeSmtp] = []

    def start(**options: Any) -> FakeSmtp:
        server = FakeSmtp(tmp_path, **options)
        server.__enter__()
        running.append(server)
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        return server

    yield start
    for server in running:
        server.__exit__()


def mailer(url: str) -> SmtpMailer:
    return SmtpMailer(settings(smtp_url=url), timeout=240.0, answer_seconds=240.0)


def refused(server: FakeSmtp, mail: Email | None = None) -> SendError:
    with pytest.raises(SendError) as caught:
        mailer(server.url).send(mail or email())
    assert "secret" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("implicit", [False, True])
def test_a_mail_goes_over_tls_whole(trusted: Callable[..., FakeSmtp], implicit: bool):  # noqa: FBT001
    server = trusted(implicit=implicit)
    made = email(text=".a dot\n..two\nend", html="<p>" + "x" * 2000 + "</p>")

    assert mailer(server.url).send(made) == "queued as 1"

    [raw] = server.messages
    mail = parser.message_from_bytes(raw, policy=policy.default)
    assert mail["Message-ID"] == made.message_id
    text, html = mail.iter_parts()
    assert text.get_content().splitlines() == made.text.splitlines()
    assert html.get_content().splitlines() == made.html.splitlines()
    assert [line.split(" ")[0].upper() for line in server.in_clear] == (
        [] if implicit else ["EHLO", "STARTTLS"]
    )
    assert any(line.startswith("AUTH PLAIN") for line in server.commands)


@pytest.mark.parametrize("implicit", [False, True])
def test_certificate_authorities_are_read_once_for_all_mails(
    trusted: Callable[..., FakeSmtp],
    monkeypatch: pytest.MonkeyPatch,
    implicit: bool,  # noqa: FBT001
):
    server = trusted(implicit=implicit)
    shared = mailer(server.url)
    shared.send(email())

    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")

    shared.send(email())
    assert len(server.messages) == 2


def test_without_starttls_nothing_is_said_in_the_clear(trusted: Callable[..., FakeSmtp]):
    server = trusted(starttls=False)

    error = refused(server)

    assert error.failure is SendFailure.HALT
    assert "never sent unencrypted" in str(error)
    assert [line.split(" ")[0].upper() for line in server.in_clear] == ["EHLO"]
    assert server.messages == []


def test_a_certificate_nobody_vouches_for_halts(tmp_path: Path):
    with FakeSmtp(tmp_path) as server:
        error = refused(server)
    assert error.failure is SendFailure.HALT
    assert "SSL_CERT_FILE name the authority" in str(error)
    assert server.commands == []


@pytest.mark.parametrize(
    ("answers", "failure"),
    [
        ({"AUTH": "535 no"}, SendFailure.HALT),
        ({"AUTH": "454 later"}, SendFailure.UNSENT),
        ({"AUTH": "drop"}, SendFailure.UNSENT),
        ({"MAIL": "550 who are you"}, SendFailure.HALT),
        ({"MAIL": "451 later"}, SendFailure.UNSENT),
        ({"MAIL": "421 too many"}, SendFailure.THROTTLED),
        ({"MAIL": "drop"}, SendFailure.UNSENT),
        ({"RCPT": "550 no such user"}, SendFailure.REFUSED),
        ({"RCPT": "450 mailbox busy"}, SendFailure.UNSENT),
        ({"RCPT": "drop"}, SendFailure.UNSENT),
        ({"DATA": "554 no"}, SendFailure.REFUSED),
        ({"DATA": "451 later"}, SendFailure.UNSENT),
        ({"DATA": "250 what"}, SendFailure.UNSENT),
        ({"DATA": "drop"}, SendFailure.UNSENT),
        ({"END": "451 later"}, SendFailure.UNSENT),
        ({"END": "554 spam"}, SendFailure.REFUSED),
        ({"END": "421 closing"}, SendFailure.THROTTLED),
        ({"END": "drop"}, SendFailure.UNKNOWN),
    ],
    ids=str,
)
def test_every_answer_has_its_outcome(
    trusted: Callable[..., FakeSmtp], answers: dict[str, str], failure: SendFailure
):
    assert refused(trusted(answers=answers)).failure is failure


def test_04_a_server_that_is_not_there_is_provably_unsent():
    with pytest.raises(SendError) as caught:
        mailer(f"smtp://127.0.0.1:{free_port()}").send(email())
    assert caught.value.failure is SendFailure.UNSENT


def test_22_addresses_in_other_scripts_need_a_server_that_carries_them(
    trusted: Callable[..., FakeSmtp],
):
    person = reader(email="用户@bücher.example")
    server = trusted()

    mailer(server.url).send(email(person))

    assert "RCPT TO:<用户@bücher.example>" in server.commands
    assert any(line.endswith(" SMTPUTF8") for line in server.commands)
    assert "用户@bücher.example".encode() in server.messages[0]
    server.smtputf8 = False
    assert refused(server, email(person)).failure is SendFailure.REFUSED


def test_22_a_domain_in_another_script_travels_in_its_ascii_form(
    trusted: Callable[..., FakeSmtp],
):
    server = trusted(smtputf8=False)

    mailer(server.url).send(email(reader(email="ann@Bücher.example")))

    assert "RCPT TO:<ann@xn--bcher-kva.example>" in server.commands
    assert b"ann@xn--bcher-kva.example" in server.messages[0]


@pytest.mark.parametrize(
    "url",
    [
        *("", "mail.example.org", "http://x", "smtp://", "smtp://h:port", "smtp://[x"),
        *("smtp://user:12/secret@h", "smtp://user:12?secret@h", "smtp://a@h:12#secret@h"),
    ],
)
def test_a_wrong_address_of_the_server_names_the_setting(url: str):
    with pytest.raises(SettingsError, match="NEWSLETTER_SMTP_URL") as caught:
        mailer(url)
    assert "secret" not in str(caught.value)


def test_reports_come_back_to_an_address_that_names_the_delivery(trusted: Callable[..., FakeSmtp]):
    server = trusted()
    sender = replace(SENDER, bounce_addresses=True)
    made = email(sender=sender)
    mailer(server.url).send(made)
    mailer(server.url).send(email(sender=sender, test=True))
    mailer(server.url).send(email())
    own, *others = [line for line in server.commands if line.startswith("MAIL")]
    address = own.removeprefix("MAIL FROM:<").removesuffix(">")
    assert LINKS.read_address(address) == (Purpose.BOUNCE, made.delivery_id)
    assert address == address.lower()
    assert len(address.partition("@")[0]) <= LOCAL_PART_OCTETS
    assert others == [f"MAIL FROM:<{SENDER.email}>"] * 2


def test_a_server_that_takes_no_other_sender_is_told_with_the_setting(
    trusted: Callable[..., FakeSmtp],
):
    server = trusted(answers={"MAIL": "553 5.7.1 sender address rejected: not owned by user"})
    error = refused(server, email(sender=replace(SENDER, bounce_addresses=True)))
    assert error.failure is SendFailure.HALT
    assert "NEWSLETTER_SMTP_BOUNCE_ADDRESSES=false" in str(error)
    assert "BOUNCE_ADDRESSES" not in str(refused(server))


@pytest.mark.parametrize("step", ["RCPT", "END"])
@pytest.mark.parametrize(
    ("answer", "state", "shut", "fate"),
    [
        ("550 5.1.1 no such user", "bounced", Reason.BOUNCED, "hard bounce"),
        ("552 5.2.2 the mailbox is full", "active", None, "soft bounce"),
        ("550 no such user", "active", None, "soft bounce"),
    ],
)
def test_a_refusal_of_a_recipient_is_the_same_news_as_a_report_by_mail(
    trusted: Callable[..., FakeSmtp],
    store: Store,
    step: str,
    answer: str,
    state: str,
    shut: Reason | None,
    fate: str,
):
    server = trusted(answers={step: answer})
    scenario = DeliveryScenario(store)
    [person] = scenario.add_readers(1)
    scenario.make_digest()
    assert scenario.send(mailer(server.url)).rejected == 1
    with store.read() as tx:
        known = subscriptions.by_id(tx, person.id)
        assert known
        assert (known.state, suppressions.reason_for(tx, person.email)) == (state, shut)
        assert answer in tx.scalar(select(event.c.reason))
    assert [row.fate for row in scenario.rows()] == [fate]


def test_a_relay_on_this_machine_needs_no_tls_and_gets_no_password(
    trusted: Callable[..., FakeSmtp],
):
    server = trusted(starttls=False, login=False)
    made = mailer(f"smtp://127.0.0.1:{server.port}")
    assert made.send(email()) == "queued as 1"
    assert "without TLS" in made.check_login()
    assert not any(line.startswith("AUTH") for line in server.in_clear)
    assert [is_loopback(host) for host in ("localhost", "::1", "127.9.9.9")] == [True] * 3
    assert [is_loopback(host) for host in ("mail.example.org", "10.0.0.1")] == [False] * 2


def test_a_relay_on_this_machine_that_offers_tls_is_held_to_it(trusted: Callable[..., FakeSmtp]):
    server = trusted(login=False)
    mailer(f"smtp://127.0.0.1:{server.port}").send(email())
    assert not any(line.startswith("MAIL") for line in server.in_clear)


@pytest.mark.parametrize(
    ("implicit", "scheme", "hint"),
    [(True, "smtp", "write smtps://"), (False, "smtps", "write smtp://")],
)
def test_the_scheme_that_the_port_does_not_speak_is_told(
    trusted: Callable[..., FakeSmtp],
    implicit: bool,  # noqa: FBT001
    scheme: str,
    hint: str,
):
    server = trusted(implicit=implicit)
    url = f"{scheme}://127.0.0.1:{server.port}"
    # Only the greeting of a server that begins with TLS is waited for in vain.
    sender = SmtpMailer(settings(smtp_url=url), timeout=2.0 if implicit else 240.0)
    with pytest.raises(SendError, match=hint) as caught:
        sender.send(email())
    assert caught.value.failure is SendFailure.HALT


@pytest.mark.parametrize("password", ["p/w", "p#w", "p?w"])
def test_a_password_that_breaks_the_address_is_told_how_it_is_written(password: str):
    with pytest.raises(SettingsError, match="%2F %23 %3F %25") as caught:
        mailer(f"smtp://ann:{password}@mail.example.org:587")
    assert password not in str(caught.value)


def test_a_refused_login_says_how_a_password_is_written(trusted: Callable[..., FakeSmtp]):
    error = refused(trusted(answers={"AUTH": "535 no"}))
    assert "%40" in str(error)
