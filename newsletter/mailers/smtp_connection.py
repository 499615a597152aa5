"""Connections to an SMTP server (RFC 5321): TLS, login, and a pool that keeps them during a run.

`smtp://USER:PASSWORD@HOST:587` requires STARTTLS; `smtps://...:465` uses TLS from the start.
A server on this machine without a login (`smtp://localhost:25`) may be used without TLS.
"""

from __future__ import annotations

import ipaddress
import smtplib
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from newsletter.mailers import SendError, SendFailure
from newsletter.network import certificate_problem, is_misread, tls_context
from newsletter.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.settings import Settings

PORTS = {"smtp": 587, "smtps": 465}
TLS_PORT = 465
TLS_SECONDS = 5.0
QUIT_SECONDS = 2.0
MAX_IDLE_SECONDS = 60.0
"""An older connection may be lost without notice (NAT, suspended machine), and RSET would time out.
Servers close idle connections after 100 to 300 s."""
PERMANENT = 500
ENCODED = "with @ : / # ? % of a user or password written as %40 %3A %2F %23 %3F %25"
URL_ERROR = (
    f"NEWSLETTER_SMTP_URL: use smtp://USER:PASSWORD@HOST:587 (STARTTLS) or smtps://, {ENCODED}"
)
NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
"""OpenSSL's reasons when the server does not speak TLS; a restarting server gives other errors."""


class SmtpServer:
    """Address, login and TLS context of the server in NEWSLETTER_SMTP_URL."""

    def __init__(self, settings: Settings, timeout: float) -> None:
        try:
            parts = urlsplit(settings.smtp_url.get_secret_value())
            port = parts.port
        except ValueError:
            raise SettingsError(URL_ERROR) from None
        if parts.scheme not in PORTS or not parts.hostname or is_misread(parts):
            raise SettingsError(URL_ERROR)
        self._host = parts.hostname
        self._port = port or PORTS[parts.scheme]
        self._implicit_tls = parts.scheme == "smtps"
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._context = tls_context()
        self.timeout = timeout
        self.where = f"{self._host}:{self._port}"

    def connect(self) -> smtplib.SMTP:
        """Connect, start TLS and log in. Raises SendError."""
        try:
            return self._connect()
        except ssl.SSLCertVerificationError as error:
            message = certificate_problem(self.where, error)
            raise SendError(SendFailure.HALT, message) from None
        except smtplib.SMTPNotSupportedError as error:
            message = f"{self.where} does not offer what is needed: {error}; mail is never sent "
            raise SendError(SendFailure.HALT, f"{message}unencrypted") from None
        except smtplib.SMTPAuthenticationError as error:
            raise _login_error(self.where, error) from None
        except (smtplib.SMTPException, OSError) as error:
            message = f"{self.where} cannot be reached: {describe(error)}"
            if hint := self._other_scheme(error):
                raise SendError(SendFailure.HALT, f"{message}; {hint}") from None
            raise SendError(SendFailure.UNSENT, message) from None

    def _connect(self) -> smtplib.SMTP:
        if not self._implicit_tls and self._port == TLS_PORT and _speaks_tls(self._host, TLS_PORT):
            # Such a server waits for TLS and sends no greeting: do not wait for one.
            message = "it says nothing before TLS"
            raise smtplib.SMTPServerDisconnected(message)
        if self._implicit_tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, timeout=self.timeout, context=self._context
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=self.timeout)
        try:
            if server.sock is not None:
                # The last part of a message must not wait for the acknowledgement of the others.
                server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.ehlo_or_helo_if_needed()
            if not self._implicit_tls and not self._is_local_relay(server):
                server.starttls(context=self._context)
            server.ehlo_or_helo_if_needed()
            if self._user:
                server.login(self._user, self._password)
        except (smtplib.SMTPException, OSError):
            server.close()
            raise
        return server

    def _is_local_relay(self, server: smtplib.SMTP) -> bool:
        """A server on this machine that offers no TLS and needs no password."""
        return not self._user and not server.has_extn("starttls") and is_loopback(self._host)

    def _other_scheme(self, error: Exception) -> str:
        """The scheme to use instead, if the port does not speak TLS the way the URL says."""
        if isinstance(error, ssl.SSLError) and error.reason in NOT_TLS:
            return "this port does not begin with TLS: write smtp:// in NEWSLETTER_SMTP_URL"
        if not self._implicit_tls and _speaks_tls(self._host, self._port):
            return "this port begins with TLS: write smtps:// in NEWSLETTER_SMTP_URL"
        return ""


class ConnectionPool:
    """Connections that are kept between the mails of a run, at most one for each thread.

    Outside of a run none is kept. Thread-safe.
    """

    def __init__(self, max_idle: float = MAX_IDLE_SECONDS) -> None:
        self._max_idle = max_idle
        self._idle: list[tuple[float, smtplib.SMTP]] = []
        self._runs = 0
        self._lock = threading.Lock()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep connections inside the block; close them with QUIT when the last block ends."""
        with self._lock:
            self._runs += 1
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                closing, self._idle = ([], self._idle) if self._runs else (self._idle, [])
            for _, server in closing:
                quit_(server)

    def take(self) -> smtplib.SMTP | None:
        """The connection used last, if it was used a short while ago; older ones are closed."""
        with self._lock:
            since, server = self._idle.pop() if self._idle else (0.0, None)
        if server is None or time.monotonic() - since < self._max_idle:
            return server
        quit_(server)
        return self.take()

    def give_back(self, server: smtplib.SMTP) -> None:
        """Keep a connection for the next mail, or close it with QUIT."""
        with self._lock:
            if self._runs:
                self._idle.append((time.monotonic(), server))
                return
        quit_(server)


def quit_(server: smtplib.SMTP) -> None:
    """End a connection with QUIT. Its mails are already accepted or not: errors do not matter."""
    with suppress(smtplib.SMTPException, OSError):
        if server.sock is not None:
            server.sock.settimeout(QUIT_SECONDS)
        server.quit()
    server.close()


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def describe(error: Exception) -> str:
    return str(error) or type(error).__name__


def _login_error(where: str, error: smtplib.SMTPAuthenticationError) -> SendError:
    if error.smtp_code < PERMANENT:
        return SendError(SendFailure.UNSENT, f"{where} accepts no login now ({error.smtp_code})")
    message = f"{where} refused the login ({error.smtp_code}); check NEWSLETTER_SMTP_URL, {ENCODED}"
    return SendError(SendFailure.HALT, message)


def _speaks_tls(host: str, port: int) -> bool:
    """Whether the server at this port answers a TLS handshake, with any certificate."""
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
