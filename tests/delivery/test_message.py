from __future__ import annotations

import email as parser
from email import policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.delivery import identity
from newsletter.delivery.message import clean_name, content_hash, header_line, notification
from newsletter.domain.links import TEST_READER
from newsletter.domain.mail import Sender
from newsletter.mailers.mime import to_bytes
from newsletter.mailers.sendgrid.mailer import payload
from tests.fakes.mail import LINKS, SENDER, START, email, reader, settings

NASTY = [
    "Ann\r\nBcc: eve@example.org",
    "Ann\nBcc: eve@example.org",
    "Ann\rBcc: eve@example.org",
    "Ann\x00\x0bBcc: eve@example.org",
    "Ann\u2028Bcc: eve@example.org\u2029\x85x",
    "A;n,n <eve@example.org>",
    '"Ann" <eve@example.org>, Bob',
    "\u202egro.elpmaxe@eve\u202c",
    "{{ secret }} -sub- <% x %>",
    "x" * 2000,
    "日本" * 900,
    "\ud800",
    "<script>alert(1)</script>",
]


def parsed(raw: bytes):
    return parser.message_from_bytes(raw, policy=policy.default)


def test_a_digest_bears_every_header_mailbox_providers_ask_for():
    person = reader()
    made = email(person, "d" * 32, archive_url="https://digest.example.org/archive/cold-stars/")
    headers = dict(made.headers)

    assert headers == {
        "List-Id": "<cold-stars.digest.in.example.org>",
        "List-Unsubscribe": (
            f"<{LINKS.unsubscribe_url(person.id)}>, "
            f"<mailto:{LINKS.unsub_address(person.id)}?subject=unsubscribe>"
        ),
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Archive": "<https://digest.example.org/archive/cold-stars/>",
        "Feedback-ID": "cold-stars:digest:arxiv:mail.example.org",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }
    assert made.reply_to == LINKS.reply_address(person.id)
    assert made.message_id == f"<{'d' * 32}@mail.example.org>"
    assert (made.delivery_id, made.date) == ("d" * 32, START)


def test_24_a_test_mail_is_marked_and_its_links_are_of_no_reader():
    made = email(reader(id=TEST_READER), "d" * 32, test=True)

    assert made.subject == "[TEST] arXiv digest, 23 September 2025"
    assert made.delivery_id == ""
    token = made.headers[1][1].partition(">")[0].rpartition("/")[2]
    assert LINKS.read("unsubscribe", token) == TEST_READER


@pytest.mark.parametrize("text", NASTY)
def test_21_nothing_from_outside_adds_a_header_or_a_recipient(text: str):
    made = email(reader(name=text, rubric=text), subject=text)
    mail = parsed(to_bytes(made))
    request = payload(made)

    ours = ["From", "To", "Reply-To", "Subject", "Message-ID", "Date", "MIME-Version"]
    given = [name for name, _ in made.headers]
    assert sorted(mail.keys()) == sorted([*ours, "Content-Type", *given])
    assert [a.addr_spec for a in mail["To"].addresses] == ["reader1@example.org"]
    assert request["personalizations"][0]["to"][0]["email"] == "reader1@example.org"
    name = request["personalizations"][0]["to"][0].get("name", "")
    assert not set(name) & set(";,\r\n\0<>")
    assert len(name) <= 80
    assert len(mail["Subject"]) <= 200
    for line in to_bytes(made).split(b"\r\n"):
        assert len(line) <= 998
        assert b"\n" not in line
        assert b"\r" not in line


@given(st.text())
def test_21_one_line_is_one_line(text: str):
    line = header_line(text, 50)
    assert len(line.splitlines()) <= 1
    assert len(line) <= 50
    assert line == line.strip()
    assert not any(ord(c) < 32 or c in "\u202e\u2066\ufeff\u200b" for c in line)
    line.encode()


def test_names_keep_what_names_are_made_of():
    assert clean_name("Zoë O'Hára-Smith Jr.") == "Zoë O'Hára-Smith Jr."
    assert clean_name("می‌خواهم") == "می‌خواهم"
    assert clean_name("陳 大文") == "陳 大文"


def test_addresses_in_list_headers_are_never_encoded_words():
    raw = to_bytes(email()).decode("ascii")
    lines = raw.split("\r\n")
    start = next(n for n, line in enumerate(lines) if line.startswith("List-Unsubscribe:"))
    unfolded = lines[start] + lines[start + 1]
    assert unfolded == f"List-Unsubscribe: {dict(email_headers(raw))['List-Unsubscribe']}"
    assert "=?" not in unfolded


def email_headers(raw: str):
    return [(k, v.replace("\r\n", "")) for k, v in parser.message_from_string(raw).items()]


def test_the_message_has_plain_text_first_and_survives_the_way():
    made = email(text="Zeile äöü\n.dot\n" + "x" * 1500, html="<p>" + "ü" * 1500 + "</p>\n.\n")
    mail = parsed(to_bytes(made))
    text, html = mail.iter_parts()

    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().splitlines() == made.text.splitlines()
    assert html.get_content().splitlines() == made.html.splitlines()
    assert to_bytes(made) == to_bytes(made)


def test_a_notification_has_no_list_headers():
    made = notification(
        to_email="ann@example.org",
        to_name="Ann",
        subject="Please confirm",
        html="<p>x</p>",
        text="x",
        mail_id="c" * 32,
        sender=SENDER,
        now=START,
        answering=True,
    )
    assert dict(made.headers) == {
        "Auto-Submitted": "auto-replied",
        "X-Auto-Response-Suppress": "All",
    }
    assert made.reply_to == "operator@example.org"
    assert made.delivery_id == ""


def test_without_a_from_address_the_demo_still_has_a_sender():
    assert identity.sender_of(settings()) == Sender("digest@localhost", "arXiv digest")
    given = settings(from_email="d@mail.example.org", operator_email="op@example.org")
    assert identity.sender_of(given).operator == "op@example.org"


def test_bounce_addresses_need_a_reply_domain_and_can_be_switched_off():
    given = {"from_email": "a@x.example", "reply_domain": "in.x.example"}
    assert identity.sender_of(settings(**given)).bounce_addresses
    assert not identity.sender_of(settings(**given, smtp_bounce_addresses=False)).bounce_addresses
    assert not identity.sender_of(settings(from_email="a@x.example")).bounce_addresses


def test_a_readers_own_rubric_has_a_list_of_its_own_and_is_counted_with_the_others() -> None:
    to = reader(rubric="own-abcdefghijkl")
    headers = dict(email(to).headers)
    assert headers["Feedback-ID"] == "own:digest:arxiv:mail.example.org"
    assert headers["List-Id"] == "<own-abcdefghijkl.digest.in.example.org>"


def test_the_hash_of_a_content_stays_the_same_over_versions() -> None:
    stored = "55238b825ef3acd659b9b3c8f98f07504e45141a18d8d2a0549da92ce8035848"
    assert content_hash("Title \ud800", "“text”", "<p>→</p>") == stored
