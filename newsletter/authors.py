"""Followed authors, however a source spells them (pure)."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newsletter.model import Paper, Rubric

LATEX_ACCENT = re.compile(r"\\(?:[^\w\s{}\\]|[cHkrubvdt](?=[\s{]))\s*\{?\\?(\w)\}?")
LATEX_LETTER = re.compile(r"\\(o|O|l|L|ss|aa|AA|ae|AE|oe|OE|i|j)(?![A-Za-z])\s*")
SPELLED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
)


def followed_author(rubric: Rubric, paper: Paper) -> str:
    """The followed author as the paper names him, or the empty string."""
    wanted = {_name_key(name) for name in rubric.authors}
    return next((name for name in paper.authors if _name_key(name) in wanted), "")


def _name_key(name: str) -> str:
    """A full name without case, accents (Unicode or LaTeX) and hyphens; `Last, First` is turned."""
    last, comma, first = name.partition(",")
    name = f"{first} {last}" if comma else name
    name = LATEX_LETTER.sub(_letter, LATEX_ACCENT.sub(r"\1", name))
    name = re.sub(r"[{}'\u2019]", "", name).casefold().translate(SPELLED)
    letters = unicodedata.normalize("NFKD", name)
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    return " ".join(re.sub(r"[\W_]", " ", plain).split())


def _letter(command: re.Match[str]) -> str:
    # The ring of Å goes like every accent; the other letters are spelled as their command.
    return "a" if command[1].lower() == "aa" else command[1]
