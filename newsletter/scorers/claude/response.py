"""Parse and validate answers of the Messages API (pure). Invalid values are never corrected.

A slot that is missing, cut off, duplicated with different content or out of range counts as
missing: its paper is asked about again. An unknown criterion number drops the label only; the
scores are kept.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from newsletter.domain import sanitize
from newsletter.domain.model import Score, Usage
from newsletter.scorers import ScoredPapers
from newsletter.scorers.claude import prices

if TYPE_CHECKING:
    from datetime import datetime

    from newsletter.domain.model import Paper, Rubric
    from newsletter.scorers import ScoringRequest

RANGES = {"r": (1, 10), "n": (1, 10), "x": (0, 9)}
WHOLE = ("m", *RANGES)
SECOND = "s"
"""The second criterion: only answers to prompt version 2 have it."""
MIN_IDENTICAL = 8
"""From this many papers on, identical scores for all of them are doubtful."""
IRRELEVANT_UP_TO = 4
"""Up to this relevance they are not: most chunks hold nothing for a narrow rubric."""

SLOT_NAME = re.compile(r'\s*,?\s*"([^"\\]*)"\s*:\s*')
OTHER_SLOT = re.compile(r"\bp\d\d\b")
OWN_LABEL = re.compile(r"[A-Z][^.:;!?—]{2,59}(?::| —|—)\s?\S")


class _Pairs(list[tuple[str, Any]]):
    """A JSON object that keeps duplicate keys."""


def parse_message(raw: bytes) -> dict[str, Any]:
    """The message as a mapping; empty when the bytes are not a JSON object."""
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def is_unbilled_refusal(message: dict[str, Any]) -> bool:
    """Whether this is a refusal without output: not billed, although it reports usage."""
    return message.get("stop_reason") == "refusal" and not message.get("content")


def parse_usage(
    raw: bytes, model: str, at: datetime, *, batch: bool = False, hour: bool = False
) -> Usage | None:
    """Cost of an answer; None when it has no valid usage."""
    message = parse_message(raw)
    counts = message.get("usage")
    if is_unbilled_refusal(message):
        return Usage(model)
    if not isinstance(counts, dict):
        return None
    try:
        return prices.price_usage(model, at.date(), counts, batch=batch, hour=hour)
    except ValueError:
        return None


def parse_token_count(raw: bytes) -> int | None:
    """The result of a token count; None when it is missing."""
    tokens = parse_message(raw).get("input_tokens")
    return tokens if type(tokens) is int and 0 <= tokens <= prices.MAX_TOKENS else None


def read(request: ScoringRequest, model: str, raw: bytes) -> ScoredPapers:
    message = parse_message(raw)
    if message.get("stop_reason") == "refusal":
        return ScoredPapers(refused=True)
    slots = _slots(_text(message))
    papers = request.slots
    scores, doubtful = {}, set()
    for slot, paper in papers.items():
        fields = slots.get(slot)
        if fields is None:
            continue
        scores[paper.id] = _score(request.rubric, paper, model, fields)
        if _is_steered(fields["c"]):
            doubtful.add(paper.id)
    if _all_alike(list(scores.values()), len(papers)):
        doubtful.update(scores)
    cut_short = message.get("stop_reason") == "max_tokens" and not scores
    return ScoredPapers(scores, frozenset(doubtful), cut_short=cut_short)


def _text(message: dict[str, Any]) -> str:
    """The first text block; a thinking block may stand before it."""
    content = message.get("content")
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict) and block.get("type") == "text":
            return str(block.get("text", ""))
    return ""


def _slots(text: str) -> dict[str, dict[str, Any]]:
    """The valid slots by name, up to where the JSON is cut off."""
    decoder = json.JSONDecoder(object_pairs_hook=_Pairs)
    found: dict[str, Any] = {}
    conflicting = set()
    position = text.find("{") + 1
    while name := SLOT_NAME.match(text, position):
        try:
            value, position = decoder.raw_decode(text, name.end())
        except (ValueError, RecursionError):
            break
        slot = name.group(1)
        if slot in found and found[slot] != value:
            conflicting.add(slot)
        found[slot] = value
    valid = {slot: _valid(value) for slot, value in found.items() if slot not in conflicting}
    return {slot: fields for slot, fields in valid.items() if fields is not None}


def _valid(value: object) -> dict[str, Any] | None:
    if not isinstance(value, _Pairs):
        return None
    fields = dict(value)
    if any(fields[name] != content for name, content in value):
        return None
    # `type is int`: isinstance accepts True; 7.0 and "7" must not pass either.
    names = (*WHOLE, SECOND) if SECOND in fields else WHOLE
    whole = all(type(fields.get(name)) is int for name in names)
    if not whole or not isinstance(fields.get("c"), str):
        return None
    inside = all(low <= fields[name] <= high for name, (low, high) in RANGES.items())
    return fields if inside else None


def _score(rubric: Rubric, paper: Paper, model: str, fields: dict[str, Any]) -> Score:
    label = rubric.criterion_title(fields["m"])
    second = rubric.criterion_title(fields.get(SECOND, 0))
    both = f"{label}, {second}" if label and second and second != label else label
    return Score(
        paper_id=paper.id,
        model=model,
        relevance=fields["r"],
        novelty=fields["n"],
        fine=fields["x"],
        criterion=fields["m"] if label else 0,
        comment=_labelled(both, sanitize.clean_comment(fields["c"])),
    )


def _labelled(label: str, sentence: str) -> str:
    """Prefix the comment with the criteria's titles, unless it already begins with a label."""
    if not label or not sentence or OWN_LABEL.match(sentence):
        return sentence
    return f"{label}: {sentence}"


def _is_steered(comment: str) -> bool:
    """Whether the comment names a slot or a URL: a sign of prompt injection."""
    return bool(OTHER_SLOT.search(comment)) or "http" in comment.lower()


def _all_alike(scores: list[Score], asked: int) -> bool:
    if (
        asked < MIN_IDENTICAL
        or len(scores) < MIN_IDENTICAL
        or (scores[0].relevance or 0) <= IRRELEVANT_UP_TO
    ):
        return False
    judged = {(s.criterion, s.relevance, s.novelty, s.fine) for s in scores}
    return len(judged) == 1
