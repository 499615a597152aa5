"""The numbers in names are the acceptance cases in docs/delivery.md."""

from __future__ import annotations

import time
import tracemalloc
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.inbound.commands import Command
from newsletter.inbound.intents import Intent, parse_intent
from newsletter.inbound.mime import html_to_text, parse_mail
from newsletter.inbound.new_text import extract_new_text
from newsletter.inbound.normalize import plain
from newsletter.inbound.reply_parser import ParsedReply, ReplyKind, parse_reply
from tests.fakes.mail import SENDER
from tests.fakes.replies import (
    CHARSETS,
    DIGEST,
    FOOTER,
    OURS,
    PUT_OTHERWISE,
    TO,
    TONGUES,
    Tongue,
    encoded,
    html_shapes,
    message,
    quoted,
    shapes,
)

SENDER_OF_REPLY = "ann@example.com"
CLEAR = [
    pytest.param(text, html, id=f"{tongue.code} {name} {number}")
    for tongue in TONGUES
    for number, said in enumerate(tongue.asks)
    for html, made in ((False, shapes), (True, html_shapes))
    for name, text in made(tongue, said)
]


def understood(
    raw: bytes, envelope_from: str = SENDER_OF_REPLY, *, leaving: bool = False
) -> ParsedReply:
    return parse_reply(parse_mail(raw), envelope_from, OURS, to_unsubscribe_address=leaving)


def test_15_the_corpus_is_big_enough():
    assert len(CLEAR) >= 200
    assert len(TONGUES) == 14


@pytest.mark.parametrize(("text", "html"), CLEAR)
def test_15_a_clear_wish_to_leave_is_understood(text: str, html: bool):  # noqa: FBT001
    reply = understood(message(text, html=html))
    assert (reply.kind, reply.intent) == (ReplyKind.COMMAND, Intent.UNSUBSCRIBE), reply


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
@pytest.mark.parametrize("tongue", TONGUES, ids=lambda tongue: tongue.code)
def test_15_whatever_the_charset_and_encoding(tongue: Tongue, encoding: str):
    text = f"{tongue.asks[1]}\n\n{tongue.gmail}\n{quoted(DIGEST)}\n"
    charset = CHARSETS.get(tongue.code, "utf-8")
    raw = encoded(text.encode(charset, "replace").decode(charset), charset, encoding)
    assert understood(raw).intent is Intent.UNSUBSCRIBE


@pytest.mark.parametrize("said", ["Désabonner", "Abmelden, bitte", "Odhlásit"])
def test_15_a_wrong_or_unknown_charset_is_survived(said: str):
    raw = (
        b"From: a@example.com\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n" + said.encode("windows-1252", "replace")
    )
    assert understood(raw).intent is (
        None if "Odhl" in said and "?" in said else Intent.UNSUBSCRIBE
    )
    for charset in (b"x-unknown", b"punycode", b"unicode_escape", b"zip", b"\xff"):
        other = raw.replace(b"utf-8", charset).replace(said.encode("windows-1252"), said.encode())
        assert understood(other).intent is Intent.UNSUBSCRIBE


@pytest.mark.parametrize(
    "said",
    [
        "UNSUBSCRIBE.",
        "  “unsubscribe”  ",
        "«unsubscribe»",
        "unsubscribe 🙏",
        "\u200bun\u200dsubscribe\ufeff",
        "un\u00adsubscribe",
        "unsubscribe\u00a0me",
        "\u202aunsubscribe\u202c",
        "ｕｎｓｕｂｓｃｒｉｂｅ",  # noqa: RUF001 - full width letters
        "Hi,\n\nplease unsubscribe me.\n\nThanks,\nAnn",
        "Hello!\nUnsubscribe\n\nBest regards\nAnn",
        "*Unsubscribe*",
        "Take me off this list please",
        "I'd like to unsubscribe from this mailing list.",
        "stop",
        "Stop sending me emails",
        "please cancel my subscription",
        "opt out",
        "No more emails please!",
        "desabonner",
        "Sehr geehrte Damen und Herren,\nbitte abmelden.\nMit freundlichen Grüßen\nAnn",
    ],
)
def test_15_how_people_write_it(said: str):
    assert understood(message(said)).intent is Intent.UNSUBSCRIBE


@pytest.mark.parametrize("said", PUT_OTHERWISE)
def test_15_how_else_people_put_it(said: str):
    assert understood(message(said)).intent is Intent.UNSUBSCRIBE


@pytest.mark.parametrize(
    "said",
    [
        "please do NOT unsubscribe me",
        "Don't unsubscribe me!",
        "How do I unsubscribe my colleague?",
        "unsubscribe?",
        "Did you unsubscribe me?",
        "I unsubscribed my old address but mail still comes.",
        "Unsubscribe\n\nActually, no, keep me on the list.",
        "Stop\nthe presses: but this is a great paper!",
        "My boss wants to unsubscribe, how?",
        "I will unsubscribe if there are more of these.",
        "Could you remove me from the Tuesday list but keep the others",
        "Ich möchte mich nicht abmelden",
        "Wie kann ich den Newsletter abbestellen?",
        "Je ne veux pas me désabonner",
        "No quiero darme de baja",
        "не хочу отписаться от рассылки",
        "不要退订",
        "配信停止しないでください",
        "구독취소 하지 마세요",
    ],
)
def test_15_what_is_not_clear_goes_to_a_person(said: str):
    reply = understood(message(said))
    assert (reply.kind, reply.intent) == (ReplyKind.REVIEW, None), reply


@pytest.mark.parametrize(
    "said",
    [
        "Great selection today, thank you.",
        "Paper 3 is by my student, see also 2509.01234.",
        "Danke, sehr interessant!",
        "今日の論文は面白かったです",
        "Thanks!",
        "",
        "I really enjoyed the third one.",
    ],
)
@pytest.mark.parametrize("tongue", TONGUES[:3], ids=lambda tongue: tongue.code)
def test_15_a_short_letter_with_our_footer_below_it_is_kept_and_not_answered(
    said: str, tongue: Tongue
):
    sent = [(text, False) for _, text in shapes(tongue, said)]
    sent += [(text, True) for _, text in html_shapes(tongue, said)]
    for text, html in sent:
        reply = understood(message(text, html=html))
        assert (reply.kind, reply.may_unsubscribe) == (ReplyKind.REVIEW, False), text


@pytest.mark.parametrize("tongue", TONGUES, ids=lambda tongue: tongue.code)
def test_15_only_what_is_new_is_handed_on(tongue: Tongue):
    said = "Nice, the third one."
    for name, text in shapes(tongue, said):
        assert next(line for line in extract_new_text(text, OURS).lines if line) == said, name
        assert "Cold stars" not in " ".join(extract_new_text(text, OURS).lines), name
        assert SENDER.name not in " ".join(extract_new_text(text, OURS).lines), name


def test_15_our_own_footer_never_triggers_whole_or_in_part():
    for line in [FOOTER, *FOOTER.splitlines(), *DIGEST.splitlines()]:
        assert parse_intent(line) is None
        assert understood(message(line)).intent is None


def test_15_an_empty_reply_is_no_wish():
    for tongue in TONGUES:
        for _, text in shapes(tongue, ""):
            assert understood(message(text)).intent is None


def test_15_inline_answers_are_read_where_they_stand():
    text = f"{TONGUES[0].gmail}\n> 1. Cold stars\nvery nice\n> 2. Warm stars\nunsubscribe\n"
    assert extract_new_text(text, OURS).lines == ("very nice", "unsubscribe")
    assert understood(message(text)).kind is ReplyKind.REVIEW


@pytest.mark.parametrize(
    ("subject", "text", "wish"),
    [
        ("unsubscribe", "", Intent.UNSUBSCRIBE),
        ("Unsubscribe please", "Ann Example\nTel. 123", Intent.UNSUBSCRIBE),
        ("Abmelden", "", Intent.UNSUBSCRIBE),
        ("Re: unsubscribe", "", None),
        ("Fwd: unsubscribe", "", None),
        ("unsubscribe", "please do not unsubscribe me", None),
        ("pause", "", Intent.PAUSE),
        ("Re: arXiv digest", "", None),
    ],
)
def test_15_a_subject_counts_only_when_it_is_a_command(
    subject: str, text: str, wish: Intent | None
):
    assert understood(message(text, subject=subject)).intent is wish


@pytest.mark.parametrize(
    ("said", "wish"),
    [
        ("pause", Intent.PAUSE),
        ("Please pause my subscription", Intent.PAUSE),
        ("暂停", Intent.PAUSE),
        ("resume", Intent.RESUME),
        ("Fortsetzen bitte", Intent.RESUME),
        ("help", Intent.HELP),
        ("Hilfe!", Intent.HELP),
        ("Aide", Intent.HELP),
    ],
)
def test_other_commands_work_the_same_way(said: str, wish: Intent):
    assert understood(message(said)).intent is wish


@pytest.mark.parametrize("tongue", TONGUES, ids=lambda tongue: tongue.code)
def test_17_an_absence_notice_is_never_obeyed(tongue: Tongue):
    assert understood(message("Unsubscribe", subject=tongue.away)).kind is ReplyKind.AUTOMATIC


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "auto-generated; owner=x"},
        {"Precedence": "bulk"},
        {"Precedence": "auto_reply"},
        {"List_Id": "<x.example.org>"},
        {"List_Unsubscribe": "<mailto:x@example.org>"},
        {"X_Autoreply": "yes"},
        {"X_Autorespond": "yes"},
    ],
    ids=str,
)
def test_17_what_a_machine_wrote_is_never_obeyed(headers: dict[str, str]):
    assert understood(message("Unsubscribe", **headers)).kind is ReplyKind.AUTOMATIC


def test_17_suppressing_auto_replies_is_no_sign_of_one():
    raw = message("Unsubscribe", X_Auto_Response_Suppress="All", Auto_Submitted="no")
    assert understood(raw).intent is Intent.UNSUBSCRIBE


def test_17_our_own_mail_coming_back_is_never_obeyed():
    raw = message("unsubscribe").replace(b"ann@example.com", SENDER.email.encode())
    assert understood(raw).kind is ReplyKind.AUTOMATIC


def report(kind: str) -> bytes:
    return (
        f'From: MAILER-DAEMON@example.com\r\nContent-Type: multipart/report; report-type="{kind}";'
        ' boundary="b"\r\n\r\n--b\r\n\r\nunsubscribe\r\n--b--\r\n'
    ).encode()


def test_17_bounces_and_feedback_reports_are_told_apart():
    assert understood(report("delivery-status")).kind is ReplyKind.BOUNCE
    assert understood(report("feedback-report")).kind is ReplyKind.COMPLAINT
    assert understood(message("unsubscribe"), envelope_from="<>").kind is ReplyKind.BOUNCE
    assert understood(report("delivery-status"), leaving=True).kind is ReplyKind.BOUNCE


def test_mail_to_the_leaving_address_leaves_whatever_it_says():
    for raw in (
        message(""),
        message("whatever", subject="hello"),
        message("x", Auto_Submitted="auto-generated", Precedence="bulk"),
    ):
        reply = understood(raw, leaving=True)
        assert (reply.kind, reply.command) == (ReplyKind.COMMAND, Command(Intent.UNSUBSCRIBE))


def malicious_mails() -> dict[str, bytes]:
    head = b"From: a@example.com\r\nContent-Type: "
    part = b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    address = SENDER.email.encode()
    return {
        "long attribution": message("On " + "a " * 20_000 + "\nwrote"),
        "attribution lines": message("\n".join(["On a b c " + SENDER.email] * 20_000)),
        "one long line": head + b"text/plain\r\n\r\n" + b"x" * 1_000_000,
        "spaces": head + b"text/plain\r\n\r\n" + b" " * 1_000_000 + b"x",
        "polite": message("please " * 200_000),
        "nested parts": head + b"multipart/mixed; boundary=b\r\n\r\n" + part * 100_000,
        "many parts": head + b"multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000,
        "many headers": b"X-A: b\r\n" * 10_000 + b"\r\nunsubscribe",
        "endless header": b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\r\n\r\nx",
        "endless recipients": b"From: " + b"<" * 500_000 + b"\r\n\r\nx",
        "deep html": head + b"text/html\r\n\r\n" + b"<div>" * 200_000,
        "open tags": head + b"text/html\r\n\r\n" + b"<a <a <a " * 100_000,
        "comments": head + b"text/html\r\n\r\n" + b"<!--" * 200_000,
        "entities": head + b"text/html\r\n\r\n" + b"&a" * 300_000,
        "bad base64": head
        + b"text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + b"A=" * 10**6,
        "our address": head + b"text/plain\r\n\r\n" + address * 50_000,
        "zip bomb": head
        + b"multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/zip\r\n"
        + b"Content-Disposition: attachment\r\n\r\n"
        + b"PK" * 5_000_000,
        "nothing": b"",
        "zeros": b"\0" * 1_000_000,
    }


@pytest.mark.parametrize("name", malicious_mails())
def test_16_a_malicious_mail_is_parsed_quickly(name: str):
    raw = malicious_mails()[name]
    started = time.thread_time()
    understood(raw)
    seconds = time.thread_time() - started
    tracemalloc.start()  # It makes everything thrice as slow.
    understood(raw)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 4
    assert most < 4 * len(raw) + 20_000_000


@given(st.binary(max_size=400))
def test_16_no_bytes_make_reading_fail(raw: bytes):
    understood(raw)


@given(st.text(max_size=300))
def test_16_no_text_makes_reading_fail(text: str):
    extract_new_text(text, OURS)
    parse_intent(text)
    assert plain(plain(text)) == plain(text)
    html_to_text(text)


@pytest.mark.parametrize(
    "address", [SENDER.email, f"https://{OURS[2]}/archive/", f"<{TO}>"], ids=["from", "page", "to"]
)
def test_15_a_line_that_merely_names_our_address_is_the_readers(address: str):
    """It introduces no original: no colon ends it, and no date is in it."""
    above = f"I wrote to {address} already.\nunsubscribe"
    assert extract_new_text(above, OURS).lines == tuple(above.splitlines())
    below = f"unsubscribe\nI wrote to {address} already."
    assert extract_new_text(below, OURS).lines == tuple(below.splitlines())


@pytest.mark.parametrize(
    ("text", "new"),
    [
        (f"yes\n{SENDER.email} wrote:\nunsubscribe", ("yes",)),
        (f"yes\nAnn and\n{SENDER.email} wrote:\nunsubscribe", ("yes", "Ann and")),
        ("yes\nbob@example.org wrote:\nagain", ("yes", "bob@example.org wrote:", "again")),
        ("yes\n23.09.2025 bob@example.org wrote:\nold", ("yes",)),
        ("yes\n23.09.2025 07:00 Bob wrote:\nold", ("yes",)),
        ("yes\n23/09/2025 Bob wrote:\nold", ("yes", "23/09/2025 Bob wrote:", "old")),
    ],
)
def test_15_an_attribution_has_a_colon_and_says_whose_or_when(text: str, new: tuple[str, ...]):
    assert extract_new_text(text, OURS).lines == new


@pytest.mark.parametrize(
    "said",
    [
        "please take me off this\nlist",
        "please remove me from\nyour mailing\nlist",
        "I would like to unsubscribe from\nthis newsletter.\nThanks,\nAnn",
        "Hello arXiv digest\nplease remove me from\nthe list",
    ],
)
def test_15_a_line_broken_by_a_mail_program_is_whole_again(said: str):
    assert understood(message(said)).intent is Intent.UNSUBSCRIBE


@pytest.mark.parametrize(
    ("said", "wish"),
    [
        # It goes on: what is broken off denies, or is about somebody else.
        ("unsubscribe\nmy colleague, not me", None),
        ("stop\nthe presses for this one", None),
        # A line that ends, or one that begins anew, is one of its own.
        ("unsubscribe.\nmy colleague will stay", Intent.UNSUBSCRIBE),
        ("unsubscribe\nMy colleague will stay", Intent.UNSUBSCRIBE),
        ("unsubscribe\nthanks", Intent.UNSUBSCRIBE),
        ("thanks\nunsubscribe", Intent.UNSUBSCRIBE),
        ("hi team\nunsubscribe", Intent.UNSUBSCRIBE),
    ],
)
def test_15_only_what_goes_on_is_put_together(said: str, wish: Intent | None):
    assert understood(message(said)).intent is wish


def test_15_a_rejoined_line_is_handed_on_whole():
    reply = understood(message("My colleagues and I have read the third\npaper with much joy"))
    assert reply.text == "My colleagues and I have read the third paper with much joy"


@pytest.mark.parametrize("end", [".", ",", ")", ":", " -"])
def test_15_a_line_with_a_mark_at_its_end_is_not_gone_on_with(end: str):
    said = f"My colleagues and I have read all of the third paper{end}\nand liked it very much"
    assert understood(message(said)).text == said


LETTER = "I have read the third paper with my group, and all of us liked it very much indeed"


@pytest.mark.parametrize(
    ("said", "kind", "may_unsubscribe"),
    [
        (LETTER, ReplyKind.OTHER, False),
        (f"{LETTER}, yet we might unsubscribe in spring", ReplyKind.REVIEW, True),
        ("Nice", ReplyKind.REVIEW, False),
        # Where no spaces part the words, two letters count as one, or four of Thai.
        ("今日の論文はとても面白かったです" * 2, ReplyKind.OTHER, False),
        ("今日の論文はとても面白かったです" * 2 + "X", ReplyKind.OTHER, False),
        ("今日の論文は面白い", ReplyKind.REVIEW, False),
        ("ขอบใจมากเลย" * 6, ReplyKind.OTHER, False),
        ("a" * 300, ReplyKind.REVIEW, False),
    ],
)
def test_15_a_long_letter_is_one_and_a_short_one_is_for_review(
    said: str, kind: ReplyKind, *, may_unsubscribe: bool
):
    reply = understood(message(said))
    assert (reply.kind, reply.may_unsubscribe) == (kind, may_unsubscribe)


def in_two_parts(text: str, html: str) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["Subject"] = SENDER_OF_REPLY, "Re: arXiv digest"
    mail.set_content(text)
    mail.add_alternative(f"<p>{html}</p>", subtype="html")
    return mail.as_bytes()


def test_15_the_html_part_counts_only_where_the_text_part_says_nothing():
    assert understood(in_two_parts("unsubscribe", "nice")).intent is Intent.UNSUBSCRIBE
    assert understood(in_two_parts("nice", "unsubscribe")).intent is None
    assert understood(in_two_parts("", "unsubscribe")).intent is Intent.UNSUBSCRIBE
    assert understood(in_two_parts("Thanks!", "unsubscribe")).intent is Intent.UNSUBSCRIBE


@pytest.mark.parametrize(
    ("said", "wish"),
    [
        ("Pause. I am away.", Intent.PAUSE),
        ("Stop. Hammer time.", None),
        ("Stop. Thanks.", Intent.UNSUBSCRIBE),
        ("Unsubscribe. I have retired.", Intent.UNSUBSCRIBE),
        ("Unsubscribe\nNo, not me.", None),
        ("Unsubscribe\nReally?", None),
    ],
)
def test_15_what_follows_a_command_may_take_it_back(said: str, wish: Intent | None):
    assert understood(message(said)).intent is wish


@pytest.mark.parametrize("subject", ["unsubscribe?", "Fwd: unsubscribe me", "Re: unsubscribe?"])
def test_15_a_subject_that_asks_or_is_handed_on_is_no_command(subject: str):
    assert understood(message("", subject=subject)).intent is None


@pytest.mark.parametrize(
    "said",
    ["I have read it all today\nthanks", "thanks\nit was good to read", "hi arxiv\nit was good"],
)
def test_15_thanks_and_greetings_stay_lines_of_their_own(said: str):
    assert understood(message(said)).text == said
