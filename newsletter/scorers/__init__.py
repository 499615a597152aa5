"""Who judges papers. A scorer is one file here and one line in SCORERS.

A scorer composes a call, makes it, and reads its answer; `scoring/run.py` keeps the ledger between
these
steps, so that an answer is stored before it is parsed and nothing is paid for twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from newsletter.domain.http_headers import RateLimitStatus
    from newsletter.domain.model import Paper, Rubric, Score, Usage


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """What is to be judged in one go: at most as many papers as the scorer's largest size.

    `reading` is 1 for the first pass and 2 for the second opinion. `shared` puts the papers first,
    so that other rubrics' calls on the same papers pay for them once. `last_resort` asks another
    model, because the first refused. `roomier` gives more room, because the first answer ended
    before its first word. `in_bulk` is for a batch, which may take hours.
    """

    rubric: Rubric
    papers: tuple[Paper, ...]
    reading: int = 1
    shared: bool = False
    last_resort: bool = False
    roomier: bool = False
    in_bulk: bool = False

    @property
    def slots(self) -> dict[str, Paper]:
        """The papers by the name each has in the call: p01, p02, ..."""
        return {f"p{place:02d}": paper for place, paper in enumerate(self.papers, 1)}


@dataclass(frozen=True, slots=True)
class ScoringCall:
    """A request ready to be sent, and the most it can cost. `at` decides which prices hold.

    `tokens` is about how long its prompt is; 0 where nobody counts.
    """

    request: ScoringRequest
    model: str
    body: Mapping[str, Any]
    upper_nanos: int
    at: datetime
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class CallResponse:
    """What came back, as bytes, with what it cost; stored before anybody parses it.

    `usage` is None where the answer does not say: it may have been billed. `left` is what the
    provider says is left of its limits, by their names in `scoring/rate_limit.py`.
    """

    raw: bytes
    usage: Usage | None
    left: Mapping[str, RateLimitStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoredPapers:
    """What an answer says: scores by paper id. Papers without a score are asked again.

    `doubtful` are ids among the scores that should be asked once more before they are believed.
    `cut_short`: all room went into thinking, and no answer began.
    """

    scores: Mapping[str, Score] = field(default_factory=dict)
    doubtful: frozenset[str] = frozenset()
    refused: bool = False
    cut_short: bool = False


class CallFailure(StrEnum):
    """What an unsuccessful call proves."""

    FATAL = "fatal"
    """Not billed, and no other call will succeed: stop, tell the operator."""
    GONE = "gone"
    """Not billed: the model or batch that was named is not there, or not for us."""
    BUSY = "busy"
    """Not billed; may be tried again later."""
    UNREACHABLE = "unreachable"
    """Never left this machine; may be tried again later."""
    TOO_LARGE = "too large"
    """Not billed; fewer papers may do."""
    LOST = "lost"
    """May have been billed: its upper bound stays reserved."""


class ScorerError(Exception):
    """A call brought no answer. The text is for a person and holds no secret.

    `retry_after` is in seconds, where the other side named a time; None else. `throttled` says that
    too much came at once, so that nobody should go on asking.
    """

    def __init__(
        self,
        failure: CallFailure,
        reason: str,
        retry_after: float | None = None,
        *,
        throttled: bool = False,
    ) -> None:
        super().__init__(reason)
        self.failure = failure
        self.retry_after = retry_after
        self.throttled = throttled


class Scorer(Protocol):
    name: str
    """Model and prompt version: with the rubric's fingerprint the key of every stored score."""
    judges: bool
    """False when it only ranks: then relevance and novelty are None."""
    sizes: tuple[int, ...]
    """How many papers one call may hold, largest first; no other number is ever asked for."""
    second_opinion: bool
    """Whether papers near the cut are read a second time."""
    batcher: BatchScorer | None
    """None where there is no bulk price."""

    def call(self, request: ScoringRequest, at: datetime) -> ScoringCall: ...

    def ask(self, call: ScoringCall) -> CallResponse:
        """Send it and wait. Raises ScorerError; tries nothing twice by itself."""

    def read(self, request: ScoringRequest, model: str, raw: bytes) -> ScoredPapers:
        """Parse an answer of `model` to `request`. Never raises: what is unreadable is missing."""

    def weigh(self, call: ScoringCall) -> Usage | None:
        """About what the call would cost, for nothing; None when calls are free.

        Raises ScorerError.
        """

    def prompt(self, rubric: Rubric) -> str:
        """What the model is told about this rubric, for a person to read; empty without a model."""


@dataclass(frozen=True, slots=True)
class ScoringBatch:
    """What a batch has come to. `answers` are by call id; None is one that was not billed.

    Calls that it does not mention are not among them.
    """

    ended: bool
    answers: Mapping[str, CallResponse | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """The batch that holds some calls. `perhaps`: one still runs that may hold them."""

    batch_id: str | None = None
    perhaps: bool = False


class BatchScorer(Protocol):
    """The second face of a scorer that also takes calls in bulk, for less money and much later.

    All raise ScorerError; GONE says that the batch is not known there.
    """

    def submit(self, calls: Mapping[str, ScoringCall]) -> str:
        """Hand over calls by their ids in the ledger; returns the batch's id."""

    def collect(self, batch_id: str, models: Mapping[str, str], at: datetime) -> ScoringBatch:
        """How far it is; the answers once it has ended.

        `models` are those asked, by call id: an answer may give a model another name.
        """

    def cancel(self, batch_id: str, at: datetime) -> None: ...

    def find(self, call_ids: Collection[str], since: datetime, others: Collection[str]) -> Found:
        """The batch that holds these calls, if any submitted from `since` on does.

        Waits for none. `others` are ids of batches that are known to hold other calls.
        """


SCORERS = {
    "claude": "newsletter.scorers.claude.scorer:ClaudeScorer",
    "local": "newsletter.scorers.local:LocalScorer",
}

CHECKS = {"claude": "newsletter.scorers.claude.check:check"}
"""Whom `newsletter doctor` asks: a function of settings and a timeout that answers `Told`."""
