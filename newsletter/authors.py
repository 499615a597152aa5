"""Followed authors, however a source spells them (pure)."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newsletter.model import Paper, Rubric

TEX_ACCENT = re.compile(r"\\(?:[^\w\s{}\\]|[cHkrubvdt](?=[\s{]))\s*\{?\\?(\w)\}?")
SPELLED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
)


def followed_author(rubric: Rubric, paper: Paper) -> str:
    """The followed author as the paper names him, or the empty string."""
    wanted = {name_key(name) for name in rubric.authors}
    return next((name for name in paper.authors if name_key(name) in wanted), "")


def name_key(name: str) -> str:
    """A full name without case, accents (Unicode or TeX) and hyphens; `Last, First` is turned."""
    last, comma, first = name.partition(",")
    name = f"{first} {last}" if comma else name
    name = re.sub("[{}]", "", TEX_ACCENT.sub(r"\1", name)).casefold().translate(SPELLED)
    letters = unicodedata.normalize("NFKD", name)
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    return " ".join(re.sub(r"[^\w\s']|_", " ", plain).split())
