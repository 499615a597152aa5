"""Replay: score stored days again with a changed or the same rubric, and measure agreement.

Calls are booked in the ledger under a slug of their own, so no digest's cost changes. Scores of a
changed rubric are kept and cost nothing when the rubric is adopted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.digest import closest
from newsletter.domain.model import Outcome, Score
from newsletter.scoring.run import score, sort_by_likelihood
from newsletter.scoring.second_opinion import merge_all_scores
from newsletter.scoring.triage import triage
from newsletter.store import ledger, scores
from newsletter.store.ledger import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime

    from newsletter.domain.model import Paper, Rubric, Usage
    from newsletter.scorers import Scorer
    from newsletter.scoring.run import RubricScores, ScoringLimits
    from newsletter.store import Store

HIGH = 17
"""Total score from which on a paper should never be missed."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two runs over the same papers; drifts are second minus first, scale 1 to 10."""

    papers: int
    jaccard: float
    same: float
    relevance_apart: float
    novelty_apart: float
    relevance_drift: float
    novelty_drift: float


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Agreement of our scores with a labelled day.

    `jaccard` and `recall_high` compare the labels with the same number of our best papers, whatever
    the scale. `jaccard_at_bar`, `recall` and `precision` compare the papers that meet the rubric's
    cut-offs. Drifts are ours minus the label's. None: the share of an empty set.
    """

    labels: int
    jaccard: float
    recall_high: float | None
    jaccard_at_bar: float
    recall: float | None
    precision: float | None
    relevance_apart: float
    novelty_apart: float
    relevance_drift: float
    novelty_drift: float


def picked(rubric: Rubric, scores: Mapping[str, Score]) -> set[str]:
    """The ids that meet the rubric's cut-offs."""
    return {
        paper_id
        for paper_id, score in scores.items()
        if rubric.is_met_by(score.relevance, score.novelty)
    }


def agreement(rubric: Rubric, first: Mapping[str, Score], second: Mapping[str, Score]) -> Agreement:
    both = sorted(first.keys() & second.keys())
    pairs = [(first[key], second[key]) for key in both]
    relevance = [(b.relevance or 0) - (a.relevance or 0) for a, b in pairs]
    novelty = [(b.novelty or 0) - (a.novelty or 0) for a, b in pairs]
    chosen = [picked(rubric, {key: run[key] for key in both}) for run in (first, second)]
    equal = [r == n == 0 for r, n in zip(relevance, novelty, strict=True)]
    return Agreement(
        papers=len(both),
        jaccard=jaccard(*chosen),
        same=_mean(equal),
        relevance_apart=_mean([abs(value) for value in relevance]),
        novelty_apart=_mean([abs(value) for value in novelty]),
        relevance_drift=_mean(relevance),
        novelty_drift=_mean(novelty),
    )


def compare_with_labels(
    rubric: Rubric, labels: Mapping[str, tuple[int, int]], scores: Mapping[str, Score]
) -> Fidelity:
    """Compare scores with labels, (relevance, novelty) by id; other papers are not compared."""
    ranked = sorted(scores.values(), key=_rank)
    best = {score.paper_id for score in ranked[: len(labels)]}
    both = sorted(labels.keys() & scores.keys())
    high = {key for key, (relevance, novelty) in labels.items() if relevance + novelty >= HIGH}
    ours = picked(rubric, scores)
    theirs = {key for key, label in labels.items() if rubric.is_met_by(*label)}
    relevance = [(scores[key].relevance or 0) - labels[key][0] for key in both]
    novelty = [(scores[key].novelty or 0) - labels[key][1] for key in both]
    return Fidelity(
        labels=len(labels),
        jaccard=jaccard(best, set(labels)),
        recall_high=_share(high & best, high),
        jaccard_at_bar=jaccard(ours, theirs),
        recall=_share(ours & theirs, theirs),
        precision=_share(ours & theirs, ours),
        relevance_apart=_mean([abs(value) for value in relevance]),
        novelty_apart=_mean([abs(value) for value in novelty]),
        relevance_drift=_mean(relevance),
        novelty_drift=_mean(novelty),
    )


def jaccard(left: set[str], right: set[str]) -> float:
    """1.0 for two empty sets: they agree."""
    return len(left & right) / len(left | right) if left | right else 1.0


def _share(part: set[str], whole: set[str]) -> float | None:
    return len(part) / len(whole) if whole else None


def _rank(score: Score) -> tuple[int, int, int, str]:
    return (-score.total, -(score.relevance or 0), -score.fine, score.paper_id)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


SUFFIX = "~replay"
MAX_SLUG = 64


class StoredDay(NamedTuple):
    date: date
    papers: Sequence[Paper]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One replayed day: ids gained, lost and kept against the old rubric, and this call's cost.

    `compared` is False when the day was never scored with the old rubric: then all are gained.
    Papers that were not scored now are neither gained nor lost.
    """

    date: date
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    kept: tuple[str, ...]
    usage: tuple[Usage, ...]
    compared: bool
    read: int
    to_read: int
    unread_reason: str = ""


def unread_reason(scored: RubricScores) -> str:
    """Why papers were not scored, where running again may help; empty when all were scored."""
    left = Counter(scored.outcomes.values())
    if left[Outcome.UNSCORED_BUDGET]:
        return (
            "the budget is spent; run it again for the rest, or raise NEWSLETTER_BUDGET_USD or "
            "NEWSLETTER_MONTHLY_BUDGET_USD"
        )
    return scored.cause


def replay(
    store: Store,
    scorer: Scorer,
    old: Rubric | None,
    new: Rubric,
    days: Sequence[StoredDay],
    limits: ScoringLimits,
    *,
    clock: Callable[[], datetime],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Replayed]:
    """Score the days with `new` and compare with the picks of `old`. Raises ScoringFailed."""
    done = []
    choose = picked if scorer.judges else closest
    for day in days:
        found = rescore(store, scorer, new, day, limits, clock=clock, progress=progress)
        before = stored_scores(store, scorer, old, day) if old else {}
        now = choose(new, found.scores)
        picked_before = (choose(old, before) if old else set()) - (
            found.outcomes.keys() - found.scores
        )
        done.append(
            Replayed(
                date=day.date,
                gained=tuple(sorted(now - picked_before)),
                lost=tuple(sorted(picked_before - now)),
                kept=tuple(sorted(now & picked_before)),
                usage=found.usage,
                compared=bool(before),
                read=len(found.scores),
                to_read=len(found.outcomes),
                unread_reason=unread_reason(found),
            )
        )
    return done


def rescore(
    store: Store,
    scorer: Scorer,
    rubric: Rubric,
    day: StoredDay,
    limits: ScoringLimits,
    *,
    clock: Callable[[], datetime],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> RubricScores:
    """Score a stored day under the replay slug; stored scores of this rubric are reused.

    Budget and returned usage are for this call only.
    """
    replay_rubric = replace(rubric, slug=rubric.slug[: MAX_SLUG - len(SUFFIX)] + SUFFIX)
    to_read = triage(rubric, day.papers).to_read
    likeliest = sort_by_likelihood(store, scorer, rubric, day.date, to_read)
    with store.read() as tx:
        spent = ledger.spent(tx, replay_rubric.slug, day.date)
        paid = {one.model: one for one in ledger.usage(tx, replay_rubric.slug, day.date)}
    found = score(
        store,
        scorer,
        replay_rubric,
        day.date,
        likeliest,
        replace(limits, budget_nanos=limits.budget_nanos + spent),
        clock=clock,
        progress=progress,
        salt=scorer.salt if isinstance(scorer, RepeatScorer) else "",
    )
    fresh = (one - paid[one.model] if one.model in paid else one for one in found.usage)
    return replace(found, usage=tuple(u for u in fresh if u.total_tokens or u.uncertain_nanos))


def stored_scores(store: Store, scorer: Scorer, rubric: Rubric, day: StoredDay) -> dict[str, Score]:
    """The stored final scores of a day; makes no call."""
    account = Account(rubric.slug, rubric.fingerprint, scorer.name, day.date, "")
    with store.read() as tx:
        known = scores.known(tx, account, [paper.id for paper in day.papers])
    first, second = (
        {key: one for key, one in known[pass_number].items() if isinstance(one, Score)}
        for pass_number in (1, 2)
    )
    return merge_all_scores(day.papers, first, second)


class RepeatScorer:
    """Wraps a scorer to score the same papers again, under another name.

    Stored scores are not replaced. `mark` distinguishes repeated runs: it is part of the name, and
    shuffles the papers, because order and neighbours influence a model.
    """

    def __init__(self, scorer: Scorer, mark: str) -> None:
        self.name = f"{scorer.name}/again-{mark}"
        self.salt = f"/{mark}"
        self.judges = scorer.judges
        self.sizes = scorer.sizes
        self.second_pass_sizes = scorer.second_pass_sizes
        self.second_opinion = scorer.second_opinion
        self.batcher = scorer.batcher
        self.call = scorer.call
        self.ask = scorer.ask
        self.read = scorer.read
        self.estimate_usage = scorer.estimate_usage
        self.prompt = scorer.prompt


_: type[Scorer] = RepeatScorer
