"""Parse one line of a reply as a command with its arguments (pure).

    pause 2 weeks                       -> PAUSE, 14 days
    +3 -7   more like 3, less like 7    -> VOTE, papers of the issue by number or arXiv id
    why not 2509.12345                  -> WHY, an arXiv id or a title
    unsubscribe, resume, weekly, help   -> no arguments: `inbound/intents.py`

A line is a command only if each of its words is known. So a sentence that contains such a word is
none: `I read the weekly one`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import count, pairwise
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.preferences import MAX_PAUSE
from newsletter.domain.votes import Vote
from newsletter.inbound.intents import COMMANDS, Intent, parse_intent
from newsletter.inbound.normalize import phrases, plain, strip_pleasantries
from newsletter.inbound.vocabulary_commands import (
    FOR,
    NUMBERS,
    UNITS,
    VOTES,
    WHY,
    WHY_AROUND,
    WHY_NOT,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from newsletter.inbound.vocabulary_commands import VoteWords

MAX_LENGTH = 400
"""Characters of a line: the longest titles on arXiv have 250."""
MAX_VOTES = 40
MIN_TITLE = 8
SPACELESS = (("\u0e00", "\u0eff"), ("\u3040", "\u9fff"), ("\uac00", "\ud7a3"))
"""First and last character of scripts that may stand without a space beside digits and words."""
ARXIV_ID = re.compile(
    r"(?:https?://)?(?:(?:www\.|export\.)?arxiv\.org/(?:abs|pdf|html)/|arxiv\s?:\s?)?"
    r"(?<![\d.])(\d{4}\.\d{4,5})(?:v\d{1,2})?(?![\d.]*\d)",
    re.IGNORECASE,
)
SIGNED = re.compile(r"(?<![^\s,;])([+\-\u2212\u2010-\u2014])(?:#?(\d{1,3})(?!\d)|arxivid(\d+))")
"""`+3`, `-7` and the dashes that a phone writes in place of a minus."""
NUMBER_SIGNS = "no|nr|nro|n|c"
"""`no. 3`, and `c. 3` in Czech: only right before a number, as `no more` denies."""
PLACEHOLDER = re.compile(r"arxivid(\d+)")
QUOTATION_MARKS = " \"'“”‘’«»„"  # noqa: RUF001 - as they are written


class PaperVote(NamedTuple):
    """`paper`: its number in the issue, or its arXiv id."""

    paper: str
    vote: Vote


@dataclass(frozen=True, slots=True)
class Command:
    """What one line asks for. `days`: length of a pause, None until resumed."""

    intent: Intent
    days: int | None = None
    votes: tuple[PaperVote, ...] = ()
    paper: str = ""


def parse_command(line: str) -> Command | None:
    """The command that a line is, when it is nothing more."""
    if len(line) > MAX_LENGTH:
        return None
    if intent := parse_intent(line):
        return Command(intent)
    return _pause(line) or _vote(line) or _why(line)


def is_arxiv_id(paper: str) -> bool:
    """Whether a vote names a paper by its id, and not by its number in the issue."""
    return "." in paper


def merge_votes(commands: Sequence[Command]) -> Command | None:
    """The votes of consecutive lines as one command; None if they contradict each other."""
    return _vote_command(vote for one in commands for vote in one.votes)


def _vote_command(votes: Iterable[PaperVote]) -> Command | None:
    distinct = tuple(dict.fromkeys(votes))
    papers = {vote.paper for vote in distinct}
    if not distinct or len(papers) < len(distinct) or "0" in papers or len(papers) > MAX_VOTES:
        return None
    return Command(Intent.VOTE, votes=distinct)


def _pause(line: str) -> Command | None:
    said = strip_pleasantries(line)
    spans = list(_span().finditer(said))
    if len(spans) != 1:
        return None
    span = spans[0]
    rest = " ".join(f"{said[: span.start()]} {said[span.end() :]}".split())
    days = (
        _number(span["spaced_number"] or span["number"])
        * _unit_days()[span["spaced_unit"] or span["unit"]]
    )
    if not COMMANDS[Intent.PAUSE].fullmatch(f"{rest} ") or not 1 <= days <= MAX_PAUSE:
        return None
    return Command(Intent.PAUSE, days=days)


def _number(word: str) -> int:
    return int(word) if word.isdecimal() else _number_words()[word]


@cache
def _number_words() -> dict[str, int]:
    return {plain(word): value for value, words in NUMBERS.items() for word in words.split()}


@cache
def _unit_days() -> dict[str, int]:
    return {plain(word): days for days, words in UNITS.items() for word in words.split()}


@cache
def _span() -> re.Pattern[str]:
    """A number and a unit, with what introduces them. CJK scripts have no spaces around them."""
    units, numbers = _unit_days(), _number_words()
    introduced = _alternatives(phrases(FOR))
    spaced = (
        rf"(?:(?<=\s)|^)(?:(?:{introduced}) )?"
        rf"(?P<spaced_number>\d{{1,3}}|{_alternatives(numbers)}) ?"
        rf"(?P<spaced_unit>{_alternatives(units)})(?: (?:{introduced}))?(?=\s|$)"
    )
    joined = (
        rf"(?P<number>\d{{1,3}}|{_alternatives(filter(_is_spaceless, numbers))}) ?"
        rf"(?P<unit>{_alternatives(filter(_is_spaceless, units))})"
    )
    return re.compile(rf"{spaced}|{joined}")


def _alternatives(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


def _is_spaceless(word: str) -> bool:
    return any(begin <= word[0] <= end for begin, end in SPACELESS)


def _vote(line: str) -> Command | None:
    text = unicodedata.normalize("NFKC", line)
    ids = ARXIV_ID.findall(text)
    text = _without_ids(text)
    if not re.search(r"\d", text):
        return None
    return _signed_votes(text, ids) or _worded_votes(strip_pleasantries(text), ids)


def _without_ids(text: str) -> str:
    """Each arXiv id as one word, which `plain` leaves whole."""
    numbers = count()
    return ARXIV_ID.sub(lambda _found: f"arxivid{next(numbers)} ", text)


def _signed_votes(text: str, ids: Sequence[str]) -> Command | None:
    rest = strip_pleasantries(SIGNED.sub(" ", text))
    if rest not in {"", "and"}:
        return None
    return _vote_command(
        PaperVote(
            ids[int(named)] if named else str(int(number)), Vote.MORE if sign == "+" else Vote.LESS
        )
        for sign, number, named in SIGNED.findall(text)
    )


def _worded_votes(said: str, ids: Sequence[str]) -> Command | None:
    for words in VOTES:
        tokens = _tokens(said, _token(words))
        if tokens and any(kind == "like" for kind, _ in tokens):
            votes = [
                PaperVote(_paper(number, ids), vote)
                for vote, numbers in _by_direction(tokens)
                for number in numbers
            ]
            if command := _vote_command(votes):
                return command
    return None


def _paper(number: str, ids: Sequence[str]) -> str:
    found = PLACEHOLDER.fullmatch(number)
    return ids[int(found[1])] if found else str(int(number))


def _tokens(said: str, token: re.Pattern[str]) -> list[tuple[str, str]]:
    """(kind, word) of each word; empty where one is unknown."""
    tokens, at = [], 0
    while at < len(said):
        found = token.match(said, at)
        if not found or not found.lastgroup:
            return []
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return tokens


@cache
def _token(words: VoteWords) -> re.Pattern[str]:
    kinds = "|".join(
        f"(?P<{kind}>{_words(getattr(words, kind))})" for kind in ("more", "less", "like", "small")
    )
    number = rf"(?:(?:{NUMBER_SIGNS}) )?(?P<number>arxivid\d+|\d{{1,3}})(?!\d)"
    return re.compile(rf"(?:{number}|{kinds}) ?")


def _words(words: str) -> str:
    forms = sorted(phrases(words), key=len, reverse=True)
    return "|".join(
        re.escape(form) + ("" if _is_spaceless(form) else r"(?![^\W\d])") for form in forms if form
    )


def _by_direction(tokens: Sequence[tuple[str, str]]) -> list[tuple[Vote, list[str]]]:
    """The numbers that belong to each `more` and `less`: those after it, or those before it in
    languages where it ends the sentence. Empty where one of them has none.
    """
    kinds = [kind for kind, _ in tokens]
    directions = [n for n, kind in enumerate(kinds) if kind in {"more", "less"}]
    if not directions or "number" not in kinds:
        return []
    leads = directions[0] < kinds.index("number")
    bounds = [*directions, len(tokens)] if leads else [0, *(n + 1 for n in directions)]
    parts = [tokens[start:end] for start, end in pairwise(bounds)]
    groups = [
        (Vote(kinds[direction]), [word for kind, word in part if kind == "number"])
        for direction, part in zip(directions, parts, strict=True)
    ]
    counted = sum(len(numbers) for _, numbers in groups)
    whole = counted == kinds.count("number") and all(numbers for _, numbers in groups)
    return groups if whole else []


def _why(line: str) -> Command | None:
    text = unicodedata.normalize("NFKC", line)
    ids = ARXIV_ID.findall(text)
    if len(ids) == 1:
        return Command(Intent.WHY, paper=ids[0]) if _asks_why(_without_ids(text)) else None
    title = "" if ids else _title_after_why_not(text)
    return Command(Intent.WHY, paper=title) if len(title) >= MIN_TITLE else None


def _asks_why(text: str) -> bool:
    return bool(_why_of_id().fullmatch(f"{strip_pleasantries(text)} "))


@cache
def _why_of_id() -> re.Pattern[str]:
    begins = _alternatives(phrases(f"{WHY_NOT} {WHY}"))
    around = _alternatives(phrases(WHY_AROUND))
    return re.compile(rf"(?:{begins}) ?(?:(?:{around}) )*arxivid0 (?:(?:{around}) )*")


def _title_after_why_not(text: str) -> str:
    words = text.split()
    for phrase in phrases(WHY_NOT):
        length = len(phrase.split())
        if plain(" ".join(words[:length])) == phrase:
            return " ".join(words[length:]).strip(f"{QUOTATION_MARKS}?¿:")
    return ""
