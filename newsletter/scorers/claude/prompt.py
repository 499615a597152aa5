"""Build the request body for the Messages API (pure).

With one or two rubrics the rubric is in the system prompt and is cached. With three or more on the
same papers, the papers come first and are cached once, and the rubric comes last. Prefixes below
the model's minimum cacheable length get no `cache_control`.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain.injection import is_suspicious
from newsletter.domain.sanitize import (
    ABSTRACT_LIMIT,
    TITLE_LIMIT,
    clean_for_model,
    clean_rubric_for_model,
)
from newsletter.scorers.claude.instructions import FIELDS, INSTRUCTIONS

if TYPE_CHECKING:
    from newsletter.domain.model import Paper, Rubric
    from newsletter.scorers import ScoringRequest

RUBRIC_LIMIT = 24_000
CACHED = {"type": "ephemeral"}
CACHED_FOR_AN_HOUR = {"type": "ephemeral", "ttl": "1h"}
"""For batches, whose calls may be hours apart, and for direct calls that write the cache for them:
recommended by the API docs."""
BYTES_PER_TOKEN = 3.6


@cache
def schema(size: int, version: str) -> dict[str, Any]:
    """JSON schema of the output: one required property per slot.

    It is the same for every rubric and day, so that caches stay valid. `$ref` keeps it at 1 kB for
    16 papers instead of 6, whether it is compiled as a grammar or billed as a prompt.
    """
    slots = [f"p{place:02d}" for place in range(1, size + 1)]
    slot = {
        "type": "object",
        "properties": FIELDS[version],
        "required": list(FIELDS[version]),
        "additionalProperties": False,
    }
    return {
        "$defs": {"paper": slot},
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/paper"} for name in slots},
        "required": slots,
        "additionalProperties": False,
    }


def messages(request: ScoringRequest, min_cached_tokens: int, version: str) -> dict[str, Any]:
    """`system` and `messages` of the call.

    Shared papers come first only where that prefix is long enough for the cache.
    """
    instructions: dict[str, Any] = {"type": "text", "text": INSTRUCTIONS[version]}
    rubric: dict[str, Any] = {"type": "text", "text": rubric_text(request.rubric)}
    papers: dict[str, Any] = {"type": "text", "text": paper_text(request)}
    mark = {"cache_control": CACHED_FOR_AN_HOUR if request.cache_for_an_hour else CACHED}
    if request.shared and _tokens([instructions, papers]) >= min_cached_tokens:
        return {
            "system": [instructions],
            "messages": [{"role": "user", "content": [papers | mark, rubric]}],
        }
    if _tokens([instructions, rubric]) >= min_cached_tokens:
        rubric |= mark
    return {
        "system": [instructions, rubric],
        "messages": [{"role": "user", "content": [papers]}],
    }


def _tokens(blocks: list[dict[str, Any]]) -> float:
    """Estimated token count of these text blocks."""
    return sum(len(block["text"].encode()) for block in blocks) / BYTES_PER_TOKEN


def paper_text(request: ScoringRequest) -> str:
    return "\n".join(
        _paper(slot, paper, suspicious=request.pass_number > 1)
        for slot, paper in request.slots.items()
    )


def _paper(slot: str, paper: Paper, *, suspicious: bool) -> str:
    title = clean_for_model(paper.title, TITLE_LIMIT)
    abstract = clean_for_model(paper.abstract, ABSTRACT_LIMIT)
    if suspicious and is_suspicious(paper):
        # Datamarking: spaces become ^ so that the text is read as data (spotlighting, arXiv
        # 2403.14720). The title stays readable: it is short and identifies the paper.
        abstract = abstract.replace(" ", "^")
    return f'<paper slot="{slot}">\n{title}\n{abstract}\n</paper>'


def rubric_text(rubric: Rubric) -> str:
    """The rubric's text in the prompt, criteria numbered."""
    parts = [
        rubric.preface,
        "Criteria:",
        *(f"{item.number}. {item.title}\n{item.body}".strip() for item in rubric.criteria),
        rubric.scoring,
    ]
    if rubric.keywords.strip():
        parts.append(f"Keywords:\n{rubric.keywords}")
    text = clean_rubric_for_model("\n\n".join(part.strip() for part in parts if part.strip()))
    return f"<rubric>\n{text[:RUBRIC_LIMIT]}\n</rubric>"


class PromptTokens(NamedTuple):
    """Prompt tokens of a body, from its length: two bytes a token at most, where 3.6 are usual."""

    estimated: int
    most: int


def prompt_tokens(body: dict[str, Any]) -> PromptTokens:
    length = len(json.dumps(body, ensure_ascii=False).encode())
    return PromptTokens(int(length / BYTES_PER_TOKEN), length // 2 + 600)
