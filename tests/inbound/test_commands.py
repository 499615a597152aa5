"""Commands with arguments: which lines are one, and which replies are not acted on."""

# ruff: noqa: RUF001 - readers write in their own scripts

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scenarios.mail_replies import (
    CORPUS,
    MeasuredCommands,
    acted_on_real_replies,
    corpus_layouts,
    measure_commands,
    own_layouts,
    unclear,
)
from newsletter.domain.votes import Vote
from newsletter.inbound.commands import MAX_VOTES, Command, PaperVote, parse_command
from newsletter.inbound.intents import Intent
from newsletter.inbound.mime import parse_mail
from newsletter.inbound.reply_parser import ParsedReply, ReplyKind, parse_reply
from tests.fakes.replies import DIGEST, OURS, PUT_OTHERWISE, TONGUES, WISHES, message, quoted


def understood(text: str, **options) -> ParsedReply:
    return parse_reply(parse_mail(message(text, **options)), "ann@example.com", OURS)


def votes(*papers: str) -> Command:
    """`+3` and `-2509.12345`"""
    given_votes = (PaperVote(one[1:], Vote.MORE if one[0] == "+" else Vote.LESS) for one in papers)
    return Command(Intent.VOTE, votes=tuple(given_votes))


def pause(days: int) -> Command:
    return Command(Intent.PAUSE, days=days)


def why(paper: str) -> Command:
    return Command(Intent.WHY, paper=paper)


UNDERSTOOD = {
    "pause": Command(Intent.PAUSE),
    "pause 2 weeks": pause(14),
    "Please pause for a month.": pause(30),
    "pause my subscription for the next 10 days": pause(10),
    "pausieren für zwei Wochen": pause(14),
    "pauzeer voor 3 weken": pause(21),
    "pausa 2 veckor": pause(14),
    "mettre en pause pendant 2 semaines": pause(14),
    "pausar por dos semanas": pause(14),
    "pausar durante 1 mês": pause(30),
    "sospendi per 2 settimane": pause(14),
    "wstrzymaj na 2 tygodnie": pause(14),
    "pozastavit na 2 týdny": pause(14),
    "пауза на 2 недели": pause(14),
    "暂停2周": pause(14),
    "2週間一時停止": pause(14),
    "일시정지 2주": pause(14),
    "pause 2 uker": pause(14),
    "tauko 2 viikkoa": pause(14),
    "пауза на 3 тижні": pause(21),
    "duraklat 2 hafta": pause(14),
    "szünet 2 hét": pause(14),
    "pauză 2 săptămâni": pause(14),
    "παύση για 2 εβδομάδες": pause(14),
    "השהה 2 שבועות": pause(14),
    "tạm dừng 2 tuần": pause(14),
    "หยุดชั่วคราว 2 สัปดาห์": pause(14),
    "jeda selama 2 minggu": pause(14),
    "+3": votes("+3"),
    "+3 -7": votes("+3", "-7"),
    "+3, −7": votes("+3", "-7"),
    "＋3 –7": votes("+3", "-7"),
    "+3 +3": votes("+3"),
    "+03": votes("+3"),
    "+2509.12345": votes("+2509.12345"),
    "more like 3": votes("+3"),
    "More papers like #3 and 5, less like 7, please!": votes("+3", "+5", "-7"),
    "less like no. 7": votes("-7"),
    "I'd want more like arXiv:2509.12345v2": votes("+2509.12345"),
    "mehr wie 3, weniger wie 7": votes("+3", "-7"),
    "meer zoals 3": votes("+3"),
    "mindre som 7": votes("-7"),
    "plus comme 3, moins comme 7": votes("+3", "-7"),
    "más como 3 y 5": votes("+3", "+5"),
    "menos como 7": votes("-7"),
    "più come 3": votes("+3"),
    "więcej takich jak 3": votes("+3"),
    "méně jako 7": votes("-7"),
    "больше таких как 3": votes("+3"),
    "更多像3这样的论文": votes("+3"),
    "7のような論文を減らして": votes("-7"),
    "3 같은 것 더, 7 같은 것 덜": votes("+3", "-7"),
    "daha fazla 3 gibi": votes("+3"),
    "เพิ่มแบบ 3": votes("+3"),
    "why not 2509.12345": why("2509.12345"),
    "Why not arXiv:2509.12345v2?": why("2509.12345"),
    "why was 2509.12345 not included?": why("2509.12345"),
    "Warum nicht https://arxiv.org/abs/2509.12345": why("2509.12345"),
    "pourquoi pas 2509.12345 ?": why("2509.12345"),
    "为什么没有2509.12345": why("2509.12345"),
    "왜 2509.12345?": why("2509.12345"),
    'Why not "Cold stars in warm rooms"?': why("Cold stars in warm rooms"),
    "weekly": Command(Intent.WEEKLY),
    "Make it weekly, please": Command(Intent.WEEKLY),
    "once a week": Command(Intent.WEEKLY),
    "wöchentlich": Command(Intent.WEEKLY),
    "毎週": Command(Intent.WEEKLY),
    "еженедельно": Command(Intent.WEEKLY),
    "daily": Command(Intent.DAILY),
    "tous les jours": Command(Intent.DAILY),
    "jeden Tag": Command(Intent.DAILY),
    "resume": Command(Intent.RESUME),
    "hjelp": Command(Intent.HELP),
    "unsubscribe": Command(Intent.UNSUBSCRIBE),
    "unsubscribe all": Command(Intent.UNSUBSCRIBE_ALL),
    "Please remove me from all your lists.": Command(Intent.UNSUBSCRIBE_ALL),
    "Bitte von allem abmelden": Command(Intent.UNSUBSCRIBE_ALL),
    "désabonner de tout": Command(Intent.UNSUBSCRIBE_ALL),
    "退订全部": Command(Intent.UNSUBSCRIBE_ALL),
}
NOT_UNDERSTOOD = [
    "pause 400 days",
    "pause 0 days",
    "pause 2 weeks 3 days",
    "pause until my paper is out",
    "pause 2",
    "2 weeks",
    "I will pause 2 weeks before the deadline",
    "don't pause 2 weeks",
    "I read the weekly one",
    "Weekly. Monthly would be better still.",
    "the weekly digest of last Friday was great",
    "daily life is hard",
    "weekly?",
    "+3 -3",
    "+0",
    "+3-7",
    "3-7",
    "3 7",
    "- 3",
    "+1234",
    "+49 170 1234567",
    "+1 (617) 253-1000",
    "-7 °C here today",
    "+3 is wrong about the metallicity",
    "no more like 3",
    "not more like 3",
    "never less like 3",
    "more like 3 hours",
    "I have more like 3 students",
    "it's more like 3, or is it?",
    "more 3",
    "more like this",
    "more like 3 less",
    "like 3",
    "why not?",
    "why 3",
    "why not 2509.12345 and 2509.12346",
    "I know why 2509.12345 is wrong",
    "why did you send me 2509.12345 twice",
    "help 3",
    "Can you help with my rubric",
    "unsubscribe all my colleagues",
    " ".join(f"+{n}" for n in range(1, 10_000)),
    " ".join(f"+{n}" for n in range(1, MAX_VOTES + 2)),
    "more like " + ", ".join(map(str, range(1, 10_000))),
    "pause " + "9" * 390 + " days",
]


@pytest.mark.parametrize("said", UNDERSTOOD)
def test_a_command_is_understood_with_its_arguments(said: str):
    reply = understood(f"{said}\n\n{TONGUES[0].gmail}\n{quoted(DIGEST)}")
    assert (reply.kind, reply.command) == (ReplyKind.COMMAND, UNDERSTOOD[said])
    assert reply.intent is UNDERSTOOD[said].intent


@pytest.mark.parametrize("said", NOT_UNDERSTOOD, ids=lambda said: said[:40])
def test_other_replies_are_never_acted_on(said: str):
    reply = understood(f"{said}\n\n{TONGUES[0].gmail}\n{quoted(DIGEST)}")
    assert reply.command is None
    assert reply.kind in {ReplyKind.REVIEW, ReplyKind.OTHER}


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("+3\n-7", votes("+3", "-7")),
        ("+3\n\nmore like 5\nless like 7", votes("+3", "+5", "-7")),
        ("Hi,\n\n+3\nThanks,\nAnn", votes("+3")),
        ("+3\nThat one was great.", votes("+3")),
        ("+3\nThat one was great.\n-7", None),
        ("+3\n-3", None),
        ("+3\nunsubscribe", None),
        ("pause 2 weeks\nhelp", None),
        ("unsubscribe\nweekly", None),
        ("weekly\nbut not on Fridays", None),
        ("weekly\n\nAnn\nInstitute of Physics", Command(Intent.WEEKLY)),
        ("daily\nReally?", None),
    ],
)
def test_lines_below_a_command_add_votes_or_take_it_back(said: str, command: Command | None):
    assert understood(said).command == command


def test_a_command_in_a_quoted_line_is_none():
    for line in ("+3 -7", "weekly", "unsubscribe all", "pause 2 weeks"):
        assert understood(f"Nice one.\n\n> {line}\n").command is None
        assert understood(f"> {line}\n").command is None
        assert understood(f"{TONGUES[0].gmail}\n{quoted(line)}\n\nNice one.").command is None


@pytest.mark.parametrize(
    ("subject", "command"),
    [
        ("pause 2 weeks", pause(14)),
        ("why not 2509.12345?", why("2509.12345")),
        ("Re: weekly", None),
        ("Fwd: +3 -7", None),
        ("weekly?", None),
    ],
)
def test_a_command_as_subject(subject: str, command: Command | None):
    assert understood("", subject=subject).command == command


@pytest.mark.parametrize("said", ["+3 -7", "weekly", "pause 2 weeks", "why not 2509.12345", "help"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Precedence": "bulk"},
        {"Precedence": "list"},
        {"List_Id": "<x.example.org>"},
        {"X_Autoreply": "yes"},
        {"subject": "Out of office: back on Monday"},
        {"subject": "Automatische Antwort: Urlaub"},
    ],
    ids=str,
)
def test_a_machine_is_never_obeyed(said: str, headers: dict[str, str]):
    reply = understood(said, **headers)
    assert (reply.kind, reply.command) == (ReplyKind.AUTOMATIC, None)


@pytest.mark.parametrize(
    "said",
    [
        "I am out of the office for 2 weeks and will pause my mail. Daily business: Bob.",
        "Ich bin für 2 Wochen im Urlaub und lese täglich keine Mails.",
        "Thank you for your message. I am away until Monday.\nFor help call +49 30 1234567.",
        "Your message has been received. Ticket +3 -7 was opened, daily support answers.",
    ],
)
def test_an_absence_note_without_its_headers_is_not_acted_on(said: str):
    assert understood(said).command is None


def test_no_real_reply_of_other_people_is_acted_on():
    acted, replies = acted_on_real_replies()
    if not replies:
        pytest.skip(f"{CORPUS.name} is not beside the project")
    assert (acted, replies) == ([], 94)


def test_no_sentence_about_unsubscribing_is_another_command():
    others = {Intent.WEEKLY, Intent.DAILY, Intent.VOTE, Intent.WHY, Intent.PAUSE, Intent.HELP}
    commands = [parse_command(said) for said in (*unclear(), *WISHES, *PUT_OTHERWISE)]
    assert others.isdisjoint(one.intent for one in commands if one)


def assert_bounds(found: MeasuredCommands) -> None:
    assert found.wrong == []
    assert len(found.undone) <= 0.03 * found.done, found.undone


def test_commands_are_understood_in_the_layouts_of_mail_programs():
    assert_bounds(measure_commands(own_layouts()[::3]))


def test_commands_are_understood_in_public_layouts():
    if not CORPUS.exists():
        pytest.skip(f"{CORPUS.name} is not beside the project")
    assert_bounds(measure_commands(corpus_layouts()[::3]))


HOSTILE = {
    "signed numbers": "+3 " * 80_000,
    "numbers": "more like " + "3, " * 80_000,
    "lines of votes": "+3\n" * 80_000,
    "lines of numbers": "\n".join(f"+{n}" for n in range(80_000)),
    "ids": "why not " + "2509.12345 " * 20_000,
    "pauses": "pause " + "2 weeks " * 30_000,
    "whys": "why not " * 30_000,
    "all": "unsubscribe " + "all " * 60_000,
    "just short enough": ("more like " + "3 and " * 100)[:399],
    "digits": "1" * 399,
    "spans": ("pause " + "a " * 300)[:399],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_line_takes_long_and_none_is_acted_on(name: str):
    raw = message(HOSTILE[name])
    started = time.thread_time()
    reply = parse_reply(parse_mail(raw), "ann@example.com", OURS)
    assert time.thread_time() - started < 4
    assert reply.command in (None, votes("+3"))


@given(st.text(alphabet="+-0123456789., #likemoresand\n", max_size=300))
def test_no_text_makes_parsing_fail(text: str):
    understood(text)
    parse_command(text)
