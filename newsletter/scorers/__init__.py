"""Scorers: the ports that judge papers. A scorer is one file here and one line in SCORERS.

A scorer builds a call, sends it and parses the answer. `scoring/session.py` writes to the ledger
between these steps: an answer is stored before it is parsed, and nothing is paid for twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from newsletter.domain.http_headers import RateLimitStatus
    from newsletter.domain.model import Paper, Rubric, Score, Usage
    from newsletter.domain.rubric_draft import LibraryPaper, RubricDraft


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """The papers of one call: at most the scorer's largest size.

    `pass_number` is 1 for the first pass and 2 for the second opinion. `shared` puts the papers
    first, so that calls of other rubrics on the same papers read them from the cache. `last_resort`
    asks another model, because the first refused. `extended_output` raises `max_tokens`, because
    the first answer was used up by thinking. `cache_for_an_hour` is for the Batch API, which may
    take hours; otherwise the prompt prefix is cached for five minutes.
    """

    rubric: Rubric
    papers: tuple[Paper, ...]
    pass_number: int = 1
    shared: bool = False
    last_resort: bool = False
    extended_output: bool = False
    cache_for_an_hour: bool = False

    @property
    def slots(self) -> dict[str, Paper]:
        """The papers by slot name: p01, p02, ..."""
        return {f"p{place:02d}": paper for place, paper in enumerate(self.papers, 1)}


@dataclass(frozen=True, slots=True)
class ScoringCall:
    """A request ready to be sent, with the upper bound of its cost. `at` selects the price.

    `tokens` is the estimated prompt length; 0 for scorers that cost nothing.
    """

    request: ScoringRequest
    model: str
    body: Mapping[str, Any]
    upper_nanos: int
    at: datetime
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class CallResponse:
    """The raw answer with its cost; stored before it is parsed.

    `usage` is None where the answer has no usable count: it may have been billed. `rate_limits` are
    the provider's remaining limits, by their names in `scoring/rate_limit.py`.
    """

    raw: bytes
    usage: Usage | None
    rate_limits: Mapping[str, RateLimitStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoredPapers:
    """A parsed answer: scores by paper id. Papers without a score are asked about again.

    `doubtful` are ids of scores that are confirmed by another call before they are stored.
    `cut_short`: thinking used up all output tokens, and no answer began.
    """

    scores: Mapping[str, Score] = field(default_factory=dict)
    doubtful: frozenset[str] = frozenset()
    refused: bool = False
    cut_short: bool = False


class CallFailure(StrEnum):
    """What a failed call proves about billing and about the next call."""

    FATAL = "fatal"
    """Not billed, and no other call will succeed: stop, tell the operator."""
    GONE = "gone"
    """Not billed: the model or batch does not exist, or this key may not use it."""
    BUSY = "busy"
    """Not billed; may be tried again later."""
    UNREACHABLE = "unreachable"
    """Never left this machine; may be tried again later."""
    TOO_LARGE = "too large"
    """Not billed; a call with fewer papers may succeed."""
    LOST = "lost"
    """May have been billed: its upper bound stays reserved."""


class ScorerError(Exception):
    """A call without an answer. The message is shown to people and holds no secret.

    `retry_after` is in seconds; None where the provider named no time. `throttled`: the provider's
    rate limit was reached, so other calls should wait as well.
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
    """Model and prompt version; with the rubric's fingerprint the key of every stored score."""
    judges: bool
    """False for a scorer that only ranks: relevance and novelty are None."""
    sizes: tuple[int, ...]
    """The allowed numbers of papers in a call, largest first."""
    second_pass_sizes: tuple[int, ...]
    """The same for direct calls of the second pass, whose output takes longer."""
    second_opinion: bool
    """Whether papers near the cut-off are scored a second time."""
    batcher: BatchScorer | None
    """None where there is no Batch API."""

    def call(self, request: ScoringRequest, at: datetime) -> ScoringCall: ...

    def ask(self, call: ScoringCall) -> CallResponse:
        """Send the call and wait for the answer. Raises ScorerError; never retries by itself."""

    def read(self, request: ScoringRequest, model: str, raw: bytes) -> ScoredPapers:
        """Parse an answer of `model` to `request`. Never raises: unreadable scores are missing."""

    def estimate_usage(self, call: ScoringCall) -> Usage | None:
        """Estimate the cost of the call without paying; None when calls are free.

        Raises ScorerError.
        """

    def prompt(self, rubric: Rubric) -> str:
        """The prompt for this rubric, for people to read; empty without a model."""


@dataclass(frozen=True, slots=True)
class ScoringBatch:
    """State of a batch. `answers` are by call id; None: the call was not billed.

    Calls that the batch does not mention are not in `answers`.
    """

    ended: bool
    answers: Mapping[str, CallResponse | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchSearch:
    """Result of a search for the batch of some calls. `maybe_running`: one that runs may be it."""

    batch_id: str | None = None
    maybe_running: bool = False


class BatchScorer(Protocol):
    """The Batch API of a scorer: cheaper, with answers after up to a day.

    All methods raise ScorerError; GONE: the provider does not know the batch.
    """

    def submit(self, calls: Mapping[str, ScoringCall]) -> str:
        """Submit calls by their ledger ids; returns the batch id."""

    def collect(self, batch_id: str, models: Mapping[str, str], at: datetime) -> ScoringBatch:
        """Fetch the batch's state, and its answers once it has ended.

        `models` are the requested models by call id: an answer may name a model differently.
        """

    def cancel(self, batch_id: str, at: datetime) -> None: ...

    def find(
        self, call_ids: Collection[str], since: datetime, others: Collection[str]
    ) -> BatchSearch:
        """Find the batch, submitted since `since`, that holds these calls; waits for none.

        `others` are ids of batches that are known to hold other calls.
        """


class Drafter(Protocol):
    """Drafts a rubric in one call; the call is stored and charged like a scoring call."""

    name: str
    """Model and version of the drafting prompt."""

    def max_nanos(self, at: datetime) -> int:
        """The most that any draft costs."""

    def call(self, about: str, liked: Sequence[LibraryPaper], at: datetime) -> ScoringCall: ...

    def ask(self, call: ScoringCall) -> CallResponse:
        """Send the call and wait for the answer. Raises ScorerError; never retries by itself."""

    def read(
        self, raw: bytes, liked: Sequence[LibraryPaper], categories: Sequence[str]
    ) -> RubricDraft | None:
        """Parse an answer; None where it is no usable draft. Never raises."""


SCORERS = {
    "claude": "newsletter.scorers.claude.scorer:ClaudeScorer",
    "local": "newsletter.scorers.local:LocalScorer",
    "sample": "newsletter.scorers.sample:SampleScorer",
}

DRAFTERS = {"claude": "newsletter.scorers.claude.draft:ClaudeDrafter"}
"""By scorer; with any other a rubric is drafted locally (`domain/rubric_draft.py`)."""

CHECKS = {"claude": "newsletter.scorers.claude.check:check"}
"""Checks of `newsletter doctor`: (settings, timeout) -> CheckResult."""
