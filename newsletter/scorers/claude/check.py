"""Whether the key, the models and the requests hold: counts of tokens, which are free.

Counted are whole requests as a morning sends them, the output schema included. What counting does
not look at, the finding says.
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
    from newsletter.scorers.claude.scorer import Count
    from newsletter.settings import Settings

CHECK = "anthropic key"
ASKED = "POST /v1/messages/count_tokens"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""Only a Retry-After that is a date would be measured from it, and nobody waits here."""
RUBRIC = Rubric(
    slug="sample",
    title="Sample",
    categories=("cs.LG",),
    criteria=(Criterion(1, "Samples", "Relevant: papers that are samples. Not: others."),),
)


def check(settings: Settings, timeout: float) -> CheckResult:
    scorer = ClaudeScorer(settings, timeout=timeout)
    readings = [1, 2] if scorer.second_opinion else [1]
    try:
        counts = [
            _count(scorer, ScoringRequest(RUBRIC, _papers(16), reading)) for reading in readings
        ]
    except ScorerError as error:
        passing = error.failure in (CallFailure.BUSY, CallFailure.UNREACHABLE, CallFailure.LOST)
        fix = "try again; see status.claude.com" if passing else "mend it before the morning"
        return CheckResult((fail(CHECK, f"{ASKED}: {error}", fix),))
    which = "the first and the second reading" if len(readings) > 1 else "a first reading"
    said = (
        f"{ASKED} took {which} of 16 papers, output schema included "
        f"({sum(count.tokens for count in counts):,} tokens of {settings.model}); "
        "it proves neither credit nor max_tokens, nor that the schema compiles"
    )
    return CheckResult((ok(CHECK, said), *_last_resort(scorer)), http_date(counts[0].date))


def _last_resort(scorer: ClaudeScorer) -> tuple[Finding, ...]:
    """Nothing where it is there: it is needed only for a paper that the first model refuses."""
    try:
        _count(scorer, ScoringRequest(RUBRIC, _papers(1), last_resort=True))
    except ScorerError as error:
        said = f"{ASKED} for {prices.last_resort()}: {error}"
        fix = "papers that the model refuses end as refused; name another as last_resort"
        return (warn("last resort", said, fix),)
    return ()


def _count(scorer: ClaudeScorer, request: ScoringRequest) -> Count:
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
