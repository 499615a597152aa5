"""Match followed authors, however a source spells them (pure).

Two spellings are one person when their family names are the same and no given name contradicts
another: an initial stands for any name that begins with it, a middle name may be left out. A name
of one word, and that of a group, matches only whole: there a false match is worse than a miss.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from newsletter.domain.model import Paper, Rubric

LATEX_UMLAUT = re.compile(r'\\"\s*\{?\\?([A-Za-z])\}?')
LATEX_ACCENT = re.compile(r"\\(?:[^\w\s{}\\]|[cHkrubvdt](?=[\s{]))\s*\{?\\?(\w)\}?")
LATEX_LETTER = re.compile(r"\\(o|O|l|L|ss|aa|AA|ae|AE|oe|OE|i|j)(?![A-Za-z])\s*")
LETTERS = {"ł": "l", "đ": "d", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
BARE = str.maketrans(LETTERS | {"ø": "o"})
SPELLED = str.maketrans(LETTERS | {"ø": "oe", "ä": "ae", "ö": "oe", "ü": "ue", "å": "aa"})
"""Spelling without these letters: `ue` for `ü`."""
SUFFIXES = {"jr", "sr", "ii", "iii", "iv"}
GROUPS = {"collaboration", "consortium", "team", "group", "project"}
ON_BEHALF = re.compile(r"(?:on behalf of |for )?(?:the )?")
PARTICLES = {
    *("al", "bin", "da", "de", "del", "della", "den", "der", "di", "do", "dos", "du", "el", "ibn"),
    *("la", "le", "ten", "ter", "van", "von", "zu", "zur"),
}
"""Words that belong to the family name after them."""


class _Name(NamedTuple):
    """A name in parts. `given` is empty for one word and for a group, which match only whole."""

    family: str
    given: tuple[str, ...] = ()
    suffix: str = ""


def followed_author(rubric: Rubric, paper: Paper) -> str:
    """The followed author as the paper names them, or the empty string."""
    wanted = [name for author in rubric.authors for name in _spellings(author)]
    if not wanted:
        return ""
    families = {name.family for name in wanted}
    for author in paper.authors:
        found = [name for name in _spellings(author) if name.family in families]
        if any(_same(ours, theirs) for theirs in found for ours in wanted):
            return author
    return ""


def _same(one: _Name, other: _Name) -> bool:
    if one.family != other.family or bool(one.given) != bool(other.given):
        return False
    if one.suffix and other.suffix and one.suffix != other.suffix:
        return False
    shorter, longer = sorted((one.given, other.given), key=len)
    if not shorter:
        return True
    rest = iter(longer[1:])
    # In order, and each of the longer names once: a name may be left out, none contradicted.
    return _agree(shorter[0], longer[0]) and all(
        any(_agree(name, other) for other in rest) for name in shorter[1:]
    )


def _agree(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return short == long or (len(short) == 1 and long.startswith(short))


@lru_cache(maxsize=50_000)
def _spellings(name: str) -> frozenset[_Name]:
    """The name without accents, once with `u` and once with `ue` for `ü`."""
    text = LATEX_UMLAUT.sub("\\1\u0308", name)
    text = LATEX_LETTER.sub(_letter, LATEX_ACCENT.sub(r"\1", text))
    text = unicodedata.normalize("NFC", re.sub(r"[{}'\u2019]", "", text)).casefold()
    found = (_parsed(text.translate(table)) for table in (BARE, SPELLED))
    return frozenset(name for name in found if name.family)


def _parsed(text: str) -> _Name:
    parts = [_plain(part) for part in text.split(",")]
    suffix = next((part for part in parts if part in SUFFIXES), "")
    parts = [part for part in parts if part and part != suffix]
    # `Last, First` is turned.
    words = " ".join([*parts[1:], *parts[:1]]).split()
    if GROUPS.intersection(words):
        return _Name(ON_BEHALF.sub("", " ".join(words), count=1))
    if words[2:] and words[-1] in SUFFIXES:
        suffix = words.pop()
    start = len(words) - 1
    while start > 1 and words[start - 1] in PARTICLES:
        start -= 1
    return _Name(" ".join(words[max(start, 0) :]), tuple(words[: max(start, 0)]), suffix)


def _plain(text: str) -> str:
    """Words of letters alone: no accents, hyphens or dots."""
    letters = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    return " ".join(re.sub(r"[\W_]", " ", plain).split())


def _letter(command: re.Match[str]) -> str:
    # As its own letter, which is then spelled like all others.
    return {"aa": "å", "o": "ø", "l": "ł", "ae": "æ", "oe": "œ"}.get(command[1].lower(), command[1])
