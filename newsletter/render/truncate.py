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
MAX_BACKGROUND_SHARE = 0.25
MANY = 1_000


def sentences(text: str) -> list[str]:
    """The sentences of `text`. `e.g. A` and `J. Doe` do not end one."""
    found: list[str] = []
    start = 0
    for end in SENTENCE_END.finditer(text):
        if not ABBREVIATION.search(text, start, end.start()):
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


def clip_words(text: str, limit: int) -> str:
    """At most `limit` characters, cut between words, with "…" if shortened."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    # The last word is whole if a blank follows it.
    whole, _, rest = f"{cut}{text[limit - 1]}".rpartition(" ")
    # A single very long word is cut inside, or nothing would be left.
    kept = whole if whole and len(rest) < limit // 2 else cut
    return f"{kept.rstrip(' ,;:-')}…"


@lru_cache(maxsize=16384)
def one_line(text: str, max_length: int) -> str:
    """Untrusted text for one line: sanitized, TeX as Unicode, at most `max_length` characters."""
    # Very long text is cut before its TeX is parsed, to bound the time.
    return clip_words(to_unicode(clean(text)[: 4 * max_length]), max_length)
