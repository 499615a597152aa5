"""Compare prompt versions over labelled days: agreement with the labels, noise, position, cost.

Each prompt version scores each day several times, with the papers in another order each time. Calls
and answers are stored like those of a daily run, in a database of their own: what was paid once is
not paid again, and no digest and no budget of the service changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

from newsletter.domain.model import Score
from newsletter.scoring.replay import (
    SUFFIX,
    RepeatScorer,
    StoredDay,
    compare_with_labels,
    jaccard,
    picked,
    rescore,
    unread_reason,
)
from newsletter.store import ledger, papers, scores
from newsletter.store.ledger import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from newsletter.domain.model import Rubric
    from newsletter.scorers import Scorer
    from newsletter.scoring.labelled_days import LabelledDay
    from newsletter.scoring.replay import Fidelity
    from newsletter.scoring.run import ScoringLimits
    from newsletter.store import Store


@dataclass(frozen=True, slots=True)
class PromptRun:
    """One prompt version on one labelled day, once.

    `slots` are (slot, relevance + novelty) of the first pass. `read` of `papers` were scored;
    `unread_reason` says why not all. `nanos` is the cost of all calls so far.
    """

    version: str
    repeat: int
    day: LabelledDay
    fidelity: Fidelity
    picks: frozenset[str]
    slots: Sequence[tuple[str, int]]
    papers: int
    read: int
    nanos: int
    unread_reason: str = ""


@dataclass(frozen=True, slots=True)
class PromptFigures:
    """Means over the days and repeats of one prompt version.

    `recall`, `precision` and `jaccard` compare picks with the labels at the rubric's cut-offs; None
    where no day has any. Drifts are ours minus the label's, on the scale of 1 to 10.
    `repeats_agree` is the mean Jaccard index of the picks of two repeats of a day; None for one.
    `by_slot` is the mean of relevance + novelty for each slot of a call: without a position effect
    all are alike. `picks` is the mean number of picks a day, `nanos` the cost of all runs.
    """

    version: str
    days: int
    runs: int
    recall: float | None
    precision: float | None
    jaccard: float
    relevance_drift: float
    novelty_drift: float
    repeats_agree: float | None
    picks: float
    by_slot: Mapping[str, float]
    nanos: int


def run_prompt(
    store: Store,
    scorer: Scorer,
    version: str,
    repeat: int,
    rubric: Rubric,
    day: LabelledDay,
    limits: ScoringLimits,
    *,
    clock: Callable[[], datetime],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> PromptRun:
    """Score a labelled day with `scorer`. Raises ScoringFailed."""
    own = replace(rubric, slug=f"prompt-{version}-{repeat}")
    repeated: Scorer = RepeatScorer(scorer, f"bench-{repeat}")
    with store.begin() as tx:
        papers.keep(tx, day.papers)
    stored = StoredDay(day.date, day.papers)
    found = rescore(store, repeated, own, stored, limits, clock=clock, progress=progress)
    account = Account(own.slug, own.fingerprint, repeated.name, day.date, "")
    with store.read() as tx:
        usage = ledger.usage(tx, f"{own.slug}{SUFFIX}", day.date)
        first = scores.known(tx, account, [paper.id for paper in day.papers])[1]
        calls = ledger.first_pass_slots(tx, account)
    return PromptRun(
        version=version,
        repeat=repeat,
        day=day,
        fidelity=compare_with_labels(own, day.labels, found.scores),
        picks=frozenset(picked(own, found.scores)),
        slots=_totals_by_slot(calls, first),
        papers=len(found.outcomes),
        read=len(found.scores),
        nanos=sum(one.total_nanos for one in usage),
        unread_reason=unread_reason(found),
    )


def _totals_by_slot(
    calls: Iterable[Mapping[str, str]], first: Mapping[str, object]
) -> list[tuple[str, int]]:
    """Of the largest calls only: smaller ones hold what was asked again."""
    calls = list(calls)
    largest = max(map(len, calls), default=0)
    return [
        (slot, score.total)
        for call in calls
        if len(call) == largest
        for slot, paper_id in call.items()
        if isinstance(score := first.get(paper_id), Score)
    ]


def figures(version: str, runs: Sequence[PromptRun]) -> PromptFigures:
    """The means of one prompt version's runs; at least one."""
    days = {run.day.date for run in runs}
    pairs = [
        jaccard(set(one.picks), set(other.picks))
        for day in sorted(days)
        for one, other in combinations([run for run in runs if run.day.date == day], 2)
    ]
    totals: dict[str, list[int]] = {}
    for run in runs:
        for slot, total in run.slots:
            totals.setdefault(slot, []).append(total)
    return PromptFigures(
        version=version,
        days=len(days),
        runs=len(runs),
        recall=_mean(run.fidelity.recall for run in runs),
        precision=_mean(run.fidelity.precision for run in runs),
        jaccard=fmean(run.fidelity.jaccard_at_bar for run in runs),
        relevance_drift=fmean(run.fidelity.relevance_drift for run in runs),
        novelty_drift=fmean(run.fidelity.novelty_drift for run in runs),
        repeats_agree=_mean(pairs),
        picks=fmean(len(run.picks) for run in runs),
        by_slot={slot: fmean(values) for slot, values in sorted(totals.items())},
        nanos=sum(run.nanos for run in runs),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
