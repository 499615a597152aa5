"""Extract the new text of a reply, without quotation and signature, in any language (pure).

A reply is cut at its quoted lines into runs of unquoted ones. Each run ends where a mail program
introduces the original or a signature begins: at an attribution ("On Tuesday ... wrote:"), a block
of mail headers, a rule, `-- `. What stands above the first quoted line counts; where nothing does,
what stands below. Only `MAX_LINE_LENGTH` characters of a line are read, and only `MAX_WRAPPED`
lines of an attribution.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from newsletter.inbound.commands import parse_command
from newsletter.inbound.intents import DENIAL, STEMS
from newsletter.inbound.normalize import is_pleasantry, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LINES = 10_000
MAX_SCANNED = 1000
"""Lines that are asked whether the original begins at them."""
MAX_LINE_LENGTH = 1000
"""Characters of one line that are looked at."""
HEAD_LINES, TAIL_LINES = 60, 20
"""Lines of new text that are kept from its beginning and from its end."""
MAX_TEXT = 8 * 1024
MIN_HEADERS = 3
MAX_WRAPPED = 3
"""Lines over which a mail program breaks an attribution."""

INVISIBLE = "\ufeff\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
QUOTED = re.compile(r"[A-Z]{0,3}>|\||&gt;")
RULE = re.compile(r"[-_=*~─—‐]{8,}|[-‐_]{2,}\s?\S.{0,200}[-‐_]{2,}")  # noqa: RUF001 - as they are
SIGNATURE = re.compile(r"(?:--|—|__)\s*")
COLON = re.compile(r"[:：]\W*$")  # noqa: RUF001 - the wide colon is what those mails have
ADDRESS = re.compile(r"[\w.+=-]{1,100}@[\w-]{1,100}\.[\w.-]{1,100}")
DAY = re.compile(
    r"\b(?:19|20)\d\d\b|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|\d{1,2}月\d{1,2}日|\d{1,2}월 ?\d{1,2}일"
)
HOUR = re.compile(r"\b\d{1,2}[:.h]\d\d(?:\b|:)|\d{1,2}[時时点시]")
LABELLED = re.compile(r"[*_ ]*\w[^:：<>@]{0,24}[:：]")  # noqa: RUF001 - the wide colon again
FROM = re.compile(
    r"(?i)[*_ ]*(?:from|von|de|da|van|från|fra|od|от|від|lähettäjä|feladó|gönderen|kimden|de la"
    r"|από|מאת|من|từ|จาก|dari|प्रेषक|发件人|寄件者|寄件人|差出人|送信者|보낸 ?사람)[*_ ]*[:：]"  # noqa: RUF001 - as it is written
)
_CONFIDENTIAL = (
    "confiden|vertraulich|riservat|vertrouwelijk|poufn|duvern|konfidens|конфиденц|конфіденц"
    "|luottamuksell|gizli|bizalmas|εμπιστευτ|機密|机密|保密|기밀|privileged"
)
_READER = (
    "recipient|addressee|intended|sender|disclos|attachment|adressat|empfang|absender|anhang"
    "|destinatair|expediteur|pieces jointes|destinatari|remitente|remetente|mittente|allegat|adjunt"
    "|odbiorc|nadawc|adresat|prijemc|odesilatel|geadresseerde|afzender|mottaga|mottake|avsand|avsend"
    "|vastaanottaj|lahettaj|alici|gonderen|cimzett|felado|παραληπτ|αποστολ|получател|отправител"
    "|отримувач|收件|发件|受信|宛先|수신|발신"
)
_PRINTING = "before print|vor dem (?:aus)?druck|avant d imprimer|antes de imprimir"
_NATURE = "environment|umwelt|planet|environnement|medio ambiente|meio ambiente|tree"
FOOTNOTES = tuple(
    (re.compile(about), re.compile(also))
    for about, also in ((_CONFIDENTIAL, _READER), (_PRINTING, _NATURE), ("virus free", "avast|avg"))
)
"""Two kinds of words that companies and mail programs put below a mail, after `plain`. A reader who
writes one of them, of confidential papers perhaps, hardly writes the other in the same paragraph.
"""
NAMED_FROM = re.compile(r"\d|<|@")
MAX_NAME_WORDS = 10
"""Words of an attribution before its first digit or address."""
MIN_DENIAL = 3
"""Letters: shorter ones are days of the week, as in `ne 23. 9. 2025`."""
DEVICE = re.compile(
    r"iphone|ipad|android|galaxy|outlook|yahoo|proton ?mail|blackberry|samsung|huawei|thunderbird"
    r"|smartphone|mobil|telefon"
)
MAX_DEVICE_WORDS = 8


@dataclass(frozen=True, slots=True)
class NewText:
    """The lines that are new, and those that may be: what follows the quotation where something
    new already stands above it, or all that is not quoted where nothing is new.
    """

    lines: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def extract_new_text(text: str, our_addresses: Sequence[str]) -> NewText:
    """The new text of a reply. `our_addresses` are our addresses and hosts."""
    our_addresses = [one if "@" in one else f"@{one}" for one in our_addresses if one]
    lines = [line.strip().strip(INVISIBLE).strip() for line in _lines(text)]
    runs = [
        (quoted, list(run)) for quoted, run in groupby(lines, lambda one: bool(QUOTED.match(one)))
    ]
    unquoted = [
        _without_attribution(run) if number + 1 < len(runs) else run
        for number, (quoted, run) in enumerate(runs)
        if not quoted
    ]
    parts = [_until_original(run, our_addresses) for run in unquoted]
    starts_unquoted = bool(runs) and not runs[0][0]
    above, below = (parts[0], parts[1:]) if starts_unquoted and parts else ([], parts)
    if has_content(above):
        return NewText(_bounded(above), _bounded(_answer_below(below)))
    new = [*above, *(line for part in below for line in part if line)]
    if has_content(new):
        return NewText(_bounded(new))
    return NewText((), _bounded([line for run in unquoted for line in run if line]))


def _answer_below(parts: list[list[str]]) -> list[str]:
    """What follows the last quoted line. What stands between two may be their wrapped ends."""
    return parts[-1] if parts else []


def _lines(text: str) -> list[str]:
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        lines = lines[: MAX_LINES // 2] + lines[-MAX_LINES // 2 :]
    return [line if len(line) <= MAX_LINE_LENGTH else line[:MAX_LINE_LENGTH] for line in lines]


def _bounded(lines: Sequence[str]) -> tuple[str, ...]:
    """The first and last lines of a long text."""
    if len(lines) > HEAD_LINES + TAIL_LINES:
        lines = [*lines[:HEAD_LINES], *lines[-TAIL_LINES:]]
    kept, room = [], MAX_TEXT
    for line in lines:
        kept.append(line[:room])
        room -= len(line)
        if room <= 0:
            break
    return tuple(kept)


def has_content(lines: Sequence[str]) -> bool:
    return any(line and not is_pleasantry(line) for line in lines)


def strip_footnotes(lines: Sequence[str]) -> list[str]:
    """Without the paragraphs that a company or a mail program adds to every mail."""
    kept: list[str] = []
    for blank, paragraph in groupby(lines, lambda one: not one):
        found = list(paragraph)
        if blank or not _is_footnote(plain(" ".join(found))):
            kept += found
    return kept


def _is_footnote(said: str) -> bool:
    return any(about.search(said) and also.search(said) for about, also in FOOTNOTES)


def own_lines(lines: Sequence[str]) -> list[str]:
    """The lines that a reader wrote: no pleasantries, footnotes, dates or "Sent from my iPhone"."""
    return [
        line
        for line in strip_footnotes(lines)
        if not (is_pleasantry(line) or _is_dated(line) or _names_device(line))
    ]


def _is_dated(line: str) -> bool:
    return bool(DAY.search(line) and HOUR.search(line))


def _names_device(line: str) -> bool:
    """`Sent from my iPhone`"""
    return len(line.split()) <= MAX_DEVICE_WORDS and bool(DEVICE.search(plain(line)))


def _until_original(lines: list[str], our_addresses: Sequence[str]) -> list[str]:
    """A run of unquoted lines up to where the original, or a signature, begins."""
    for number in range(min(len(lines), MAX_SCANNED)):
        if starts_original(lines[number : number + 2 * MAX_WRAPPED], our_addresses):
            return lines[:number]
    return lines


def starts_original(lines: Sequence[str], our_addresses: Sequence[str]) -> bool:
    """Whether the original begins at the first of `lines`, or a signature, so that no more is new.

    An attribution is told by what it has in every language: a colon at its end, and our address, or
    a day and an hour, or a day and an address.
    """
    first = lines[0]
    if not first:
        return False
    if RULE.fullmatch(first) or SIGNATURE.fullmatch(first):
        return True
    if FROM.match(first) and mentions(" ".join(lines[:2]), our_addresses):
        return True
    if _is_header_block(lines, our_addresses):
        return True
    return _is_attribution(lines[:MAX_WRAPPED], our_addresses)


def _is_attribution(lines: Sequence[str], our_addresses: Sequence[str]) -> bool:
    return _looks_like_attribution(lines, our_addresses) and _may_begin_attribution(
        lines, our_addresses
    )


def _looks_like_attribution(lines: Sequence[str], our_addresses: Sequence[str]) -> bool:
    joined = ""
    for line in lines:
        if not line:
            return False
        joined = f"{joined} {line}"
        if COLON.search(line[-20:]):
            dated = bool(DAY.search(joined))
            timed = bool(HOUR.search(joined))
            addressed = bool(ADDRESS.search(joined))
            return mentions(joined, our_addresses) or (dated and (timed or addressed))
    # Some introduce the original without a colon, or go on with it on the same line.
    one = lines[0]
    return bool(DAY.search(one) and ADDRESS.search(one))


def _may_begin_attribution(lines: Sequence[str], our_addresses: Sequence[str]) -> bool:
    """A reader's line right above an attribution is no part of it."""
    line = lines[0]
    told = any(character.isdigit() for character in line) or ADDRESS.search(line)
    broken = len(lines) > 1 and lines[1].startswith("<")
    begins = told or broken or COLON.search(line[-20:]) or mentions(line, our_addresses)
    return bool(begins) and not _is_written_by_reader(line)


def _is_header_block(lines: Sequence[str], our_addresses: Sequence[str]) -> bool:
    """Three labelled lines, of which one has an address and one a date; or four."""
    labelled = [line for line in lines if LABELLED.match(line)]
    two = [line for line in lines[:2] if LABELLED.match(line)]
    if len(two) == 2 and mentions(" ".join(two), our_addresses):  # noqa: PLR2004
        return True
    if len(labelled) < MIN_HEADERS or labelled[0] is not lines[0]:
        return False
    joined = " ".join(labelled)
    whose = any(FROM.match(line) for line in labelled) or ADDRESS.search(joined)
    known = (
        whose
        or mentions(joined, our_addresses)
        or (len(labelled) > MIN_HEADERS and HOUR.search(joined))
    )
    return bool(known and DAY.search(joined))


def _without_attribution(lines: list[str]) -> list[str]:
    """Without the lines right above a quotation that end in a colon, whoever they name.

    It may be broken over several lines: it goes up to one with a date. What is a wish, or may be
    one, is the reader's, though a colon ends it.
    """
    end = len(lines)
    while end and not lines[end - 1]:
        end -= 1
    if not end or not COLON.search(lines[end - 1][-20:]) or _is_written_by_reader(lines[end - 1]):
        return lines
    start = end - 1
    while _continues_above(lines, start, end):
        start -= 1
    return lines[:start]


def _continues_above(lines: Sequence[str], start: int, end: int) -> bool:
    if start == 0 or end - start >= MAX_WRAPPED or not lines[start - 1]:
        return False
    above = lines[start - 1]
    ends_sentence = above.endswith((".", "!", "?")) and not above[-2:-1].isdigit()
    if ends_sentence or _is_written_by_reader(above):
        return False
    told = " ".join(lines[start:end])
    return not DAY.search(told) or lines[start].startswith("<") or bool(ADDRESS.search(above))


def _is_written_by_reader(line: str) -> bool:
    """Whether a line that might introduce a quotation says what a reader says.

    What they wrote may run into the attribution: so much that it is no name, or a denial.
    """
    begins = plain(NAMED_FROM.split(line, maxsplit=1)[0])
    denials = DENIAL.findall(begins)
    if len(begins.split()) > MAX_NAME_WORDS or any(len(one) >= MIN_DENIAL for one in denials):
        return True
    if parse_command(line):
        return True
    if DAY.search(line) or ADDRESS.search(line):
        return False
    return is_pleasantry(line) or bool(STEMS.search(plain(line)))


def mentions(text: str, our_addresses: Sequence[str]) -> bool:
    lowered = text.lower()
    return any(one.lower() in lowered for one in our_addresses)
