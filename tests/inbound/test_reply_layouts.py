"""Replies as mail programs lay them out: what is new is found, and nobody leaves who did not ask.

Each of these was red before the reader's text was looked for on both sides of a quotation.
"""

# ruff: noqa: RUF001 - readers write in their own scripts

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.scenarios.mail_replies import CORPUS, Measured, corpus_layouts, measure, own_layouts
from newsletter.domain.model import DayKind
from newsletter.inbound.intents import Intent
from newsletter.inbound.mime import parse_mail
from newsletter.inbound.new_text import extract_new_text
from newsletter.inbound.reply_parser import ReplyKind, parse_reply
from newsletter.render.paper_view import entries
from newsletter.render.summary import subject
from tests.fakes.mail import SENDER
from tests.fakes.replies import DIGEST, OURS, US, WISHES, message, quoted
from tests.render.gallery.issues import RUBRIC, digest, pick

SAMPLES = Path(__file__).parents[3] / "shared" / "corpus" / "replies"
MIXED = Path(__file__).parents[1] / "data" / "replies" / "mixed.json"
MORE = Path(__file__).parents[1] / "data" / "replies" / "more.tsv"
NAMED = "On 9/23/25 07:00, arXiv Digest wrote:"
WHOLE = f"On 23 Sep 2025, at 07:00, {SENDER.name} <{SENDER.email}> wrote:"
LONG = quoted(
    "\n".join(f"{n}. A paper about cold stars, and what they are not" for n in range(400))
)


def understood(text: str, **options):
    return parse_reply(parse_mail(message(text, **options)), "ann@example.com", OURS)


def assert_bounds(found: Measured) -> None:
    assert found.wrong == []
    assert found.lost == []
    assert found.done >= 0.85, found.undone


def test_wishes_are_understood_in_the_layouts_of_mail_programs():
    layouts = own_layouts()
    assert len(layouts) >= 80
    assert_bounds(measure(layouts[::4], every=30))


def test_wishes_are_understood_in_public_layouts():
    if not CORPUS.exists():
        pytest.skip(f"{CORPUS.name} is not beside the project")
    assert_bounds(measure(corpus_layouts()[::4], every=30))


def test_mixed_replies_that_were_written_before_they_were_measured():
    """Languages, programs, signatures, disclaimers, forwards and jokes; first measured in one go:
    73 of 82 wishes done, 9 in review, none lost, and one of 30 others obeyed (docs/delivery.md).
    """
    page = DIGEST.replace("\n", "<br>\n")
    values = {"{Q}": quoted(DIGEST), "{H}": page, "{D}": DIGEST, "{US}": US, "{A}": SENDER.email}
    found: dict[tuple[str, str], list[str]] = {}
    for one in json.loads(MIXED.read_text(encoding="utf-8")):
        body = one["body"]
        for name, value in values.items():
            body = body.replace(name, value)
        reply = understood(body, html=one["html"], subject=one["subject"])
        outcome = "done" if reply.intent is Intent.UNSUBSCRIBE else str(reply.kind)
        found.setdefault((one["want"], outcome), []).append(one["body"])
    assert {outcome for want, outcome in found if want == "leave"} <= {"done", "review"}
    assert len(found["leave", "done"]) >= 78
    assert {outcome for want, outcome in found if want == "stay"} <= {"review", "other"}


@pytest.mark.parametrize("name", ["bottom-posted-long-quote", "bottom-posted-name-only"])
def test_a_sample_of_a_real_mail_program_is_understood(name: str):
    path = SAMPLES / f"{name}.eml"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the project")
    reply = parse_reply(
        parse_mail(path.read_bytes()), "ada@example.com", ["digest@news.example.org"]
    )
    assert (reply.kind, reply.intent, reply.text) == (
        ReplyKind.COMMAND,
        Intent.UNSUBSCRIBE,
        "unsubscribe",
    )


@pytest.mark.parametrize(
    "text",
    [
        f"{NAMED}\n{quoted(DIGEST)}\n\nunsubscribe\n",
        f"{NAMED}\n{LONG}\n\nunsubscribe\n",
        f"unsubscribe\n{WHOLE}\n{quoted(DIGEST)}",
        f"unsubscribe\n{NAMED}\n{LONG}",
        f"unsubscribe\n\nSomebody Else\nwrote on Tuesday:\n{LONG}",
        f"> {WHOLE}\n{LONG}\nunsubscribe",
    ],
    ids=["name only", "long quote", "no blank line", "long quote below", "wrapped", "glued"],
)
def test_what_is_new_is_found_on_either_side_of_the_quotation(text: str):
    reply = understood(text)
    assert (reply.kind, reply.intent) == (ReplyKind.COMMAND, Intent.UNSUBSCRIBE)
    assert "wrote" not in reply.text
    assert "unsubscribe" in reply.text


def test_a_wish_that_ends_in_a_colon_is_no_attribution():
    assert understood(f"Please unsubscribe me from this:\n{LONG}").intent is Intent.UNSUBSCRIBE


@pytest.mark.parametrize("said", ["don't", "No wait, I changed my mind, so please keep me on it."])
@pytest.mark.parametrize("glued", [f"> {WHOLE}", f" {WHOLE}", " wrote:"])
def test_what_runs_into_an_attribution_does_not_vanish(said: str, glued: str):
    assert understood(f"unsubscribe\n\n{said}{glued}\n{LONG}").kind is ReplyKind.REVIEW


@pytest.mark.parametrize(
    "below",
    ["no wait, please keep me on it", "but only for the Friday one", "or is that too much?"],
)
def test_what_stands_below_the_quotation_can_take_a_wish_back(below: str):
    reply = understood(f"unsubscribe\n\n{WHOLE}\n{LONG}\n\n{below}\n")
    assert reply.kind is ReplyKind.REVIEW
    assert reply.text.split("\n") == ["unsubscribe", "", "", below]


def test_a_wish_below_a_letter_goes_to_a_person():
    letter = "A long letter about many things that were read and liked in the last few weeks."
    reply = understood(f"{letter}\n\n{WHOLE}\n{LONG}\n\nunsubscribe\n")
    assert (reply.kind, reply.may_unsubscribe) == (ReplyKind.REVIEW, True)


def test_where_the_text_part_says_nothing_new_the_html_part_is_read():
    raw = message(f"{NAMED}\n{quoted(DIGEST)}\n").replace(
        b"Content-Type: text/plain",
        b'Content-Type: multipart/alternative; boundary="b"\r\nX-Old: x',
    )
    head, _, body = raw.partition(b"\r\n\r\n")
    html = b"<blockquote>unsubscribe never</blockquote><p>unsubscribe</p>"
    parts = (b"text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + body, html)
    sent = b"".join(
        b"\r\n--b\r\nContent-Type: " + part for part in (parts[0], b"text/html\r\n\r\n" + parts[1])
    )
    reply = parse_reply(
        parse_mail(head + b"\r\n\r\n" + sent + b"\r\n--b--"), "ann@example.com", OURS
    )
    assert (reply.kind, reply.intent) == (ReplyKind.COMMAND, Intent.UNSUBSCRIBE)


def test_a_corporate_disclaimer_takes_no_wish_back():
    footer = "This e-mail is confidential. If you are not the intended recipient, do not copy it."
    assert understood(f"Please unsubscribe me.\n\nAnn\n\n{footer}").intent is Intent.UNSUBSCRIBE
    own = "but please keep sending me the confidential papers of my colleague"
    assert understood(f"Please unsubscribe me.\n\n{own}").kind is ReplyKind.REVIEW


def test_few_words_are_for_review_and_more_are_a_letter():
    assert understood("Ta meg bort herfra").kind is ReplyKind.REVIEW
    assert understood("Out").kind is ReplyKind.REVIEW
    assert understood(" ".join(["wonderful"] * 12)).kind is ReplyKind.REVIEW
    assert understood(" ".join(["wonderful"] * 13)).kind is ReplyKind.OTHER
    assert understood("今日の論文は面白かったです。").kind is ReplyKind.REVIEW


@pytest.mark.parametrize("kind", DayKind)
def test_a_subject_that_we_sent_makes_no_reply_automatic(kind: DayKind):
    picks = (pick(), pick(2)) if kind is DayKind.NORMAL else ()
    rubric = replace(RUBRIC, title="Auto-ML")
    issue = digest(picks, kind=kind, rubric=rubric)
    sent = subject(issue, entries(picks, judged=True))
    assert understood("unsubscribe", subject=sent).intent is Intent.UNSUBSCRIBE, sent
    assert understood("unsubscribe", subject="Auto: away").kind is ReplyKind.AUTOMATIC


def test_sentences_of_the_newer_languages_that_were_written_after_their_words():
    """The first time 39 of 42 wishes were done, and one of the others was obeyed: a question."""
    rows = [line.partition("\t") for line in MORE.read_text(encoding="utf-8").splitlines()]
    kinds = {(want, said): understood(said).kind for want, _, said in rows}
    assert {kind for (want, _), kind in kinds.items() if want == "stay"} == {ReplyKind.REVIEW}
    done = [
        said for (want, said), kind in kinds.items() if (want, kind) == ("leave", ReplyKind.COMMAND)
    ]
    assert len(done) >= 40


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Hello arXiv digest\nPlease unsubscribe me", ReplyKind.COMMAND),
        ("Hi do not\nUnsubscribe me", ReplyKind.REVIEW),
        ("unsubscribe, unsubscribe", ReplyKind.COMMAND),
        ("Please unsubscribe ann@example.com", ReplyKind.COMMAND),
        ("Please unsubscribe bob@example.com", ReplyKind.REVIEW),
        ("Stop. Hammer time.", ReplyKind.REVIEW),
    ],
)
def test_greetings_repetitions_and_ones_own_address(said: str, kind: ReplyKind):
    assert understood(said).kind is kind


@pytest.mark.parametrize("said", ["un-subscribe", "Please un subscribe me", "UN-SUBSCRIBE!"])
def test_unsubscribe_in_two_words(said: str):
    assert understood(said).intent is Intent.UNSUBSCRIBE


@pytest.mark.parametrize("said", WISHES)
def test_a_plain_wish_in_every_language(said: str):
    assert understood(said).intent is Intent.UNSUBSCRIBE


@pytest.mark.parametrize(
    "said",
    [
        "Ikke meld meg av",
        "Älkää poistako minua listalta",
        "Не відписуйте мене",
        "Beni listeden çıkarmayın",
        "Ne töröljenek a listáról",
        "Nu mă dezabonați",
        "Μην με διαγράψετε",
        "אל תסירו אותי",
        "لا تحذفوني من القائمة",
        "Đừng hủy đăng ký",
        "อย่ายกเลิกการสมัคร",
        "Jangan hapus saya dari daftar",
        "मुझे सूची से मत हटाएं",
        "Meld av kollegaen min",
        "Aboneliğimi neden iptal ettiniz?",
        "Tolong hapus teman saya dari daftar",
    ],
)
def test_a_denied_wish_is_none_in_the_newer_languages_either(said: str):
    assert understood(said).kind is ReplyKind.REVIEW


@pytest.mark.parametrize(
    "said",
    ["delete my data", "Please delete all my personal data.", "Bitte löschen Sie meine Daten"],
)
def test_who_wants_their_data_deleted_is_understood_and_left_to_a_person(said: str):
    reply = understood(said)
    assert (reply.kind, reply.intent) == (ReplyKind.REVIEW, Intent.ERASE)
    assert understood("", subject=said).intent is Intent.ERASE


def test_the_text_below_a_quotation_in_html_is_read():
    body = (
        '<div class="gmail_quote"><div class="gmail_attr">On Tuesday somebody wrote:</div>'
        "<blockquote>unsubscribe never</blockquote><div>Unsubscribe</div></div>"
    )
    assert understood(body, html=True).intent is Intent.UNSUBSCRIBE
    forwarded = '<p>FYI</p><div class="gmail_quote">Forwarded<br>unsubscribe</div>'
    assert understood(forwarded, html=True).text.strip() == "FYI"


HOSTILE = {
    "colons": "a:\n" * 80_000,
    "labels": "From: a\nSent: 2025 7:00\n" * 20_000,
    "dates": "2025 2025 1.1.25 " * 15_000,
    "rule": "-" * 250_000 + "x",
    "rules": "--a" * 80_000,
    "addresses": ("a" * 99 + "@" + "b" * 99 + " ") * 1200,
    "quotes between": "x:\n> y\n" * 30_000,
    "quoted": "> y\n" * 80_000 + "unsubscribe",
    "spaces": (" " * 999 + "\n") * 250,
    "footnotes": "confidential not\n\n" * 15_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_16_no_layout_takes_long(name: str):
    raw = message(HOSTILE[name])
    started = time.thread_time()
    parse_reply(parse_mail(raw), "ann@example.com", OURS)
    assert time.thread_time() - started < 4


def test_16_no_html_takes_long():
    nested = '<div class="gmail_quote"><blockquote>a</blockquote>' * 4000
    started = time.thread_time()
    parse_reply(parse_mail(message(nested, html=True)), "ann@example.com", OURS)
    assert time.thread_time() - started < 4


def test_new_text_is_cut_in_its_middle():
    text = "\n".join(f"line {number}" for number in range(200))
    lines = extract_new_text(text, OURS).lines
    assert (len(lines), lines[0], lines[-1]) == (80, "line 0", "line 199")
