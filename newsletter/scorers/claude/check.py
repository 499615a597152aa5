"""Doctor check of API key, models and requests, by the free token-counting endpoint.

It counts whole requests as the daily run sends them, output schema included. The finding names
what counting does not check.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from newsletter.domain.findings import CheckResult, Finding, fail, ok, warn
from newsletter.domain.http_headers import http_date
from newsletter.domain.model import Criterion, Paper, Rubric
from newsletter.scorers import CallFailure, ScorerError, ScoringRequest
from newsletter.scorers.claude import prices
from newsletter.scorers.claude.scorer import ClaudeScorer

if TYPE_CHECKING:
    from newsletter.scorers.claude.scorer import TokenCount
    from newsletter.settings import Settings

CHECK = "anthropic key"
ASKED = "POST /v1/messages/count_tokens"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""Any time will do: it only matters for a Retry-After that is a date, and no call is retried."""
RUBRIC = Rubric(
    slug="sample",
    title="Sample",
    categories=("cs.LG",),
    criteria=(Criterion(1, "Samples", "Relevant: papers that are samples. Not: others."),),
)


def check(settings: Settings, timeout: float) -> CheckResult:
    scorer = ClaudeScorer(settings, timeout=timeout)
    passes = [1, 2] if scorer.second_opinion else [1]
    try:
        counts = [
            _count(scorer, ScoringRequest(RUBRIC, _papers(16), pass_number))
            for pass_number in passes
        ]
    except ScorerError as error:
        transient = error.failure in (CallFailure.BUSY, CallFailure.UNREACHABLE, CallFailure.LOST)
        fix = (
            "try again; see status.claude.com"
            if transient
            else "fix this before the next daily run"
        )
        return CheckResult((fail(CHECK, f"{ASKED}: {error}", fix),))
    which = "first and second pass" if len(passes) > 1 else "a first pass"
    said = (
        f"{ASKED} accepted {which} of 16 papers, output schema included "
        f"({sum(count.tokens for count in counts):,} tokens of {settings.model}); "
        "it proves neither credit nor max_tokens, nor that the schema compiles"
    )
    return CheckResult((ok(CHECK, said), *_last_resort(scorer)), http_date(counts[0].date))


def _last_resort(scorer: ClaudeScorer) -> tuple[Finding, ...]:
    """Warn when the last-resort model, asked about refused papers only, is not available."""
    try:
        _count(scorer, ScoringRequest(RUBRIC, _papers(1), last_resort=True))
    except ScorerError as error:
        said = f"{ASKED} for {prices.last_resort()}: {error}"
        fix = "papers that the model refuses end as refused; name another as last_resort"
        return (warn("last resort", said, fix),)
    return ()


def _count(scorer: ClaudeScorer, request: ScoringRequest) -> TokenCount:
    return scorer.count(scorer.call(request, LONG_AGO))


def _papers(number: int) -> tuple[Paper, ...]:
    return tuple(
        Paper(
            id=f"0001.{place:05d}",
            version=1,
            title=f"Sample paper {place}",
            authors=("A. Sample",),
            abstract="This is no paper but a sample of one, by which a request is counted.",
            primary_category="cs.LG",
            categories=("cs.LG",),
            published=LONG_AGO,
            updated=LONG_AGO,
        )
        for place in range(1, number + 1)
    )
