from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from imap_tools import AND

from newsletter.domain.model import READ_BYTES
from newsletter.mailers.imap import ImapMailbox, MailboxError
from newsletter.settings import SettingsError
from newsletter.store import StoreError
from tests.fakes.imap import FakeImap
from tests.fakes.mail import LINKS, reader, settings
from tests.fakes.replies import TO, message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PERSON = reader()
REPLY = LINKS.reply_address(PERSON.id)
UNSUB = LINKS.unsub_address(PERSON.id)
FROM = "digest@mail.example.org"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeImap]:
    """A server whose certificate is believed."""
    with FakeImap(tmp_path) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))
        yield running


def mail(to: str = REPLY, **headers: str) -> bytes:
    head = {"Delivered-To": to, "Return-Path": "<ann@example.com>", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in head.items()]
    written = message("unsubscribe").replace(TO.encode(), b"us@example.net")
    return "\r\n".join(lines).encode() + b"\r\n" + written


class Shelf:
    """Keeps what it is handed; `trouble` is raised instead, once it is set."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, str, list[str]]] = []
        self.trouble: StoreError | None = None

    def __call__(self, raw: bytes, sender: str, recipients: Sequence[str]) -> None:
        if self.trouble:
            raise self.trouble
        self.kept.append((raw, sender, list(recipients)))


def collect(url: str, shelf: Shelf | None = None, **options: Any) -> int:
    mailbox = ImapMailbox(settings(imap_url=url, from_email=FROM), **{"timeout": 5.0, **options})
    return mailbox.collect(shelf or Shelf(), LINKS, threading.Event())


def test_an_unseen_mail_is_handed_over_whole_and_then_marked(server: FakeImap):
    kept = server.put(mail())
    shelf = Shelf()

    assert collect(server.url, shelf) == 1

    assert shelf.kept == [(kept.raw, "<ann@example.com>", [REPLY])]
    assert kept.flags == {"\\Seen"}
    assert collect(server.url, shelf) == 0
    assert 'LOGIN "reader" "secret@word"' in server.commands
    assert "SELECT Replies" in [command.replace('"', "") for command in server.commands]
    assert "EXPUNGE" not in server.verbs


def test_unseen_mail_is_searched_by_the_key_that_the_imap_library_writes(server: FakeImap):
    """A stand-in of ours would take any word of ours: Dovecot refused the one that stood here."""
    for _ in range(2):
        server.put(mail())

    assert collect(server.url, newest=1) == 2

    searches = [one for one in server.commands if one.startswith("UID SEARCH ")]
    assert len(searches) == 2
    key = str(AND(seen=False)).strip("()")
    assert [one.split()[2] for one in searches] == [key, key]


def test_what_could_not_be_stored_stays_unseen_for_the_next_round(server: FakeImap):
    kept = [server.put(mail()), server.put(mail())]
    shelf = Shelf()
    shelf.trouble = StoreError("the disk is full")

    with pytest.raises(StoreError):
        collect(server.url, shelf)
    assert [one.flags for one in kept] == [set(), set()]

    shelf.trouble = None
    assert collect(server.url, shelf) == 2


def test_mail_to_others_is_not_touched(server: FakeImap):
    other = server.put(mail("bob@in.example.org"))
    ours = server.put(mail())

    assert collect(server.url) == 1

    assert (other.flags, ours.flags) == (set(), {"\\Seen"})
    asked = [command for command in server.commands if command.startswith("UID FETCH 1 ")]
    assert len(asked) == 1
    assert "HEADER" in asked[0]


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"Delivered_To": FROM, "X_Original_To": REPLY.upper()}, [REPLY.upper()]),
        ({"Delivered_To": FROM, "Cc": f"Ann <a@b.example>, <{UNSUB}>"}, [UNSUB]),
        ({"Delivered_To": f"box@host.example\r\nDelivered-To: {REPLY}"}, [REPLY]),
        ({"Delivered_To": REPLY, "To": UNSUB}, [REPLY]),
        ({"Delivered_To": FROM.upper()}, [FROM.upper()]),
        ({"Delivered_To": "reply+damaged@in.example.org"}, ["reply+damaged@in.example.org"]),
        ({"Delivered_To": "reply+damaged@elsewhere.example"}, []),
        ({"Delivered_To": "a@" * 100_000}, []),
        ({"Delivered_To": "=?utf-8?q?=ff?= \x00"}, []),
    ],
)
def test_recipients_are_our_addresses_alone(
    server: FakeImap, headers: dict[str, str], found: list[str]
):
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    server.put(("\r\n".join(lines) + "\r\nSubject: x\r\n\r\nunsubscribe").encode())
    shelf = Shelf()

    collect(server.url, shelf)

    assert [one[2] for one in shelf.kept] == ([found] if found else [])


@pytest.mark.parametrize(
    ("noted", "sender"),
    [
        ("Return-Path: <>\r\nFrom: ann@example.com\r\n", "<>"),
        ("From: ann@example.com\r\n", "ann@example.com"),
        ("Subject: stop\r\n", "unknown"),
    ],
)
def test_an_empty_sender_is_a_machines_and_none_is_not(server: FakeImap, noted: str, sender: str):
    server.put(f"Delivered-To: {REPLY}\r\n{noted}\r\nstop\r\n".encode())
    shelf = Shelf()

    collect(server.url, shelf)

    assert [one[1] for one in shelf.kept] == [sender]


def test_a_mail_that_is_too_big_is_left_to_a_person(server: FakeImap):
    kept = server.put(mail(), size=41 * 2**20)

    assert collect(server.url) == 0
    assert kept.flags == {"\\Seen", "\\Flagged"}


def test_of_a_large_mail_only_what_is_kept_is_fetched(server: FakeImap):
    large = mail() + b"x" * (3 * READ_BYTES)
    kept = server.put(large)
    shelf = Shelf()

    assert collect(server.url, shelf) == 1

    assert [one[0] for one in shelf.kept] == [large[:READ_BYTES]]
    assert kept.flags == {"\\Seen"}


def test_readers_mail_behind_many_newer_strangers_is_found(server: FakeImap):
    ours = [server.put(mail()), server.put(mail(FROM.upper())), server.put(mail(UNSUB))]
    others = [server.put(mail("bob@in.example.org")) for _ in range(20)]

    assert collect(server.url, newest=5) == 3

    assert {one.flags == {"\\Seen"} for one in ours} == {True}
    assert not any(one.flags for one in others)
    fetched = [command for command in server.commands if command.startswith("UID FETCH")]
    assert len(fetched) == 2 * 3 + 5, "strangers' mail that the server excluded is not looked at"


def test_a_server_that_cannot_search_by_recipient_is_read_as_far_as_it_goes(
    server: FakeImap, caplog: pytest.LogCaptureFixture
):
    server.answers["SEARCH by recipient"] = "NO such search"
    [server.put(mail()) for _ in range(7)]

    assert collect(server.url, newest=5) == 5
    assert "cannot search by recipient" in caplog.text


def test_a_stop_ends_the_round_between_two_mails(server: FakeImap):
    server.put(mail())
    server.put(mail())
    stop = threading.Event()
    given = settings(imap_url=server.url, from_email=FROM)

    def take(raw: bytes, sender: str, recipients: Sequence[str]) -> None:
        assert raw
        assert sender
        assert recipients
        stop.set()

    assert ImapMailbox(given).collect(take, LINKS, stop) == 1


@pytest.mark.parametrize(
    ("verb", "told", "said"),
    [
        ("LOGIN", 'NO bad login "secret@word"', "refused the login"),
        ("LOGIN", 'BAD in "LOGIN reader secret@word"', "refused the login"),
        ("LOGIN", "drop", "cannot be read"),
        ("SELECT", "NO nothing there", "no folder Replies"),
        ("UID SEARCH", "NO not now", "cannot be read"),
        ("UID FETCH", "NO not now", "cannot be read"),
        ("UID STORE", "NO read only", "cannot be read"),
        ("UID FETCH", "drop", "cannot be read"),
        ("UID SEARCH", "stall", "cannot be read"),
    ],
)
def test_a_server_in_trouble_is_one_line_without_the_password(
    server: FakeImap, verb: str, told: str, said: str
):
    server.put(mail())
    server.answers[verb] = told
    began = time.monotonic()

    # Only a stalled answer is waited for in vain; a busy machine may be slow to give the others.
    with pytest.raises(MailboxError, match=said) as caught:
        collect(server.url, timeout=2.0 if told == "stall" else 240.0)

    assert "secret" not in str(caught.value)
    assert time.monotonic() - began < 200  # The server would hold it for 300.


def test_a_password_beyond_ascii_is_sent_as_utf_8(server: FakeImap):
    kept = server.put(mail())

    assert collect(server.url.replace("secret", "gehe%C3%AFm")) == 1

    assert kept.flags == {"\\Seen"}
    assert server.secrets == ["\0reader\0geheïm@word"]


def test_a_server_that_is_away_is_one_line():
    with pytest.raises(MailboxError, match="cannot be read"):
        collect("imaps://reader:secret@127.0.0.1:9/INBOX")


def test_a_strange_certificate_is_not_believed(tmp_path: Path):
    with FakeImap(tmp_path) as running, pytest.raises(MailboxError, match="let SSL_CERT_FILE name"):
        collect(running.url)
    assert running.commands == []


@pytest.mark.parametrize(
    "url", ["imap://u:p@host/INBOX", "imaps://host/INBOX", "imaps://u:p@:1", "imaps://u:p@h:x"]
)
def test_an_address_without_tls_or_parts_is_refused(url: str):
    with pytest.raises(SettingsError, match="NEWSLETTER_IMAP_URL"):
        ImapMailbox(settings(imap_url=url))
