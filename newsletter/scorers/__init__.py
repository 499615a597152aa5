"""Who judges papers. A scorer is one file here and one line in SCORERS.

A scorer plans calls, makes one, and reads one answer; `score.py` keeps the ledger between these
steps, so that an answer is stored before it is parsed and nothing is paid for twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from newsletter.model import Paper, Rubric, Score, Usage


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its papers by slot, its body, and the most it can cost (nano-dollars)."""

    rubric: Rubric
    papers: Mapping[str, Paper]
    model: str
    body: Mapping[str, Any]
    upper_nanos: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, as bytes, with what it cost; stored before anybody parses it."""

    raw: bytes
    usage: Usage


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says: scores by paper id; refused papers; all others are asked again."""

    scores: Mapping[str, Score] = field(default_factory=dict)
    refused: bool = False


class Scorer(Protocol):
    name: str
    """Model and prompt version: with the rubric's fingerprint the key of every stored score."""
    judges: bool
    """False when it only ranks: then relevance and novelty are None."""

    def plan(self, rubric: Rubric, papers: Sequence[Paper]) -> list[Call]: ...

    def ask(self, call: Call) -> Answer: ...

    def read(self, call: Call, raw: bytes) -> Reading: ...


SCORERS = {
    "claude": "newsletter.scorers.claude:Claude",
    "local": "newsletter.scorers.local:Local",
}
