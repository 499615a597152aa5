"""Classify a reply: command, review, personal mail, automatic reply, bounce or complaint (pure).

`inbound/new_text.py` extracts what the reader wrote. A command counts only when it is the whole
first line. Other text that may ask to unsubscribe, and all short text, is queued for review; the
rest is personal mail for the operator.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import TYPE_CHECKING

from newsletter.inbound.commands import Command, merge_votes, parse_command
from newsletter.inbound.intents import DENIAL, STEMS, WEAK, Intent, is_polite_request, parse_intent
from newsletter.inbound.mime import html_to_text
from newsletter.inbound.new_text import (
    ADDRESS,
    NewText,
    extract_new_text,
    has_content,
    mentions,
    own_lines,
    strip_footnotes,
)
from newsletter.inbound.normalize import (
    GREETING,
    MAX_GREETED_WORDS,
    is_closing,
    is_pleasantry,
    plain,
    strip_pleasantries,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.inbound.mime import ParsedMail

SHORT = 160
FEW_WORDS = 12
"""Up to so many unknown words are queued for review: an unusual request is as short."""
UNSPACED = (("\u0e00", "\u0eff", 4), ("\u3040", "\u9fff", 2))
"""Thai and its like, and Chinese and Japanese part no words by spaces."""
MAX_WORD_LETTERS = 1000
OWN_ADDRESS = "my email"
STATE = re.compile(r"\b[A-Z]{2} \d{4,5}\b")
"""`MA 02139` in an address; `ma` denies in Italian."""


class ReplyKind(StrEnum):
    """What becomes of a mail that came in."""

    COMMAND = "command"
    """A clear command: it is done at once."""
    REVIEW = "review"
    """May ask to leave, or is too short to tell: a person decides."""
    OTHER = "other"
    """Personal mail for the operator."""
    AUTOMATIC = "automatic"
    """An absence notice or another machine: neither executed nor answered."""
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    """A feedback report (RFC 5965): it counts as leaving."""


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """`may_unsubscribe`: it may ask to leave, so that its writer is told how to.

    `command` has the arguments of the intent.
    """

    kind: ReplyKind
    intent: Intent | None = None
    text: str = ""
    may_unsubscribe: bool = False
    command: Command | None = None


AUTOMATIC_SUBJECTS = re.compile(
    r"(?:auto|automatic reply|automatische antwort|automatisch antwoord|autosvar|automatiskt svar"
    r"|out of (?:the )?office|abwesen[a-z]*|reponse automatique|absence|absent du bureau"
    r"|respuesta automatica|fuera de la oficina|resposta automatica|fora do escritorio"
    r"|risposta automatica|fuori sede|fuori ufficio|afwezig|franvaro|odpowiedz automatyczna"
    r"|automaticka odpoved|nepritomnost|автоматическии ответ|автоответ"
    r"|fraværsmelding|automaattinen vastaus|автоматична відповідь|otomatik yanit|otomatik cevap"
    r"|automatikus valasz|raspuns automat|αυτοματη απαντηση|תשובה אוטומטית|رد تلقائي"
    r"|tra loi tu đong|balasan otomatis|自动回复|自動回覆|自動返信|不在通知|자동 회신"
    r"|자동 응답|부재중|undeliverable|delivery status|mail delivery failed"
    r"|returned mail|failure notice)\b"
    r"|自动回复|自動回覆|自動返信|자동"
)
SENT_SUBJECTS = re.compile(
    r"(?:\d papers?|no match in [\d ]+ papers?|arxiv announced nothing|issue will follow"
    r"|it will follow) \d{1,2} "
)
"""Subjects of digests that we sent, after `plain`: a rubric's title may begin like a machine's."""
MACHINES = re.compile(r"(?i)(?:mailer-daemon|postmaster|no-?reply|do-?not-?reply|bounces?)[@+=-]")
CLAUSE = re.compile(r"[.!?;,。！？；，、]+\s*")  # noqa: RUF001 - as they are written
SENTENCE = re.compile(r"(?:[^.!?。！？]|\.(?=\d))*[.!?。！？]*\s*")  # noqa: RUF001 - as they are written
LEAVING = {Intent.UNSUBSCRIBE, Intent.UNSUBSCRIBE_ALL}
SINGLE = {Intent.WEEKLY, Intent.DAILY, Intent.VOTE, Intent.WHY}
"""Commands after which no other sentence may follow on their line."""
FORWARDED = re.compile(r"(?i)\s*(?:re|aw|antw|sv|fwd?|wg|tr|rv|回复|答复|返信|회신)\s*[:：]")  # noqa: RUF001


def parse_reply(
    mail: ParsedMail,
    envelope_from: str,
    our_addresses: Sequence[str],
    *,
    to_unsubscribe_address: bool = False,
) -> ParsedReply:
    """Classify a mail. `our_addresses` are our addresses and hosts: they mark quotations of us.

    `to_unsubscribe_address`: the mail came to the List-Unsubscribe address, to which mail programs
    write by themselves. Any mail to it except a bounce unsubscribes.
    """
    if mail.content_type == "multipart/report" and mail.report_type == "feedback-report":
        return ParsedReply(ReplyKind.COMPLAINT)
    if _is_bounce(mail, envelope_from):
        return ParsedReply(ReplyKind.BOUNCE)
    if to_unsubscribe_address:
        return _command_reply(Command(Intent.UNSUBSCRIBE), "")
    if _is_automatic(mail, our_addresses):
        return ParsedReply(ReplyKind.AUTOMATIC)
    author = ADDRESS.search(mail.header("from"))
    return decide(
        _new_text(mail, our_addresses), mail.header("subject"), author[0] if author else ""
    )


def _new_text(mail: ParsedMail, our_addresses: Sequence[str]) -> NewText:
    """Of the text part, or of the HTML part where the text part says nothing new."""
    new = extract_new_text(mail.text, our_addresses)
    if mail.html and not has_content(new.lines):
        other = extract_new_text(html_to_text(mail.html), our_addresses)
        return other if has_content(other.lines) else new
    return new


def decide(new: NewText, subject: str, author: str = "") -> ParsedReply:
    """What is asked for. `author` is the writer's own address: who names it means themselves."""
    lines = _unwrapped(new.lines)
    said = "\n".join(lines)
    first = next(
        (line for line in lines if not is_pleasantry(line) and not _is_salutation(line)), ""
    )
    command, rest = _parse_command(first.replace(author, OWN_ADDRESS) if author else first)
    others: Sequence[str] = [*lines[lines.index(first) + 1 :], *new.others] if first else []
    if command and command.intent is Intent.VOTE:
        command, others = _with_votes_below(command, others)
    if command and not _is_contradicted(command, rest, strip_footnotes(others)):
        return _command_reply(command, said)
    may_unsubscribe = bool(command) or _may_ask_to_unsubscribe(said)
    by_subject = _subject_command(subject)
    if by_subject and not is_pleasantry(subject) and not may_unsubscribe:
        return _command_reply(by_subject, said)
    may_unsubscribe = may_unsubscribe or bool(
        first and _may_ask_to_unsubscribe("\n".join(new.others))
    )
    short = _words(own_lines(lines)) <= FEW_WORDS
    kind = ReplyKind.REVIEW if may_unsubscribe or short else ReplyKind.OTHER
    return ParsedReply(
        kind, None, "\n".join([*lines, *new.others]), may_unsubscribe=may_unsubscribe
    )


def _command_reply(command: Command, said: str) -> ParsedReply:
    """A person sees to it that somebody who wants to be erased is."""
    erase = command.intent is Intent.ERASE
    kind = ReplyKind.REVIEW if erase else ReplyKind.COMMAND
    return ParsedReply(kind, command.intent, said, may_unsubscribe=erase, command=command)


def _with_votes_below(
    command: Command, others: Sequence[str]
) -> tuple[Command | None, Sequence[str]]:
    """The votes of this line and of those right below it, and the lines after them."""
    below = list(takewhile(lambda line: is_pleasantry(line) or _votes_of(line), others))
    return merge_votes([command, *filter(None, map(_votes_of, below))]), others[len(below) :]


def _votes_of(line: str) -> Command | None:
    command = parse_command(line)
    return command if command and command.intent is Intent.VOTE else None


def _words(lines: Sequence[str]) -> int:
    """How many words were said; where no spaces part them some letters count as one."""
    said = plain(" ".join(lines)).split()
    return sum(-(-len(word) // _letters_per_word(word[0])) for word in said)


def _letters_per_word(first: str) -> int:
    """Of how many letters the words of a script are counted."""
    return next((many for begin, end, many in UNSPACED if begin <= first <= end), MAX_WORD_LETTERS)


def _parse_command(line: str) -> tuple[Command | None, str]:
    """The command of a line, and the text after it besides thanks, regards and a name."""
    if command := _sentence_command(line):
        return command, ""
    first, *others = [one for one in SENTENCE.findall(line) if one] or [""]
    if command := _sentence_command(first):
        rest = " ".join(one for one in others if not is_closing(one))
        return (None, "") if rest and _is_vague(command, first) else (command, rest)
    clauses = [one for one in CLAUSE.split(line) if not is_closing(one)]
    commands = {parse_command(one) for one in clauses}
    alike = len(commands) == 1 and not _is_question(line)
    return (commands.pop(), "") if alike else (None, "")


def _is_vague(command: Command, sentence: str) -> bool:
    """Whether a sentence is no command once more follows it: `Stop. Hammer time.`"""
    if command.intent in LEAVING:
        one_word = len(strip_pleasantries(sentence).split()) == 1
        return one_word and not STEMS.search(plain(sentence))
    return command.intent in SINGLE


def _sentence_command(sentence: str) -> Command | None:
    """A question is a command only where it asks why, or is one out of politeness."""
    command = parse_command(sentence)
    asks = _is_question(sentence) and not (command and command.intent is Intent.WHY)
    return None if asks and not is_polite_request(sentence) else command


def _subject_command(subject: str) -> Command | None:
    command = None if FORWARDED.match(subject) else parse_command(subject)
    asks = _is_question(subject) and not (command and command.intent is Intent.WHY)
    return None if asks else command


def _is_salutation(line: str) -> bool:
    """`Hello arXiv digest`, without a comma: few words, and none of a wish or against one."""
    said = plain(line)
    if not GREETING.match(said) or len(said.split()) > MAX_GREETED_WORDS or _is_question(line):
        return False
    return not (
        DENIAL.search(said) or STEMS.search(said) or WEAK.search(said) or parse_intent(line)
    )


def _unwrapped(lines: Sequence[str]) -> list[str]:
    """A line that a mail program broke in the middle of a sentence, whole again."""
    whole: list[str] = []
    for line in lines:
        before = whole[-1] if whole else ""
        goes_on = before and before[-1].isalnum() and line[:1].islower()
        if goes_on and not (is_closing(line) or is_pleasantry(before) or _is_salutation(before)):
            whole[-1] = f"{before} {line}"
        else:
            whole.append(line)
    return whole


def _is_question(text: str) -> bool:
    return "?" in unicodedata.normalize("NFKC", text) or "\u061f" in text


def _is_contradicted(command: Command, rest: str, others: Sequence[str]) -> bool:
    """What follows a command denies it, asks, goes on about something else, or is another one."""
    said = STATE.sub(" ", " ".join([rest, *others]))
    if _is_question(said) or DENIAL.search(plain(said)):
        return True
    return any(other not in (None, command) for other in map(parse_command, own_lines(others)))


def _may_ask_to_unsubscribe(said: str) -> bool:
    text = plain(said)
    return bool(STEMS.search(text) or (len(text) <= SHORT and WEAK.search(text)))


def is_absence_note(mail: ParsedMail) -> bool:
    """Whether a machine answered for a reader who is away."""
    automatic = mail.header("auto-submitted").split(";")[0].strip().lower()
    return automatic not in {"", "no"} or bool(
        AUTOMATIC_SUBJECTS.match(plain(mail.header("subject")))
    )


def _is_bounce(mail: ParsedMail, envelope_from: str) -> bool:
    return mail.content_type == "multipart/report" or envelope_from.strip() in {"", "<>"}


def _is_automatic(mail: ParsedMail, our_addresses: Sequence[str]) -> bool:
    """By RFC 3834 and what is seen besides; `X-Auto-Response-Suppress` alone proves nothing."""
    if mail.header("auto-submitted").split(";")[0].strip().lower() not in {"", "no"}:
        return True
    if mail.header("precedence").strip().lower() in {"bulk", "junk", "list", "auto_reply"}:
        return True
    if any(name.startswith("list-") for name in mail.headers):
        return True
    if {"x-autoreply", "x-autorespond", "x-digest-loop"} & mail.headers.keys():
        return True
    author = mail.header("from")
    if MACHINES.search(author) or mentions(author, [one for one in our_addresses if "@" in one]):
        return True
    subject = plain(mail.header("subject"))
    return bool(AUTOMATIC_SUBJECTS.match(subject)) and not SENT_SUBJECTS.search(subject)
