"""The reply mailbox beside Dovecot: our own stand-in takes any search key that we write."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from newsletter.mailers.imap import ImapMailbox
from tests.fakes.dovecot import PROGRAM, dovecot
from tests.fakes.mail import LINKS, settings
from tests.inbound.test_imap import FROM, REPLY, UNSUB, Shelf, mail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.dovecot import Dovecot

pytestmark = pytest.mark.skipif(not PROGRAM, reason="Dovecot 2.3 is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


def test_replies_are_read_once_and_other_mail_stays_unseen(
    server: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    others = mail("friend@example.net")
    # With `newest` of 2 the first two are found by Dovecot's own search for our addresses.
    for raw in (mail(REPLY), others, others, mail(UNSUB)):
        server.put(raw)
    shelf = Shelf()
    box = ImapMailbox(settings(imap_url=server.url, from_email=FROM), timeout=240, newest=2)

    assert box.collect(shelf, LINKS, threading.Event()) == 2

    assert [to for _, _, to in shelf.kept] == [[REPLY], [UNSUB]]
    assert all(raw == mail(to[0]) for raw, _, to in shelf.kept)
    assert server.flags() == ["S", "", "", "S"]
    assert box.collect(shelf, LINKS, threading.Event()) == 0
