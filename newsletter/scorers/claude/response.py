"""What an answer of the Messages API says (pure). Nothing in it is trusted, nothing is put right.

A slot that is missing, cut off, named twice with different content or out of range is simply not
there: its paper is asked about again. A criterion that the rubric does not have costs the label
alone: the scores stand.
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
ALIKE = 8
"""From so many papers on, equal judgements of all of them are no judgement."""
DULL = 4
"""Up to this relevance they may be: most chunks of a day hold nothing for a narrow rubric."""

SLOT_NAME = re.compile(r'\s*,?\s*"([^"\\]*)"\s*:\s*')
OTHER_SLOT = re.compile(r"\bp\d\d\b")
OWN_LABEL = re.compile(r"[A-Z][^.:;!?—]{2,59}(?::| —|—)\s?\S")


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its duplicate keys still there."""


def envelope(raw: bytes) -> dict[str, Any]:
    """The message as a mapping; empty when the bytes are no JSON object."""
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def is_free_refusal(message: dict[str, Any]) -> bool:
    """A refusal before the first word is not billed, though it reports usage."""
    return message.get("stop_reason") == "refusal" and not message.get("content")


def usage_of(raw: bytes, model: str, at: datetime, *, batch: bool = False) -> Usage | None:
    """What an answer cost; None when it does not say."""
    message = envelope(raw)
    counted = message.get("usage")
    if is_free_refusal(message):
        return Usage(model)
    if not isinstance(counted, dict):
        return None
    try:
        return prices.priced(model, at.date(), counted, batch=batch)
    except ValueError:
        return None


def counted(raw: bytes) -> int | None:
    """What a count of tokens came to; None when the answer does not say."""
    tokens = envelope(raw).get("input_tokens")
    return tokens if type(tokens) is int and 0 <= tokens <= prices.MOST_TOKENS else None


def read(request: ScoringRequest, model: str, raw: bytes) -> ScoredPapers:
    message = envelope(raw)
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
        if _strays(fields["c"]):
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
    """The valid slots by name, up to where the JSON breaks off."""
    decoder = json.JSONDecoder(object_pairs_hook=_Pairs)
    found: dict[str, Any] = {}
    contested = set()
    position = text.find("{") + 1
    while name := SLOT_NAME.match(text, position):
        try:
            value, position = decoder.raw_decode(text, name.end())
        except (ValueError, RecursionError):
            break
        slot = name.group(1)
        if slot in found and found[slot] != value:
            contested.add(slot)
        found[slot] = value
    valid = {slot: _valid(value) for slot, value in found.items() if slot not in contested}
    return {slot: fields for slot, fields in valid.items() if fields is not None}


def _valid(value: object) -> dict[str, Any] | None:
    if not isinstance(value, _Pairs):
        return None
    fields = dict(value)
    if any(fields[name] != content for name, content in value):
        return None
    # `type is int` because True is an int to isinstance, and 7.0 or "7" must not pass either.
    whole = all(type(fields.get(name)) is int for name in WHOLE)
    if not whole or not isinstance(fields.get("c"), str):
        return None
    inside = all(low <= fields[name] <= high for name, (low, high) in RANGES.items())
    return fields if inside else None


def _score(rubric: Rubric, paper: Paper, model: str, fields: dict[str, Any]) -> Score:
    label = rubric.criterion_title(fields["m"])
    return Score(
        paper_id=paper.id,
        model=model,
        relevance=fields["r"],
        novelty=fields["n"],
        fine=fields["x"],
        criterion=fields["m"] if label else 0,
        comment=_labelled(label, sanitize.clean_comment(fields["c"])),
    )


def _labelled(label: str, sentence: str) -> str:
    """The criterion's name is ours to say, unless the sentence opens with a label by itself."""
    if not label or not sentence or OWN_LABEL.match(sentence):
        return sentence
    return f"{label}: {sentence}"


def _strays(comment: str) -> bool:
    """A comment that names a slot or an address was steered by something it read."""
    return bool(OTHER_SLOT.search(comment)) or "http" in comment.lower()


def _all_alike(scores: list[Score], asked: int) -> bool:
    if asked < ALIKE or len(scores) < ALIKE or (scores[0].relevance or 0) <= DULL:
        return False
    judged = {(s.criterion, s.relevance, s.novelty, s.fine) for s in scores}
    return len(judged) == 1
