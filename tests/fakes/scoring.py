"""Input for the scorer: papers that carry their own scores, and one rubric."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, func, select

from newsletter.domain.model import Criterion, Paper, Rubric
from newsletter.rubrics.file import DEFAULT_SCORING
from newsletter.scorers.claude.scorer import ClaudeScorer
from newsletter.scoring.run import RubricScores, ScoringLimits, score
from newsletter.settings import Settings
from newsletter.store.papers import keep
from newsletter.store.tables import call, month_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from newsletter.scorers import Scorer
    from newsletter.store import Store
    from tests.fakes.anthropic import FakeAnthropic

DAY = date(2026, 11, 20)
MORNING = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
DOLLAR = 1_000_000_000

RUBRIC = Rubric(
    slug="machines",
    title="Learning machines",
    categories=("cs.LG",),
    criteria=(
        Criterion(1, "Model compression", "Relevant: pruning, quantization. Not: applications."),
        Criterion(2, "Training dynamics", "Relevant: optimisation theory."),
    ),
    preface="My friend studies how networks learn.",
    scoring=DEFAULT_SCORING,
)
IRRELEVANT = {"m": 0, "c": "", "r": 2, "n": 4, "x": 1}


def paper(number: int, relevance: int = 2, novelty: int = 4, said: str = "") -> Paper:
    """A paper whose abstract says which scores `scores_in_abstract` gives it."""
    return Paper(
        id=f"2611.{number:05d}",
        version=1,
        title=f"Paper number {number} on pruning",
        authors=(f"Ada Author{number}",),
        abstract=f"{said} We prune network {number}. [worth {relevance} and {novelty}]",
        primary_category="cs.LG",
        categories=("cs.LG",),
        published=MORNING,
        updated=MORNING,
    )


def papers(count: int) -> list[Paper]:
    """Every eighth is relevant."""
    return [paper(n, 8, 8) if n % 8 == 0 else paper(n) for n in range(1, count + 1)]


def scores_in_abstract(title: str, abstract: str) -> dict[str, Any]:
    """The scores that the abstract names, a comment for the relevant."""
    found = re.search(r"\[worth (\d+) and (\d+)\]", abstract.replace("^", " "))
    if found is None:
        return dict(IRRELEVANT)
    relevance, novelty = int(found[1]), int(found[2])
    number = int(re.findall(r"\d+", title)[0])
    comment = f"prunes network {number}" if relevance >= 6 else ""
    return {
        "m": 1 if comment else 0,
        "c": comment,
        "r": relevance,
        "n": novelty,
        "x": number % 10,
    }


def settings(url: str = "http://127.0.0.1:9", **more: object) -> Settings:
    return Settings(
        _env_file=None,
        anthropic_api_key="sk-test",
        anthropic_base_url=url,
        **more,  # type: ignore[arg-type]
    )


def claude(
    fake: FakeAnthropic, *, second_opinion: bool = False, timeout: float = 240.0
) -> ClaudeScorer:
    return ClaudeScorer(settings(fake.url, second_opinion=second_opinion), timeout=timeout)


def limits(budget: float = 0.15, **more: Any) -> ScoringLimits:
    """Quick ones: no pause is longer than 20 ms."""
    quick: dict[str, Any] = {"concurrency": 4, "first_backoff": 0.005, "max_backoff": 0.02}
    return ScoringLimits(round(budget * DOLLAR), **(quick | more))


def wall_clock() -> datetime:
    return datetime.now(UTC)


def scored(
    store: Store,
    scorer: Scorer,
    given: Sequence[Paper],
    some_limits: ScoringLimits | None = None,
    *,
    rubric: Rubric = RUBRIC,
    clock: Callable[[], datetime] = wall_clock,
) -> RubricScores:
    """Keep the papers as fetching would, then score them."""
    with store.begin() as tx:
        keep(tx, list(given))
    return score(store, scorer, rubric, DAY, given, some_limits or limits(), clock=clock)


def billed(result: RubricScores) -> int:
    return sum(usage.total_nanos for usage in result.usage)


def uncertain(result: RubricScores) -> int:
    return sum(usage.uncertain_nanos for usage in result.usage)


def month_total(store: Store) -> int:
    """The totals of all months, as the ledger keeps them."""
    with store.read() as tx:
        return int(tx.scalar(select(func.coalesce(func.sum(month_cost.c.nanos), 0))) or 0)


def sum_of_calls(store: Store) -> int:
    """What all calls cost; one without an answer may have cost its upper bound."""
    unsure = call.c.state.in_(["intent", "lost"])
    amount = case((unsure, call.c.upper_nanos), else_=call.c.cost_nanos)
    with store.read() as tx:
        return int(tx.scalar(select(func.coalesce(func.sum(amount), 0))) or 0)
