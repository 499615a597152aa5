# ruff: noqa: RUF001 - typographic dashes are intended
"""Truncates text at sentence or word ends; text for one line (pure)."""

from __future__ import annotations

import re
from functools import lru_cache

from newsletter.domain.sanitize import clean
from newsletter.render.tex import to_unicode

# The phrase with which an abstract turns from background to its contribution.
CONTRIBUTION = re.compile(
    r"\b(?:in this (?:paper|work|study|letter|article|report)|here,? we|"
    r"we (?:propose|introduce|present|show|study|develop|prove|investigate|describe|report|"
    r"demonstrate|analy[sz]e|design|establish|derive|find|explore|address|consider|formulate|release)|"
    r"this (?:paper|work|study|article) (?:\w+ )?(?:proposes|introduces|presents|shows|studies|"
    r"develops|investigates|describes|examines|explores|addresses))\b",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”)]?\s+(?=[A-Z0-9(\"“])")
ABBREVIATION = re.compile(
    r"\b(?:e\.g|i\.e|et al|etc|cf|vs|resp|approx|[Ff]igs?|[Ee]qs?|[Ss]ec|[Rr]efs?|Dr|[A-Z])\.$"
)
# Words that need another one behind them: a text is not cut after one. Not in capitals: IT, OR.
LOOSE_WORDS = (
    "a an the and or but nor of for to in on at by via with from into onto as that which who whose "
    "where when while whereas than then so if its their our this these those it they we is are was "
    "were be been being can could may might must will would has have had using through over under "
    "between among per within without toward towards against about across during before after "
    "upon not no also both each every any all more most such only very e.g. i.e. vs vs."
)
LOOSE = "|".join(
    re.escape(form) for word in LOOSE_WORDS.split() for form in (word, word.capitalize())
)
LOOSE_END = re.compile(rf"(?:[\s,;:–—(-]+(?:{LOOSE}))+$")
CLAUSE_END = re.compile(r"[,;.](?=\s)|\s(?=[–—(])")
MIN_CLAUSES = 0.6
"""Share of the limit that whole clauses must fill, else the text is cut at a word."""
MAX_ABBREVIATION = 12
"""Characters, more than any has: searching whole sentences would take quadratic time."""
MAX_BACKGROUND_SHARE = 0.25
MANY = 1_000


def sentences(text: str) -> list[str]:
    """The sentences of `text`. `e.g. A` and `J. Doe` do not end one."""
    found: list[str] = []
    start = 0
    for end in SENTENCE_END.finditer(text):
        near = max(start, end.start() - MAX_ABBREVIATION)
        if not ABBREVIATION.search(text, near, end.start()):
            found.append(text[start : end.start()])
            start = end.end()
    return [*found, text[start:]]


@lru_cache(maxsize=8192)
def clip_sentences(text: str, limit: int, most: int = MANY) -> tuple[str, bool]:
    """At most `limit` characters and `most` whole sentences, and whether the text was shortened.

    If the background before the contribution is longer than a quarter of `limit`, the excerpt
    starts with "… " at the contribution.
    """
    parts = sentences(text)
    if len(text) <= limit and len(parts) <= most:
        return text, False
    first = next((index for index, part in enumerate(parts) if CONTRIBUTION.search(part)), 0)
    if sum(len(part) + 1 for part in parts[:first]) <= MAX_BACKGROUND_SHARE * limit:
        first = 0
    excerpt = _fill(parts[first : first + most], limit - 2 * bool(first))
    # Space that is left goes to the sentences before the contribution.
    room = most - len(parts[first:])
    while (
        first and room > 0 and len(parts[first - 1]) + 1 + len(excerpt) + 2 * (first > 1) <= limit
    ):
        first, room = first - 1, room - 1
        excerpt = f"{parts[first]} {excerpt}"
    return (f"… {excerpt}" if first else excerpt), True


def _fill(parts: list[str], limit: int) -> str:
    text = ""
    for part in parts:
        longer = f"{text} {part}" if text else part
        if len(longer) > limit:
            break
        text = longer
    return text or clip_words(parts[0], limit)


def clip_clause(text: str, limit: int) -> str:
    """At most `limit` characters, cut between clauses, or else between words."""
    if len(text) <= limit:
        return text
    ends = [found.start() for found in CLAUSE_END.finditer(text, 0, limit)]
    whole = [end for end in ends if MIN_CLAUSES * limit <= end < limit - 1]
    return f"{_firm_end(text[: whole[-1]])}…" if whole else clip_words(text, limit)


def _firm_end(text: str) -> str:
    """`text` without an end that needs another word: an open bracket, an article, a preposition."""
    opened = text.rfind("(")
    if opened > len(text) // 2 and ")" not in text[opened:]:
        text = text[:opened]
    kept = LOOSE_END.sub("", text.rstrip(" ,;:-"))
    return (kept if len(kept) > len(text) // 2 else text).rstrip(" ,;:-")


def clip_words(text: str, limit: int) -> str:
    """At most `limit` characters, cut between words, with "…" if shortened.

    The last word is none that needs another one behind it, such as "the" or "with".
    """
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    # The last word is whole if a blank follows it.
    whole, _, rest = f"{cut}{text[limit - 1]}".rpartition(" ")
    # A single very long word is cut inside, or nothing would be left.
    return f"{_firm_end(whole) if whole and len(rest) < limit // 2 else cut.rstrip(' ,;:-')}…"


@lru_cache(maxsize=16384)
def one_line(text: str, max_length: int) -> str:
    """Untrusted text for one line: sanitized, TeX as Unicode, at most `max_length` characters."""
    # Very long text is cut before its TeX is parsed, to bound the time.
    return clip_words(to_unicode(clean(text)[: 4 * max_length]), max_length)
