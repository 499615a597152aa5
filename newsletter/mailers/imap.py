"""Read replies from a mailbox over IMAP (RFC 9051), where mail is sent by SMTP.

Only mail to one of our addresses is read: up to the stored size, and marked as seen after it was
stored. All other mail stays unread and unchanged.
"""

from __future__ import annotations

import imaplib
import logging
import re
import ssl
from contextlib import contextmanager, suppress
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from newsletter.domain.addresses import canonical
from newsletter.domain.model import READ_BYTES
from newsletter.errors import OperatorError
from newsletter.network import certificate_problem, is_misread, tls_context
from newsletter.settings import Settings, SettingsError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from email.message import Message

    from imap_tools import BaseMailBox

    from newsletter.domain.links import Links

    class Take(Protocol):
        def __call__(self, raw: bytes, sender: str, recipients: Sequence[str]) -> object: ...


TIMEOUT_SECONDS = 30.0
PORT = 993
NEWEST = 500
"""Unseen mails read in one round, so that unread mail to other addresses does not delay ours."""
MAX_FOUND = 5000
"""Older mails to one of our addresses, by the server's search."""
MAX_BYTES = 40 * 2**20
HEAD_BYTES = 64 * 1024
HEADER_LENGTH = 2000
MAX_RECIPIENTS = 10
RECIPIENT_HEADERS = ("Delivered-To", "X-Original-To", "To", "Cc")
LOCAL_PARTS = ("reply", "unsub", "bounce")
OURS = re.compile(rf"({'|'.join(LOCAL_PARTS)})[+=-].*")
SIZE = re.compile(rb"RFC822\.SIZE (\d+)")
FAULT = (
    "NEWSLETTER_IMAP_URL: use imaps://USER:PASSWORD@HOST:993/FOLDER, with @ : / # ? % of a user, "
    "password or folder written as %40 %3A %2F %23 %3F %25"
)

log = logging.getLogger(__name__)


class MailboxError(OperatorError):
    """The mailbox cannot be read now. Mail that was not stored is still unseen."""


class ImapMailbox:
    def __init__(
        self, settings: Settings, *, timeout: float = TIMEOUT_SECONDS, newest: int = NEWEST
    ) -> None:
        try:
            parts = urlsplit(settings.imap_url.get_secret_value())
            port = parts.port
        except ValueError:
            raise SettingsError(FAULT) from None
        if parts.scheme != "imaps" or not parts.hostname or not parts.username or is_misread(parts):
            raise SettingsError(FAULT)
        self._host = parts.hostname
        self._port = port or PORT
        self._user = unquote(parts.username)
        self._password = unquote(parts.password or "")
        self._folder = unquote(parts.path.strip("/")) or "INBOX"
        self._from = settings.from_email
        self._timeout = timeout
        self._newest = newest

    def collect(self, take: Take, links: Links, stop: threading.Event) -> int:
        """Pass each unseen mail to one of our addresses to `take`, oldest first; return how many.

        `take` must have stored the mail when it returns; its exceptions end the round. Raises
        MailboxError.
        """
        taken = 0
        with self._opened() as box:
            for uid in self._unseen(box):
                if stop.is_set():
                    break
                taken += self._read_one(box, uid, take, links)
        return taken

    def _unseen(self, box: BaseMailBox) -> list[str]:
        """Ids of the mails to read, oldest first: the newest unseen ones, and older ones that the
        server finds by recipient.
        """
        from imap_tools.errors import ImapToolsError

        unseen = box.uids("UNSEEN", charset=None)
        older, newest = unseen[: -self._newest], unseen[-self._newest :]
        if not older:
            return newest
        try:
            found = set(box.uids(_search(self._from), charset=None))
        except imaplib.IMAP4.abort:
            raise
        except (imaplib.IMAP4.error, ImapToolsError) as error:
            log.warning(
                "IMAP server %s cannot search by recipient: %s", self._host, str(error)[:200]
            )
            return newest
        return [uid for uid in older if uid in found][-MAX_FOUND:] + newest

    def check_login(self) -> str:
        """Log in, open the folder and log out; return host and port. Raises MailboxError."""
        with self._opened():
            return f"{self._host}:{self._port}"

    def _read_one(self, box: BaseMailBox, uid: str, take: Take, links: Links) -> bool:
        attributes, head = _fetch(box, uid, "(RFC822.SIZE BODY.PEEK[HEADER])")
        message = BytesHeaderParser(policy=compat32).parsebytes(head[:HEAD_BYTES])
        recipients = addressed(message, links, self._from)
        if not recipients:
            return False
        size = SIZE.search(attributes)
        if size and int(size[1]) > MAX_BYTES:
            # Flagged for a person to find; fetching it in each round would delay other mail.
            _mark(box, uid, r"(\Seen \Flagged)")
            return False
        _, raw = _fetch(box, uid, f"(BODY.PEEK[]<0.{READ_BYTES}>)")
        if not raw:
            return False
        take(raw, _sender(message), recipients)
        _mark(box, uid, r"(\Seen)")
        return True

    @contextmanager
    def _opened(self) -> Iterator[BaseMailBox]:
        """Open the folder over TLS. Raises MailboxError, also for failures inside the block."""
        from imap_tools import MailBox
        from imap_tools.errors import ImapToolsError, MailboxFolderSelectError

        where = f"{self._host}:{self._port}"
        try:
            # Without a context the library would accept any certificate.
            context = tls_context()
            box = MailBox(self._host, self._port, timeout=self._timeout, ssl_context=context)
            try:
                self._log_in(box)
                yield box
            finally:
                # A logout that fails leaves the connection open.
                with suppress(imaplib.IMAP4.error, ImapToolsError, OSError):
                    box.logout()
                with suppress(OSError):
                    box.client.shutdown()
        except ssl.SSLCertVerificationError as error:
            raise MailboxError(certificate_problem(where, error)) from None
        except MailboxFolderSelectError:
            message = f"{where} has no folder {self._folder}; check NEWSLETTER_IMAP_URL"
            raise MailboxError(message) from None
        except (imaplib.IMAP4.error, ImapToolsError, OSError) as error:
            message = f"the mailbox at {where} cannot be read: {str(error)[:200] or repr(error)}"
            raise MailboxError(message) from None

    def _log_in(self, box: BaseMailBox) -> None:
        from imap_tools.errors import MailboxLoginError

        plain = self._user.isascii() and self._password.isascii()
        log_in = box.login if plain else box.login_utf8
        try:
            log_in(self._user, self._password, initial_folder=None)
        except imaplib.IMAP4.abort:
            raise
        except (imaplib.IMAP4.error, MailboxLoginError):
            # The server's text is left out: some repeat the rejected line with the password.
            message = f"{self._host}:{self._port} refused the login; check NEWSLETTER_IMAP_URL"
            raise MailboxError(message) from None
        box.folder.set(self._folder)


def _search(from_email: str) -> str:
    """An IMAP search for unseen mail that may be to one of our addresses.

    The delivering server may have left the token in one header only, without our domain;
    `addressed` decides by the header.
    """
    ours = [*LOCAL_PARTS, *re.findall(r"[\w.+-]+@[\w.-]+", canonical(from_email), re.ASCII)]
    keys = [f'HEADER {name} "{part}"' for name in RECIPIENT_HEADERS for part in ours]
    return "UNSEEN " + "OR " * (len(keys) - 1) + " ".join(keys)


def addressed(head: Message, links: Links, from_email: str) -> list[str]:
    """Our addresses that a mail was sent to: those with a token, of the first header that has one.

    Headers of the delivering server come before those of the author, who may name other readers.
    Neither proves more than the tokens themselves.
    """
    by_header = {name: _addresses(head, name) for name in RECIPIENT_HEADERS}
    for found in by_header.values():
        if tokens := [address for address in found if links.read_address(address)]:
            return tokens[:MAX_RECIPIENTS]
    everywhere = [address for found in by_header.values() for address in found]
    return [address for address in everywhere if _is_ours(address, links, from_email)][:1]


def _addresses(head: Message, name: str) -> list[str]:
    text = " ".join(str(value)[:HEADER_LENGTH] for value in head.get_all(name, [])[:20])
    words = dict.fromkeys(re.split(r"[\s<>\",;]+", text))
    return [word for word in words if word.count("@") == 1]


def _is_ours(address: str, links: Links, from_email: str) -> bool:
    """Whether it is the From address, or one of ours with a damaged token."""
    local, _, domain = canonical(address).partition("@")
    if canonical(address) == canonical(from_email):
        return True
    return domain == links.reply_host.lower() and OURS.fullmatch(local) is not None


def _sender(head: Message) -> str:
    """The envelope sender by Return-Path; `<>` is a bounce.

    Without Return-Path the From, because an empty sender would mean a bounce.
    """
    return str(head.get("Return-Path") or head.get("From") or "unknown")[:500].strip()


def _fetch(box: BaseMailBox, uid: str, what: str) -> tuple[bytes, bytes]:
    """The attributes of a mail and the requested bytes; both empty if the mail is gone.

    The library's own `fetch` would parse untrusted mail.
    """
    status, answer = box.client.uid("FETCH", uid, what)
    if status != "OK":
        message = f"FETCH was answered {status}"
        raise imaplib.IMAP4.error(message)
    for one in answer:
        if isinstance(one, tuple):
            return one[0], one[1]
    return b"", b""


def _mark(box: BaseMailBox, uid: str, flags: str) -> None:
    """The library's own `flag` would expunge mail that the owner has marked as deleted."""
    status, _ = box.client.uid("STORE", uid, "+FLAGS.SILENT", flags)
    if status != "OK":
        message = f"STORE was answered {status}"
        raise imaplib.IMAP4.error(message)
