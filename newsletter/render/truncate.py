"""Shortening text at places where a reader would (pure)."""

from __future__ import annotations

import re
from functools import lru_cache

# Where an abstract turns from background to what its authors did.
CUE = re.compile(
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
BACKGROUND = 0.25


def sentences(text: str) -> list[str]:
    """`text` cut behind its sentences; `e.g. A` and `J. Doe` are no ends."""
    found: list[str] = []
    start = 0
    for end in SENTENCE_END.finditer(text):
        if not ABBREVIATION.search(text, start, end.start()):
            found.append(text[start : end.start()])
            start = end.end()
    return [*found, text[start:]]


@lru_cache(maxsize=8192)
def clip_sentences(text: str, limit: int) -> tuple[str, bool]:
    """At most `limit` characters of whole sentences, and whether any is missing.

    Where the background before the contribution would take more than a quarter of the room, the
    excerpt starts at the contribution, with "… ".
    """
    if len(text) <= limit:
        return text, False
    parts = sentences(text)
    first = next((place for place, part in enumerate(parts) if CUE.search(part)), 0)
    if sum(len(part) + 1 for part in parts[:first]) <= BACKGROUND * limit:
        first = 0
    excerpt = _fill(parts[first:], limit - 2 * bool(first))
    # What room is left belongs to the sentences that lead up to the contribution.
    while first and len(parts[first - 1]) + 1 + len(excerpt) + 2 * (first > 1) <= limit:
        first -= 1
        excerpt = f"{parts[first]} {excerpt}"
    return (f"… {excerpt}" if first else excerpt), True


def _fill(parts: list[str], limit: int) -> str:
    taken = ""
    for part in parts:
        longer = f"{taken} {part}" if taken else part
        if len(longer) > limit:
            break
        taken = longer
    return taken or clip_words(parts[0], limit)


def clip_words(text: str, limit: int) -> str:
    """At most `limit` characters, cut between words, with "…" where something is missing."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    whole, _, rest = cut.rpartition(" ")
    # One endless word is cut anywhere: it would leave nothing otherwise.
    kept = whole if whole and len(rest) < limit // 2 else cut
    return f"{kept.rstrip(' ,;:-')}…"
