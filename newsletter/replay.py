"""Stored days scored once more: with a changed rubric, or with the same one to see how it wavers.

What is bought stands in the ledger under an account of its own, so that no digest's cost changes;
a changed rubric's scores are kept, and cost nothing again when it is adopted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from newsletter.desk import Desk
from newsletter.digest import closest
from newsletter.fidelity import picked
from newsletter.model import Outcome
from newsletter.score import likeliest_first, score
from newsletter.store import ledger, scores
from newsletter.store.ledger import Budget
from newsletter.triage import triage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from newsletter.model import Paper, Rubric, Score, Usage
    from newsletter.score import Limits, Scored
    from newsletter.scorers import Scorer
    from newsletter.store import Store

SUFFIX = "~replay"
LONGEST_SLUG = 64


class StoredDay(NamedTuple):
    date: date
    papers: Sequence[Paper]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One day: ids gained, lost and kept against the rubric as it was scored; what this call cost.

    `compared` is False when the day was never scored with the old rubric: then all is gained. What
    was not read now is neither gained nor lost.
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


def unread_reason(scored: Scored) -> str:
    """Why papers were left unread that running again may reach; empty when the day is whole."""
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
    limits: Limits,
    *,
    clock: Callable[[], datetime],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Replayed]:
    """Score the days with `new` and compare with what `old` had picked. Raises ScoringFailed."""
    done = []
    choose = picked if scorer.judges else closest
    for day in days:
        found = rescore(store, scorer, new, day, limits, clock=clock, progress=progress)
        before = stored(store, scorer, old, day, clock) if old else {}
        now = choose(new, found.scores)
        was = (choose(old, before) if old else set()) - (found.outcomes.keys() - found.scores)
        done.append(
            Replayed(
                date=day.date,
                gained=tuple(sorted(now - was)),
                lost=tuple(sorted(was - now)),
                kept=tuple(sorted(now & was)),
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
    limits: Limits,
    *,
    clock: Callable[[], datetime],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Scored:
    """The day under an account of its own; scores that are stored for this rubric are used.

    The budget is for this call, whatever earlier ones cost, and so is the usage that is answered.
    """
    aside = replace(rubric, slug=rubric.slug[: LONGEST_SLUG - len(SUFFIX)] + SUFFIX)
    to_read = triage(rubric, day.papers).to_read
    likeliest = likeliest_first(store, scorer, rubric, day.date, to_read)
    with store.read() as tx:
        spent = ledger.spent(tx, aside.slug, day.date)
        paid = {one.model: one for one in ledger.usage(tx, aside.slug, day.date)}
    found = score(
        store,
        scorer,
        aside,
        day.date,
        likeliest,
        replace(limits, budget_nanos=limits.budget_nanos + spent),
        clock=clock,
        progress=progress,
        salt=scorer.salt if isinstance(scorer, Again) else "",
    )
    fresh = (one - paid[one.model] if one.model in paid else one for one in found.usage)
    return replace(found, usage=tuple(u for u in fresh if u.total_tokens or u.uncertain_nanos))


def stored(
    store: Store, scorer: Scorer, rubric: Rubric, day: StoredDay, clock: Callable[[], datetime]
) -> dict[str, Score]:
    """The final scores that the ledger holds of a day, for nothing."""
    from newsletter.model import Score as Found
    from newsletter.opinion import all_settled

    desk = Desk(store, scorer, rubric, day.date, Budget(0), clock)
    with store.read() as tx:
        known = scores.known(tx, desk.account, [paper.id for paper in day.papers])
    first, second = (
        {key: one for key, one in known[reading].items() if isinstance(one, Found)}
        for reading in (1, 2)
    )
    return all_settled(day.papers, first, second)


class Again:
    """The same model asked about the same papers once more, under another name.

    Nothing it says replaces what is stored. `mark` sets one such run apart from the next: it is in
    the name, and it shuffles the papers, because order and company sway a model as well.
    """

    def __init__(self, scorer: Scorer, mark: str) -> None:
        self.name = f"{scorer.name}/again-{mark}"
        self.salt = f"/{mark}"
        self.judges = scorer.judges
        self.sizes = scorer.sizes
        self.second_opinion = scorer.second_opinion
        self.batcher = scorer.batcher
        self.call = scorer.call
        self.ask = scorer.ask
        self.read = scorer.read
        self.weigh = scorer.weigh
        self.prompt = scorer.prompt


_: type[Scorer] = Again
