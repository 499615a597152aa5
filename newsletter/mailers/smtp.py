"""Mail through a server of one's own or of a provider (RFC 5321), over TLS.

`smtp://USER:PASSWORD@HOST:587` insists on STARTTLS, `smtps://...:465` speaks TLS from the start.
A relay on this machine that takes mail without a login (`smtp://localhost:25`) may do without TLS.
The dialogue is spoken step by step, because the step at which it breaks says what is proven: until
the last dot is written nobody has accepted anything.

Whether a mail server takes our login, and would take our mail. Nothing is sent.
"""

from __future__ import annotations

import ipaddress
import re
import smtplib
import socket
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from newsletter.domain.addresses import ascii_domain
from newsletter.domain.findings import CheckResult, fail, ok
from newsletter.mailers import MailCheck, Mailer, SendError, Verdict
from newsletter.mailers.mime import to_bytes
from newsletter.network import tls_context
from newsletter.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from newsletter.domain.findings import DnsRecord
    from newsletter.domain.mail import Email
    from newsletter.settings import Settings

TIMEOUT_SECONDS = 30.0
ANSWER_SECONDS = 120.0
PORTS = {"smtp": 587, "smtps": 465}
OK = 250
GO_AHEAD = 354
CLOSING = 421
PERMANENT = 500
NO_BOUNCE_ADDRESSES = (
    "if it takes no sender but its own, set NEWSLETTER_SMTP_BOUNCE_ADDRESSES=false"
)
ENCODED = "with @ : / # % of a user or password written as %40 %3A %2F %23 %25"
FAULT = f"NEWSLETTER_SMTP_URL: use smtp://USER:PASSWORD@HOST:587 (STARTTLS) or smtps://, {ENCODED}"
NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
"""What OpenSSL says to an answer that is no TLS; a server that restarts breaks off otherwise."""
TLS_PORT = 465
TLS_SECONDS = 5.0


class SmtpMailer:
    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float = TIMEOUT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        try:
            parts = urlsplit(settings.smtp_url.get_secret_value())
            port = parts.port
        except ValueError:
            raise SettingsError(FAULT) from None
        if parts.scheme not in PORTS or not parts.hostname:
            raise SettingsError(FAULT)
        self._host = parts.hostname
        self._port = port or PORTS[parts.scheme]
        self._implicit = parts.scheme == "smtps"
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._timeout = timeout
        self._answer_seconds = answer_seconds
        self._context = tls_context()

    def send(self, email: Email) -> str:
        """Hand over one email and return what the server said when it took it."""
        with self._connected() as server:
            utf8 = self._address(server, email)
            content = _dotted(to_bytes(email, utf8=utf8))
            self._ask(server, "DATA", Verdict.REFUSED, GO_AHEAD)
            return self._hand_over(server, content)

    def try_out(self, email: Email) -> str:
        """The dialogue of `send` up to the recipient, taken back; the server's name.

        Raises SendError.
        """
        with self._connected() as server:
            self._address(server, email)
            self._ask(server, "RSET", Verdict.HALT)
            return f"{self._host}:{self._port}"

    def _address(self, server: smtplib.SMTP, email: Email) -> bool:
        """Sender and recipient; whether SMTPUTF8 is used."""
        options, to, utf8 = _envelope(server, email)
        self._announce(server, email, options)
        self._ask(server, f"RCPT TO:<{to}>", Verdict.REFUSED)
        return utf8

    def _announce(self, server: smtplib.SMTP, email: Email, options: str) -> None:
        sender = email.envelope_from or email.from_email
        try:
            self._ask(server, f"MAIL FROM:<{sender}>{options}", Verdict.HALT)
        except SendError as error:
            if error.verdict is not Verdict.HALT or not email.envelope_from:
                raise
            message = f"{error}; {NO_BOUNCE_ADDRESSES}"
            raise SendError(Verdict.HALT, message) from None

    def greet(self) -> str:
        """Log in and leave, without a mail; how that went. Raises SendError."""
        with self._connected() as server:
            where = f"{self._host}:{self._port}"
            if isinstance(server.sock, ssl.SSLSocket):
                return f"{where} takes our login, over TLS"
            return f"{where} takes our mail; it is on this machine, and without TLS"

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """A server that has said hello over TLS and knows us."""
        where = f"{self._host}:{self._port}"
        try:
            server = self._connect()
        except ssl.SSLCertVerificationError as error:
            message = (
                f"the certificate of {where} is not valid: {error.verify_message}; "
                "let SSL_CERT_FILE name the authority that signed it"
            )
            raise SendError(Verdict.HALT, message) from None
        except smtplib.SMTPNotSupportedError as error:
            message = f"{where} does not offer what is needed: {error}; mail never goes unencrypted"
            raise SendError(Verdict.HALT, message) from None
        except smtplib.SMTPAuthenticationError as error:
            raise _login_refused(where, error) from None
        except (smtplib.SMTPException, OSError) as error:
            message = f"{where} cannot be reached: {_short(error)}"
            if hint := self._other_scheme(error):
                raise SendError(Verdict.HALT, f"{message}; {hint}") from None
            raise SendError(Verdict.UNSENT, message) from None
        try:
            yield server
        finally:
            server.close()

    def _other_scheme(self, error: Exception) -> str:
        """What to write where the port speaks TLS otherwise than the address says."""
        if isinstance(error, ssl.SSLError) and error.reason in NO_TLS:
            return "this port does not begin with TLS: write smtp:// in NEWSLETTER_SMTP_URL"
        if not self._implicit and _begins_with_tls(self._host, self._port):
            return "this port begins with TLS: write smtps:// in NEWSLETTER_SMTP_URL"
        return ""

    def _connect(self) -> smtplib.SMTP:
        if not self._implicit and self._port == TLS_PORT and _begins_with_tls(self._host, TLS_PORT):
            # A server that waits for TLS says nothing: this spares the wait for its greeting.
            message = "it says nothing before TLS"
            raise smtplib.SMTPServerDisconnected(message)
        if self._implicit:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, timeout=self._timeout, context=self._context
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=self._timeout)
        try:
            server.ehlo_or_helo_if_needed()
            if not self._implicit and not self._is_local_relay(server):
                server.starttls(context=self._context)
            server.ehlo_or_helo_if_needed()
            if self._user:
                server.login(self._user, self._password)
        except (smtplib.SMTPException, OSError):
            server.close()
            raise
        return server

    def _is_local_relay(self, server: smtplib.SMTP) -> bool:
        """A server on this machine that offers no TLS, and gets no password of ours."""
        return not self._user and not server.has_extn("starttls") and is_loopback(self._host)

    def _ask(
        self, server: smtplib.SMTP, command: str, if_refused: Verdict, expected: int = OK
    ) -> None:
        """Say one line before the message itself: whatever goes wrong here, nothing is sent."""
        try:
            code, answer = server.docmd(command)
        except (smtplib.SMTPException, OSError) as error:
            raise SendError(Verdict.UNSENT, f"connection lost: {_short(error)}") from None
        if code // 10 != expected // 10:
            raise _refused(code, answer, if_refused)

    def _hand_over(self, server: smtplib.SMTP, content: bytes) -> str:
        try:
            server.send(content)
        except (smtplib.SMTPException, OSError) as error:
            # The dot that ends the message was not written, so no server can have taken it.
            raise SendError(Verdict.UNSENT, f"connection lost: {_short(error)}") from None
        try:
            if server.sock is not None:
                server.sock.settimeout(self._answer_seconds)
            code, answer = server.getreply()
        except (smtplib.SMTPException, OSError) as error:
            message = f"no answer to the message: {_short(error)}"
            raise SendError(Verdict.UNKNOWN, message) from None
        if code != OK:
            raise _refused(code, answer, Verdict.REFUSED)
        return answer.decode(errors="replace")[:120]


def _envelope(server: smtplib.SMTP, email: Email) -> tuple[str, str, bool]:
    """Options for MAIL, the recipient as the server can read it, and whether SMTPUTF8 is used."""
    local, _, domain = email.to_email.rpartition("@")
    if local.isascii():
        return "", f"{local}@{ascii_domain(domain)}", False
    if not server.has_extn("smtputf8"):
        message = "the server carries no addresses in other scripts (SMTPUTF8)"
        raise SendError(Verdict.REFUSED, message)
    server.command_encoding = "utf-8"
    return " SMTPUTF8", email.to_email, True


def _refused(code: int, answer: bytes, if_permanent: Verdict) -> SendError:
    words = answer.decode(errors="replace")
    said = f"the mail server answered {code}: {words[:300]}"
    if code == CLOSING:
        return SendError(Verdict.THROTTLED, said)
    if code < PERMANENT:
        return SendError(Verdict.UNSENT, said)
    about_recipient = if_permanent is Verdict.REFUSED
    return SendError(
        if_permanent, said, diagnostic=f"smtp; {code} {words}" if about_recipient else ""
    )


def _login_refused(where: str, error: smtplib.SMTPAuthenticationError) -> SendError:
    if error.smtp_code < PERMANENT:
        return SendError(Verdict.UNSENT, f"{where} takes no login now ({error.smtp_code})")
    message = f"{where} refused the login ({error.smtp_code}); check NEWSLETTER_SMTP_URL, {ENCODED}"
    return SendError(Verdict.HALT, message)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _begins_with_tls(host: str, port: int) -> bool:
    """Whether whoever listens there answers to TLS at once; with any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), TLS_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except (OSError, ValueError):
        return False


def _dotted(content: bytes) -> bytes:
    """The message as it stands behind DATA (RFC 5321, 4.5.2)."""
    ended = content if content.endswith(b"\r\n") else content + b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", ended) + b".\r\n"


def _short(error: Exception) -> str:
    return str(error) or type(error).__name__


_: type[Mailer] = SmtpMailer


class SmtpCheck:
    def __init__(self, settings: Settings, timeout: float) -> None:
        self._mailer = SmtpMailer(settings, timeout=timeout)

    def account(self) -> CheckResult:
        try:
            where = self._mailer.greet()
        except SendError as error:
            return CheckResult((fail("smtp login", str(error), "check NEWSLETTER_SMTP_URL"),))
        return CheckResult((ok("smtp login", where),))

    def would_take(self, email: Email) -> CheckResult:
        check, asked = "smtp mail", "MAIL FROM, RCPT TO the operator, RSET"
        try:
            where = self._mailer.try_out(email)
        except SendError as error:
            fix = "mend it before the morning; see NEWSLETTER_FROM_EMAIL and NEWSLETTER_SMTP_URL"
            return CheckResult((fail(check, f"{asked}: {error}", fix),))
        return CheckResult((ok(check, f"{asked}: {where} takes our mail; nothing was sent"),))

    def hooks(self) -> CheckResult:
        return CheckResult()

    def records(self) -> Sequence[DnsRecord]:
        return ()


_check: type[MailCheck] = SmtpCheck
