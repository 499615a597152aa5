"""What a reader searches for: words, authors, dates, or one paper by its id or title (pure).

sparse "language model" author:"Jane Doe" from:2025-09 to:2025-10-15
2509.12345
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.sanitize import strip_invisible

if TYPE_CHECKING:
    from collections.abc import Sequence

BARE_ID = r"\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7}"
"""An arXiv id without a version, of any age."""
NAMED_ID = re.compile(
    r"(?:(?<![\d.])|(?<=[a-z]\.))(?:(\d{4}\.\d{4,5})|(?<![a-z])([a-z][a-z-]*)(?:\.[A-Z]{2})?/(\d{7}))"
    r"(?:v[1-9]\d?)?(?![\w/])",
    re.ASCII | re.IGNORECASE,
)
QUOTES = "\"'\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"
MAX_TITLE = 200
"""Characters of a title that are compared: the index of titles has no more."""
MIN_TITLE = 8
"""The beginning of a title with fewer characters would match too many papers."""
MAX_TERMS = 12
PART = re.compile(r'(?:(author|au|from|to):\s*)?(?:"([^"]*)"|(\S+))', re.IGNORECASE)
ADDRESS = re.compile(r"://|\barxiv\b", re.IGNORECASE)
"""Of a word with an id in it: that it is the address of a paper."""
DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
AUTHOR, AROUND = ("author", "au"), "()[]<>.,;:"
STEM = 4
"""Shorter words are marked only as they are."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """Every term and author must occur; `first` and `last` are dates of issues, inclusive.

    With `near_misses` papers that just missed the cut-offs are searched, in place of picks.
    """

    terms: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    paper_id: str = ""
    first: date | None = None
    last: date | None = None
    near_misses: bool = False

    def __bool__(self) -> bool:
        return bool(self.terms or self.authors or self.paper_id or self.first or self.last)


def parse_query(text: str, *, near_misses: bool = False) -> SearchQuery:
    """What a reader wrote, without anything that a search language would read."""
    terms: list[str] = []
    authors: list[str] = []
    paper_id, first, last = "", None, None
    for name, phrase, word in PART.findall(text):
        said, kind = phrase or word, name.lower()
        if kind == "from" and (day := _day(said, end=False)):
            first = day
        elif kind == "to" and (day := _day(said, end=True)):
            last = day
        elif not kind and (known := _named_id(said)):
            paper_id = known
        # PostgreSQL reads 2611.00001 and 3.5 as one number each: their dot is kept.
        elif plain := " ".join(re.findall(r"\w+(?:\.\w+)*", said)):
            (authors if kind in AUTHOR else terms).append(plain)
    if paper_id:
        # `arXiv: 2509.12345`
        terms = [term for term in terms if term.lower() != "arxiv"]
    return SearchQuery(
        tuple(terms[:MAX_TERMS]), tuple(authors[:MAX_TERMS]), paper_id, first, last, near_misses
    )


def _named_id(word: str) -> str:
    """The arXiv id of a word that is an id or the address of a paper."""
    found = NAMED_ID.search(word.rstrip("/"))
    if not found or not (ADDRESS.search(word) or found[0] == word.strip(AROUND)):
        return ""
    return _bare(found)


def _bare(found: re.Match[str]) -> str:
    """Papers of before 2007 may be written with a subject class, as math.GT/0309136."""
    new, archive, number = found.groups()
    return new or f"{archive.lower()}/{number}"


def _day(text: str, *, end: bool) -> date | None:
    """The first or last day of `2025`, `2025-09` or `2025-09-23`; None for anything else."""
    found = DAY.fullmatch(text)
    if not found:
        return None
    year, month, day = (int(part) if part else 0 for part in found.groups())
    try:
        month = month or (12 if end else 1)
        return date(year, month, day or (calendar.monthrange(year, month)[1] if end else 1))
    except ValueError:
        return None


class Piece(NamedTuple):
    text: str
    matches: bool


def marked_pieces(text: str, terms: Sequence[str]) -> list[Piece]:
    """`text` in pieces; those that match a term's word are to be marked.

    The databases match word stems: a word matches that begins like the term's, and is not longer
    by much.
    """
    wanted = [_folded(word) for term in terms for word in re.findall(r"\w+", term)]
    pieces: list[Piece] = []
    for part in re.split(r"(\w+)", text):
        matches = any(_alike(_folded(part), word) for word in wanted) if part else False
        if part and pieces and not matches and not pieces[-1].matches:
            pieces[-1] = Piece(pieces[-1].text + part, matches=False)
        elif part:
            pieces.append(Piece(part, matches))
    return pieces


def _alike(word: str, wanted: str) -> bool:
    if word == wanted:
        return True
    start = max(STEM, len(wanted) - 2)
    return len(wanted) > STEM and word[:start] == wanted[:start] and len(word) <= len(wanted) + 3


def _folded(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.casefold())
    return "".join(sign for sign in plain if not unicodedata.combining(sign))


def accents() -> tuple[str, str]:
    """Latin letters with accents, and the letter of each without."""
    letters = [chr(code) for code in range(0xC0, 0x180)]
    plain = {one: unicodedata.normalize("NFKD", one)[0] for one in letters}
    changed = {one: bare for one, bare in plain.items() if bare != one and bare.isascii()}
    return "".join(changed), "".join(changed.values())


class PaperReference(NamedTuple):
    """Exactly one of both is set; neither where the text names no paper."""

    paper_id: str = ""
    title: str = ""


def parse_reference(text: str) -> PaperReference:
    """The paper that `text` names: `2509.12345v2`, `arXiv:math/0309136`, a URL, a title."""
    line = " ".join(strip_invisible(text[: 10 * MAX_TITLE]).split())
    if found := NAMED_ID.search(line):
        return PaperReference(paper_id=_bare(found))
    title = line.strip(f"{QUOTES} ").rstrip("\u2026. ").strip(f"{QUOTES} ")[:MAX_TITLE]
    return PaperReference(title=title if len(title) >= MIN_TITLE else "")
