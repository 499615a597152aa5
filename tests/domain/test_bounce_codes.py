"""What says that an address is gone, and how well reports that others collected are understood."""

from __future__ import annotations

import base64
import time

import pytest

from bench.scenarios import mail_bounces
from newsletter.domain.bounce_codes import first_mails_left, is_address_gone, too_many_gone
from newsletter.inbound.bounce_reports import parse_report

needs_corpus = pytest.mark.skipif(
    not mail_bounces.CORPUS.is_dir(), reason="the shared corpus of bounces is not here"
)
HOST = "Host or domain name not found. Name service error for name=a.example: Host not found"


@pytest.mark.parametrize(
    ("status", "diagnostic"),
    [
        *((f"5.1.{n}", "") for n in (0, 1, 2, 3, 4, 6, 10)),
        ("5.2.1", ""),
        ("5.2.1", "smtp; 550 5.2.1 Mailbox disabled, not accepting messages"),
        ("5.0.0", "smtp; 550 5.1.1 <a@b.example>: no such user"),
        ("5.1.0", "smtp; 550 5.1.1 no such user"),
        ("5.1.1 (bad destination mailbox address)", "smtp; 550 no such user"),
        ("", "550-5.1.1 The email account that you tried to reach does not exist."),
        ("5.1.1", "smtp; 550 5.1.1 <full@b.example> unknown, see https://b.example/policy"),
        ("5.4.4", f"X-Postfix; {HOST}"),
        ("5.4.4", f"X-Outbound-Mail-Relay; {HOST}"),
    ],
)
def test_13_an_address_is_gone_if_the_most_specific_codes_say_so(status: str, diagnostic: str):
    assert is_address_gone(status, diagnostic)


@pytest.mark.parametrize(
    ("status", "diagnostic"),
    [
        ("", ""),
        ("5.0.0", ""),
        ("5.5.0", "smtp; 550 unknown user"),
        ("", "smtp; 550 no such user"),
        ("5.0.0", "smtp; 552 5.2.2 mailbox is over its quota"),
        ("5.1.1", "smtp; 552 5.2.2 mailbox full"),
        ("5.1.0", "smtp; 550 5.7.1 not welcome"),
        ("5.1.1", "smtp; 552 sorry, the mailbox is over quota"),
        ("5.1.0", "smtp; 550 5.1.0 sender rejected"),
        ("5.1.1", "smtp; 550 5.1.1 has sent too many messages this hour"),
        ("5.2.1", "smtp; 550 5.2.1 The account that you tried to reach is disabled"),
        ("5.1.1", "x-unix; procmail: Couldn't create file"),
        *((f"5.1.{n}", "") for n in (5, 7, 8, 9)),
        *((code, "") for code in ("5.2.0", "5.2.2", "5.2.3", "5.3.4", "5.6.1", "5.7.1", "5.7.26")),
        *((code, "") for code in ("5.4.0", "5.4.1", "5.4.4", "5.4.6", "5.4.7")),
        ("5.4.4", "smtp; 550 5.4.4 no route to host"),
        ("4.1.1", "smtp; 450 4.1.1 user unknown"),
        ("2.1.5", ""),
        ("5.1.1.1", ""),
    ],
)
def test_13_nothing_else_says_that_an_address_is_gone(status: str, diagnostic: str):
    assert not is_address_gone(status, diagnostic)


def dsn(*groups: str, text: str = "Sorry.") -> bytes:
    fields = "\n\n".join(["Reporting-MTA: dns; mx.example.org", *groups])
    return (
        "From: MAILER-DAEMON@mx.example.org\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\nContent-Type: text/plain\n\n{text}\n"
        f"--b\nContent-Type: message/delivery-status\n\n{fields}\n\n--b--\n"
    ).encode()


def group(address: str, status: str, action: str = "failed") -> str:
    return f"Final-Recipient: rfc822; {address}\nAction: {action}\nStatus: {status}"


def test_13_of_several_recipients_the_readers_own_counts_else_all_must_be_gone() -> None:
    both = parse_report(dsn(group("a@x.example", "5.1.1"), group("b@x.example", "5.2.2")))
    assert both.recipient_for("A@x.example").is_gone
    assert not both.recipient_for("b@x.example").is_gone
    assert not both.recipient_for("alias@y.example").is_gone
    gone = parse_report(dsn(group("a@x.example", "5.1.1"), group("b@x.example", "5.1.2")))
    assert gone.recipient_for("alias@y.example").is_gone
    one = parse_report(
        dsn(group("a@x.example", "5.1.1"), group("b@x.example", "2.1.5", "delivered"))
    )
    assert one.recipient_for("alias@y.example").action == "delivered"


def test_13_the_whole_diagnostic_is_read() -> None:
    said = "smtp; 552 5.2.2 <a@x.example>: the mailbox is full;\n  see https://x.example/help"
    [found] = parse_report(
        dsn(f"{group('a@x.example', '5.0.0')}\nDiagnostic-Code: {said}")
    ).recipients
    assert found.diagnostic == " ".join(said.split())
    assert (found.status, found.is_gone) == ("5.0.0", False)


def test_13_the_readers_own_part_is_found_among_thousands() -> None:
    others = [group(f"a{number}@x.example", "5.1.1") for number in range(2000)]
    told = parse_report(dsn(*others, group("reader@x.example", "5.2.2")))
    assert not told.recipient_for("reader@x.example").is_gone


@pytest.mark.parametrize(
    "charset", ["idna", "zip", "hex", "undefined", "punycode", "\xff", "cp9", "utf-7", "base64"]
)
def test_16_no_charset_keeps_a_report_from_being_read(charset: str) -> None:
    raw = dsn(group("a@x.example", "5.1.1"), text="a-" * 2000)
    named = raw.replace(b"text/plain", f'text/plain; charset="{charset}"'.encode("latin-1"))
    assert parse_report(named).recipient_for().is_gone


@pytest.mark.parametrize("action", ["delayed", "relayed", "expanded", "delivered"])
def test_13_only_what_failed_is_gone(action: str) -> None:
    assert not parse_report(dsn(group("a@x.example", "5.1.1", action))).recipient_for().is_gone


def test_13_a_report_may_lack_its_action_its_status_or_be_encoded() -> None:
    lines = group("a@x.example", "5.1.1").splitlines()
    said = "Diagnostic-Code: smtp; 550 5.1.1 no such user"
    assert parse_report(dsn("\n".join([lines[0], lines[2]]))).recipient_for().is_gone
    assert parse_report(dsn("\n".join([*lines[:2], said]))).recipient_for().is_gone
    assert parse_report(dsn("\n".join([lines[0], said]))).recipient_for().is_gone
    plain = dsn("").partition(b"message/delivery-status\n")
    encoded = base64.encodebytes("\n".join(lines).encode())
    raw = b"".join([*plain[:2], b"Content-Transfer-Encoding: base64\n\n", encoded, b"\n--b--\n"])
    assert parse_report(raw).recipient_for().is_gone


def test_13_what_stands_in_the_returned_mail_is_no_report() -> None:
    inner = dsn(group("a@x.example", "5.1.1")).decode()
    raw = (
        'From: postmaster@x.example\nContent-Type: multipart/mixed; boundary="c"\n\n'
        "--c\nContent-Type: text/plain\n\nNo.\n--c\nContent-Type: message/rfc822\n\n"
        f"{inner}\n--c--\n"
    )
    assert not parse_report(raw.encode()).recipient_for().is_gone


@pytest.mark.parametrize(
    "body",
    [
        b"\n" * 130_000,
        b"\r\n " * 87_000,
        b"5.1.1" * 52_000,
        b"a@" * 130_000,
        b"550 5.1.1 " + b"<" * 250_000,
        b"550 5.1.1 " + b"://" * 80_000,
        b"copy of the " * 20_000,
        b"--b\n\n5.1.1\n" * 5_000,
    ],
)
def test_16_a_malicious_report_is_parsed_in_linear_time(body: bytes) -> None:
    """In quadratic time the whole would take sixteen times as long as a quarter of it."""
    quarter = parse_seconds(body[: len(body) // 4])
    assert parse_seconds(body) < 8 * quarter + 0.2


def parse_seconds(body: bytes) -> float:
    head = b"From: postmaster@x.example\nContent-Type: multipart/digest; boundary=b\n\n"
    begun = time.thread_time()
    parse_report(head + body)
    return time.thread_time() - begun


@needs_corpus
def test_13_reports_that_others_collected_are_understood() -> None:
    found = mail_bounces.process_reports()
    assert mail_bounces.share_of_soft_taken_as_hard(found) <= mail_bounces.SOFT_TAKEN_AS_HARD
    assert mail_bounces.wrong_complaints(found) == []
    assert mail_bounces.suppressed_by_notes(found) == []
    assert mail_bounces.share_of_hard_recognised(found) >= mail_bounces.HARD_RECOGNISED


def test_13_the_original_recipient_is_the_reader_too() -> None:
    """An alias leads elsewhere: the report names where the mail ended, and where it was sent."""
    told = "Original-Recipient: rfc822; Ann@X.example\nFinal-Recipient: rfc822; box@y.example"
    both = dsn(f"{told}\nAction: failed\nStatus: 5.1.1", group("bob@y.example", "5.2.2"))
    [ann, bob] = parse_report(both).recipients
    assert (ann.original, ann.address) == ("Ann@X.example", "box@y.example")
    assert ann.is_of("ann@x.example")
    assert ann.is_of("BOX@y.example")
    assert not bob.is_of("ann@x.example")
    assert parse_report(both).recipient_for("ann@x.example").is_gone
    assert not parse_report(both).recipient_for("bob@y.example").is_gone


def test_13_an_original_recipient_alone_makes_a_recipient() -> None:
    fields = "Original-Recipient: rfc822; ann@x.example\nStatus: 5.1.1"
    [found] = parse_report(dsn(fields)).recipients
    assert (found.original, found.address, found.action) == ("ann@x.example", "", "failed")
    assert parse_report(dsn(fields)).recipient_for("ann@x.example").is_gone


@pytest.mark.parametrize("header", ["MESSAGE-ID", "Message-Id", "message-id", "> Message-ID"])
def test_13_a_message_id_is_found_however_its_header_is_written(header: str) -> None:
    number = "0123456789abcdef" * 2
    inner = f"{header}: <{number.upper()}@mail.example.org>"
    raw = dsn(group("a@x.example", "5.1.1")).removesuffix(b"--b--\n")
    raw += f"--b\nContent-Type: text/rfc822-headers\n\n{inner}\n\n--b--\n".encode()
    assert parse_report(raw).delivery_id == number
    assert parse_report(raw.replace(b"@mail", b"0@mail")).delivery_id == ""


@pytest.mark.parametrize("name", ["postmaster", "ann", "/c=DE/o=Example", "<>", ""])
def test_13_a_recipient_without_an_at_sign_is_one_without_an_address(name: str) -> None:
    lines = "--- The following addresses failed ---\nann was not found"
    [found] = parse_report(dsn(group(name, "5.1.1"), text=lines)).recipients
    assert (found.address, found.action, found.status) == ("", "failed", "5.1.1")
    assert found.diagnostic == ""
    assert parse_report(dsn(group(name, "5.1.1"))).recipient_for("ann@x.example").is_gone


def test_13_where_a_report_gives_no_diagnostic_the_line_about_the_address_is_it() -> None:
    text = "Sorry.\n  <a@x.example>: no such mailbox \n<a@x.example>: again\n"
    [found] = parse_report(dsn(group("a@x.example", "5.1.1"), text=text)).recipients
    assert found.diagnostic == "<a@x.example>: no such mailbox"


def test_13_fields_that_say_nothing_of_a_failure_name_no_recipient() -> None:
    assert parse_report(dsn("Final-Recipient: rfc822; a@x.example")).recipient_for().address == ""
    assert parse_report(dsn("Status: 4.2.2")).recipient_for().status == ""
    both = parse_report(dsn("Final-Recipient: rfc822; a@x.example\nStatus: 4.2.2")).recipient_for()
    assert (both.address, both.status, both.action) == ("a@x.example", "4.2.2", "delayed")


def by_wording(*lines: str) -> bytes:
    head = "From: Mail Delivery System <mailer-daemon@x.example>\nSubject: returned\n\n"
    return (head + "\n".join(lines)).encode()


def test_13_codes_of_a_report_in_words_that_all_begin_with_two_say_that_it_came() -> None:
    assert (
        parse_report(by_wording("250 2.1.5 taken", "2.0.0 done")).recipient_for().action
        == "delivered"
    )
    assert parse_report(by_wording("550 5.1.2 no such host")).recipient_for().action == "failed"
    assert (
        parse_report(by_wording("2.1.5 taken", "5.1.2 no such host")).recipient_for().action
        == "failed"
    )


@pytest.mark.parametrize(("more", "decoded"), [(0, True), (1, False)])
def test_16_the_parts_of_a_report_are_opened_up_to_sixty_boundaries(
    more: int, *, decoded: bool
) -> None:
    """What has more of them is read as one plain text."""
    plain = dsn("", text="boundary " * (59 + more)).partition(b"message/delivery-status\n")
    encoded = base64.encodebytes(group("a@x.example", "5.1.1").encode())
    raw = b"".join([*plain[:2], b"Content-Transfer-Encoding: base64\n\n", encoded, b"\n--b--\n"])
    assert raw.count(b"boundary") == 60 + more
    assert (parse_report(raw).recipient_for().address == "a@x.example") is decoded


def test_13_a_domain_is_gone_only_with_its_own_code() -> None:
    assert is_address_gone("5.4.4", f"X-Postfix; {HOST}")
    for code in ("5.4.1", "5.4.3", "5.1.8", "5.4.5", "5.7.1"):
        assert not is_address_gone(code, f"X-Postfix; {HOST}"), code


def test_16_four_thousand_letters_of_status_and_diagnostic_are_read() -> None:
    filled = "x" * (4_000 - len("5.1.1 ") - len(" 5.2.2"))
    assert not is_address_gone("5.1.1", f"{filled} 5.2.2")
    assert is_address_gone("5.1.1", f"{filled}x 5.2.2")
    [found] = parse_report(
        dsn(f"{group('a@x.example', '5.0.0')}\nDiagnostic-Code: {'x' * 3_000}")
    ).recipients
    assert len(found.diagnostic) == 2_000


@pytest.mark.parametrize(
    ("gone", "readers", "ends"),
    [(10, 100, False), (11, 100, True), (11, 99, False), (0, 500, False)],
)
def test_a_run_ends_above_one_in_twenty_of_its_first_mails(
    gone: int, readers: int, *, ends: bool
) -> None:
    assert too_many_gone(gone, readers) is ends


@pytest.mark.parametrize(
    ("this_hour", "before", "left"),
    [(0, 0, 100), (100, 0, 0), (30, 80, 130), (0, 50, 100), (0, 51, 102), (300, 80, 0)],
)
def test_first_mails_double_each_hour(this_hour: int, before: int, left: int) -> None:
    assert first_mails_left(this_hour, before) == left


def test_13_an_action_that_is_no_word_is_told_by_the_status() -> None:
    told = {
        status: parse_report(dsn(group("a@x.example", status, "???"))).recipient_for().action
        for status in ("5.1.1", "4.2.2", "2.1.5", "")
    }
    assert told == {"5.1.1": "failed", "4.2.2": "delayed", "2.1.5": "delivered", "": ""}
