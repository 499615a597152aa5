from __future__ import annotations

import email as parser
import re
import stat
import threading
from email import policy
from typing import TYPE_CHECKING

import pytest

from newsletter.mailers import SendError, SendFailure
from newsletter.mailers.outbox import OutboxMailer, file_name
from tests.fakes.mail import START, email, outbox_settings, reader, settings

if TYPE_CHECKING:
    from pathlib import Path


def test_a_mail_becomes_a_file_a_page_and_a_line_in_the_index(tmp_path: Path):
    outbox = OutboxMailer(outbox_settings(tmp_path))
    made = email(reader(name="Ann <b>"), "d" * 32, subject="Stars & <i>more</i>")

    name = outbox.send(made)

    assert name == f"reader1-example.org-{'d' * 32}.eml"
    raw = (tmp_path / "outbox" / name).read_bytes()
    mail = parser.message_from_bytes(raw, policy=policy.default)
    assert mail["Message-ID"] == made.message_id
    assert mail["Date"].datetime == START
    page = (tmp_path / "outbox" / name).with_suffix(".html")
    assert page.read_text() == made.html
    index = (tmp_path / "outbox" / "index.html").read_text()
    assert f'<a href="{page.name}">Stars &amp; &lt;i&gt;more&lt;/i&gt;</a>' in index
    assert "reader1@example.org" in index
    assert "<i>" not in index


def test_the_same_mail_again_replaces_itself(tmp_path: Path):
    outbox = OutboxMailer(outbox_settings(tmp_path))
    made = email(delivery_id="d" * 32)

    assert outbox.send(made) == outbox.send(made)

    files = sorted(path.name for path in (tmp_path / "outbox").iterdir())
    assert len(files) == 3
    assert not [name for name in files if name.endswith(".part")]
    assert (tmp_path / "outbox" / "index.html").read_text().count("<p>") == 1


@pytest.mark.parametrize(
    "address",
    ["../../etc/passwd@example.org", "a/b@example.org", "用户@example.org", "x" * 300 + "@a.org"],
)
def test_a_file_name_is_harmless_whatever_the_address(tmp_path: Path, address: str):
    made = email(reader(email=address), "d" * 32)

    name = OutboxMailer(outbox_settings(tmp_path)).send(made)

    assert re.fullmatch(r"[a-z0-9.-]+\.eml", name)
    assert len(name) < 120
    assert (tmp_path / "outbox" / name).exists()


def test_two_mails_to_one_address_are_two_files():
    assert file_name(email(delivery_id="a" * 32)) != file_name(email(delivery_id="b" * 32))
    tests = [email(delivery_id=key * 32, test=True) for key in "ab"]
    assert len({file_name(one) for one in tests}) == 2


def test_many_hands_write_one_index(tmp_path: Path):
    made = [email(reader(n)) for n in range(40)]
    threads = [
        threading.Thread(target=OutboxMailer(outbox_settings(tmp_path)).send, args=(one,))
        for one in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    index = (tmp_path / "outbox" / "index.html").read_text()
    assert index.startswith("<!doctype html>")
    assert index.count("<!doctype") == 1
    lines = [line for line in index.splitlines() if line.startswith("<p>")]
    assert len(lines) == 40
    assert {f"reader{n}@example.org" in index for n in range(40)} == {True}


def test_a_folder_that_cannot_be_written_stops_the_run_by_name(tmp_path: Path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")

    with pytest.raises(SendError, match="NEWSLETTER_OUTBOX_DIR") as caught:
        OutboxMailer(settings(outbox_dir=blocked / "outbox")).send(email())

    assert caught.value.failure is SendFailure.HALT
    assert str(blocked) in str(caught.value)


def test_a_failed_write_leaves_no_half_file(tmp_path: Path):
    folder = tmp_path / "outbox"
    folder.mkdir()
    made = email(delivery_id="d" * 32)
    (folder / file_name(made)).mkdir()

    with pytest.raises(SendError):
        OutboxMailer(outbox_settings(tmp_path)).send(made)

    assert not list(folder.glob(".*.part"))
    assert stat.S_ISDIR((folder / file_name(made)).stat().st_mode)
