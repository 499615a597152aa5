"""Send mail by SMTP (RFC 5321), step by step: the step that fails tells what is proven.

    a new connection:  connect, EHLO, STARTTLS, EHLO, AUTH
    a kept one:        RSET
    then               MAIL FROM, RCPT TO, DATA    any failure: provably unsent
    the message        up to the final dot         any failure: provably unsent
    the answer to it   none: unknown, never sent again without proof

A server may close a kept connection at any time. If it fails at RSET or MAIL, the mail is sent on
a new connection, whose answer counts. Later failures are never repeated here.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from typing import TYPE_CHECKING

from newsletter.domain.addresses import ascii_domain
from newsletter.domain.findings import CheckResult, fail, ok
from newsletter.mailers import KeepsConnections, MailCheck, Mailer, SendError, SendFailure
from newsletter.mailers.mime import to_bytes
from newsletter.mailers.smtp_connection import (
    PERMANENT,
    ConnectionPool,
    SmtpServer,
    describe,
    quit_,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from newsletter.domain.findings import DnsRecord
    from newsletter.domain.mail import Email
    from newsletter.settings import Settings

TIMEOUT_SECONDS = 30.0
ANSWER_SECONDS = 120.0
OK = 250
START_INPUT = 354
CLOSING = 421
NO_BOUNCE_ADDRESSES = (
    "if it accepts no sender but its own, set NEWSLETTER_SMTP_BOUNCE_ADDRESSES=false"
)


class SmtpMailer:
    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float = TIMEOUT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._server = SmtpServer(settings, timeout)
        self._pool = ConnectionPool()
        self._answer_seconds = answer_seconds

    def connections_kept(self) -> AbstractContextManager[None]:
        return self._pool.kept()

    def send(self, email: Email) -> str:
        """Send one email and return the server's answer to the message."""
        connection = self._begin(email)
        accepted = False
        try:
            answer = self._transfer(connection, email)
            accepted = True
        finally:
            # Servers slow down or end a connection with many rejected recipients.
            if accepted:
                self._pool.give_back(connection)
            else:
                connection.close()
        return answer

    def try_out(self, email: Email) -> str:
        """Make the dialogue of `send` up to the recipient, then RSET; return host and port.

        Raises SendError.
        """
        connection = self._begin(email)
        try:
            self._recipient(connection, email)
            _ask(connection, "RSET", SendFailure.HALT)
        finally:
            quit_(connection)
        return self._server.where

    def check_login(self) -> str:
        """Log in and quit; return how the connection is secured. Raises SendError."""
        connection = self._server.connect()
        encrypted = isinstance(connection.sock, ssl.SSLSocket)
        quit_(connection)
        if encrypted:
            return f"{self._server.where} login succeeded (TLS)"
        return f"{self._server.where} accepts our mail; it is on this machine, and without TLS"

    def _begin(self, email: Email) -> smtplib.SMTP:
        """A connection that has accepted the sender: a kept one if it still works, or a new one."""
        kept = self._pool.take()
        if kept is not None and self._is_usable(kept, email):
            return kept
        connection = self._server.connect()
        try:
            self._sender(connection, email)
        except SendError:
            connection.close()
            raise
        return connection

    def _is_usable(self, kept: smtplib.SMTP, email: Email) -> bool:
        """Send RSET and MAIL on a kept connection; if it fails, close it. No mail was sent."""
        try:
            if kept.sock is not None:
                kept.sock.settimeout(self._server.timeout)
            _ask(kept, "RSET", SendFailure.UNSENT)
            self._sender(kept, email)
        except SendError:
            kept.close()
            return False
        return True

    def _sender(self, connection: smtplib.SMTP, email: Email) -> None:
        utf8 = _needs_utf8(email) and connection.has_extn("smtputf8")
        connection.command_encoding = "utf-8" if utf8 else "ascii"
        sender = email.envelope_from or email.from_email
        try:
            _ask(connection, f"MAIL FROM:<{sender}>{' SMTPUTF8' * utf8}", SendFailure.HALT)
        except SendError as error:
            if error.failure is not SendFailure.HALT or not email.envelope_from:
                raise
            raise SendError(SendFailure.HALT, f"{error}; {NO_BOUNCE_ADDRESSES}") from None

    def _recipient(self, connection: smtplib.SMTP, email: Email) -> None:
        local, _, domain = email.to_email.rpartition("@")
        to = email.to_email
        if not _needs_utf8(email):
            to = f"{local}@{ascii_domain(domain)}"
        elif not connection.has_extn("smtputf8"):
            message = "the server does not support addresses in other scripts (SMTPUTF8)"
            raise SendError(SendFailure.REFUSED, message)
        _ask(connection, f"RCPT TO:<{to}>", SendFailure.REFUSED)

    def _transfer(self, connection: smtplib.SMTP, email: Email) -> str:
        """Recipient and message. Returns the server's answer to the message."""
        self._recipient(connection, email)
        content = _dot_stuffed(to_bytes(email, utf8=_needs_utf8(email)))
        _ask(connection, "DATA", SendFailure.REFUSED, START_INPUT)
        try:
            connection.send(content)
        except (smtplib.SMTPException, OSError) as error:
            # The final dot was not sent, so the server cannot have accepted the message.
            raise SendError(SendFailure.UNSENT, f"connection lost: {describe(error)}") from None
        try:
            if connection.sock is not None:
                connection.sock.settimeout(self._answer_seconds)
            code, answer = connection.getreply()
        except (smtplib.SMTPException, OSError) as error:
            message = f"no answer to the message: {describe(error)}"
            raise SendError(SendFailure.UNKNOWN, message) from None
        if code != OK:
            raise _rejected(code, answer, SendFailure.REFUSED)
        return answer.decode(errors="replace")[:120]


def _ask(
    connection: smtplib.SMTP, command: str, if_permanent: SendFailure, expected: int = OK
) -> None:
    """Send a command that comes before the message: after any failure, nothing was sent."""
    try:
        code, answer = connection.docmd(command)
    except (smtplib.SMTPException, OSError) as error:
        raise SendError(SendFailure.UNSENT, f"connection lost: {describe(error)}") from None
    if code // 10 != expected // 10:
        raise _rejected(code, answer, if_permanent)


def _needs_utf8(email: Email) -> bool:
    """Whether the local part is not ASCII; a domain always has an ASCII form."""
    return not email.to_email.rpartition("@")[0].isascii()


def _rejected(code: int, answer: bytes, if_permanent: SendFailure) -> SendError:
    words = answer.decode(errors="replace")
    reason = f"the mail server answered {code}: {words[:300]}"
    if code == CLOSING:
        return SendError(SendFailure.THROTTLED, reason)
    if code < PERMANENT:
        return SendError(SendFailure.UNSENT, reason)
    about_recipient = if_permanent is SendFailure.REFUSED
    diagnostic = f"smtp; {code} {words}" if about_recipient else ""
    return SendError(if_permanent, reason, diagnostic=diagnostic)


def _dot_stuffed(content: bytes) -> bytes:
    """The message as sent after DATA (RFC 5321, 4.5.2)."""
    ended = content if content.endswith(b"\r\n") else content + b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", ended) + b".\r\n"


_: type[Mailer] = SmtpMailer
_keeps: type[KeepsConnections] = SmtpMailer


class SmtpCheck:
    def __init__(self, settings: Settings, timeout: float) -> None:
        self._mailer = SmtpMailer(settings, timeout=timeout)

    def account(self) -> CheckResult:
        try:
            said = self._mailer.check_login()
        except SendError as error:
            return CheckResult((fail("smtp login", str(error), "check NEWSLETTER_SMTP_URL"),))
        return CheckResult((ok("smtp login", said),))

    def check_mail(self, email: Email) -> CheckResult:
        check, asked = "smtp mail", "MAIL FROM, RCPT TO the operator, RSET"
        try:
            where = self._mailer.try_out(email)
        except SendError as error:
            fix = "fix this before the next digest; see NEWSLETTER_FROM_EMAIL, NEWSLETTER_SMTP_URL"
            return CheckResult((fail(check, f"{asked}: {error}", fix),))
        return CheckResult((ok(check, f"{asked}: {where} accepts our mail; nothing was sent"),))

    def hooks(self) -> CheckResult:
        return CheckResult()

    def records(self) -> Sequence[DnsRecord]:
        return ()


_check: type[MailCheck] = SmtpCheck
