"""The SMTP mailer beside aiosmtpd, a server that we did not write."""

from __future__ import annotations

import ssl
from email import message_from_bytes
from email.policy import SMTP
from typing import TYPE_CHECKING

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from newsletter.mailers import connections_kept
from newsletter.mailers.smtp import SmtpMailer
from tests.fakes.loopback import free_port
from tests.fakes.mail import email, reader, settings
from tests.fakes.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiosmtpd.smtp import SMTP as Server  # noqa: N811 - a class


class Inbox:
    """Keeps each mail with its envelope."""

    def __init__(self) -> None:
        self.kept: list[Envelope] = []

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: Server, session: object, envelope: Envelope
    ) -> str:
        del server, session
        self.kept.append(envelope)
        return "250 2.0.0 queued"


def authenticate(
    server: Server, session: object, envelope: Envelope, mechanism: str, given: object
) -> AuthResult:
    del server, session, envelope
    return AuthResult(
        success=(getattr(given, "login", b""), getattr(given, "password", b"")) == (b"us", b"pass"),
        handled=mechanism not in {"PLAIN", "LOGIN"},
    )


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Controller]:
    """STARTTLS and a login are required before any mail."""
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    running = Controller(
        Inbox(),
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=context,
        require_starttls=True,
        authenticator=authenticate,
        auth_required=True,
        enable_SMTPUTF8=True,
        ready_timeout=240,
    )
    running.start()
    yield running
    running.stop()


def test_a_run_of_mails_arrives_whole_with_its_envelopes(server: Controller) -> None:
    mailer = SmtpMailer(settings(smtp_url=f"smtp://us:pass@127.0.0.1:{server.port}"), timeout=240)
    texts = [".a dot\n..two", "Gr\u00fc\u00dfe", "x" * 2000]
    mails = [email(reader(number), text=text) for number, text in enumerate(texts)]

    with connections_kept(mailer):
        for one in mails:
            mailer.send(one)

    kept = server.handler.kept
    assert [one.rcpt_tos for one in kept] == [[one.to_email] for one in mails]
    assert [one.mail_from for one in kept] == ["digest@mail.example.org"] * 3
    for sent, arrived in zip(mails, kept, strict=True):
        parsed = message_from_bytes(arrived.original_content, policy=SMTP)
        assert parsed.defects == []
        plain, html = (parsed.get_body((kind,)) for kind in ("plain", "html"))
        assert plain.get_content().split() == sent.text.split()
        assert html.get_content().split() == sent.html.split()
