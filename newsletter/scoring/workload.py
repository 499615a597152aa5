"""Workload of a rubric's day: which papers to score, within which limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.domain.announcements import left_in_month
from newsletter.domain.authors import followed_author
from newsletter.domain.learned_order import LearnedOrder, lacks_less, learn, moved_forward
from newsletter.domain.model import Digest, Listing, Outcome, Rubric
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.errors import RUN_AGAIN
from newsletter.scoring import batches
from newsletter.scoring.chunks import MIN_SHARING_RUBRICS
from newsletter.scoring.rate_limit import ScoringRateLimiter
from newsletter.scoring.run import ScoringLimits, ScoringTarget, score_all, sort_by_likelihood
from newsletter.scoring.triage import Triage, paper_identity, triage
from newsletter.store import digests, ledger, paper_versions, papers, votes

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from newsletter.domain.model import Paper
    from newsletter.domain.progress import Progress
    from newsletter.domain.tfidf import WordCounts
    from newsletter.scorers import Scorer
    from newsletter.settings import Settings
    from newsletter.store import Store

LATE_WINDOW = timedelta(days=14)
"""How far back papers that arrived after their day's digest go into the next digest."""
DUPLICATE_WINDOW = timedelta(days=60)
"""How long a picked paper is not shown again under another id."""


class ListingCache:
    """The listings of a day, read once for each choice of categories. Rubrics share the papers."""

    def __init__(self) -> None:
        self._listings: dict[tuple[str, ...], list[Listing]] = {}
        self._papers: dict[str, Paper] = {}

    def listed(self, tx: Connection, categories: tuple[str, ...], day: date) -> list[Listing]:
        if categories not in self._listings:
            self._listings[categories] = [
                Listing(self._papers.setdefault(one.paper.id, one.paper), one.late)
                for one in papers.listed(tx, categories, day)
            ]
        return self._listings[categories]


def new_listings(
    store: Store, rubric: Rubric, day: date, cache: ListingCache | None = None
) -> list[Listing]:
    """The papers for this rubric's digest of `day`: announced, and in no earlier digest of it."""
    cache = ListingCache() if cache is None else cache
    with store.read() as tx:
        listings = [*cache.listed(tx, rubric.categories, day), *late_listings(tx, rubric, day)]
        open_ids = set(digests.uncovered(tx, rubric.slug, [one.paper.id for one in listings]))
    return [listing for listing in listings if listing.paper.id in open_ids]


def late_listings(tx: Connection, rubric: Rubric, day: date) -> list[Listing]:
    """Papers of earlier dates that arrived after this rubric's digests of these dates were made.

    A category added to the rubric since then does not count. Usually there are none; then no
    earlier digest is loaded.
    """
    first, last = day - LATE_WINDOW, day - timedelta(days=1)
    missed = papers.uncovered_between(tx, rubric.slug, rubric.categories, first, last)
    if not missed:
        return []
    made = digests.between(tx, rubric.slug, first, last)
    names = {one.date: one.rubric.categories for one in made}
    found = {
        paper.id: Listing(paper, late=True)
        for date_of, category, paper in missed
        if category in names.get(date_of, ())
    }
    return list(found.values())


def triage_day(store: Store, rubric: Rubric, day: date, listings: Sequence[Listing]) -> Triage:
    """Triage of a day, without the papers that earlier digests showed."""
    with store.read() as tx:
        shown = paper_versions.picked_between(tx, rubric.slug, day - DUPLICATE_WINDOW, day)
    keys = ((paper_identity(title, authors), paper_id) for paper_id, title, authors in shown)
    picked = {key: paper_id for key, paper_id in keys if key}
    return triage(rubric, [listing.paper for listing in listings], picked)


def triage_in_order(
    store: Store,
    scorer: Scorer,
    rubric: Rubric,
    day: date,
    listings: Sequence[Listing],
    words: WordCounts | None = None,
) -> Triage:
    """Triage of a day, with the likeliest papers first. Rubrics of a day may share `words`."""
    found = triage_day(store, rubric, day, listings)
    likeliest = sort_by_likelihood(store, scorer, rubric, day, found.to_read, words)
    if not scorer.judges:
        # All are ranked in one go: no paper is read before another.
        return replace(found, to_read=likeliest)
    followed = [paper for paper in likeliest if followed_author(rubric, paper)]
    others = [paper for paper in likeliest if not followed_author(rubric, paper)]
    learned = learned_order(store, rubric, others, words)
    return replace(found, to_read=[*followed, *moved_forward(others, learned)])


def learned_order(
    store: Store, rubric: Rubric, read: Sequence[Paper], words: WordCounts | None = None
) -> LearnedOrder:
    """What the votes of the rubric's readers say about the papers of a day."""
    with store.read() as tx:
        given = votes.pooled(tx, rubric.slug)
        if not given:
            return LearnedOrder()
        voted = {one.id: one for one in papers.by_ids(tx, list(dict(given)))}
        examples = [(voted[key], vote.wants_more) for key, vote in given]
        shown = votes.unvoted(tx, rubric.slug, voted) if lacks_less(examples) else []
        unvoted = {one.id: one for one in papers.by_ids(tx, shown)}
    return learn(examples, read, words, unvoted=[unvoted[key] for key in shown])


def score_jointly(
    store: Store,
    scorer: Scorer,
    rubrics: Sequence[Rubric],
    day: date,
    limits: ScoringLimits,
    *,
    clock: Callable[[], datetime],
    progress: Progress,
) -> None:
    """Score for several rubrics at once, so that they share the cost of common papers.

    With the Batch API they share the wait as well. A rubric that has its digest of the day needs
    no exception: its papers are covered, so none is left to score.
    """
    in_batch = batches.should_use(limits, scorer.batcher, len(rubrics), clock())
    if len(rubrics) < (2 if in_batch else MIN_SHARING_RUBRICS) or not scorer.judges:
        return
    from newsletter.domain.tfidf import WordCounts

    words, cache = WordCounts(), ListingCache()
    targets = []
    for rubric in rubrics:
        listings = new_listings(store, rubric, day, cache)
        found = triage_in_order(store, scorer, rubric, day, listings, words)
        targets.append(ScoringTarget(rubric, found.to_read))
    score_all(store, scorer, day, targets, limits, clock=clock, progress=progress)


def scoring_limits(
    settings: Settings, stop: threading.Event, wanted_by: datetime | None = None
) -> ScoringLimits:
    """The operator's limits. `wanted_by` is when the scores are needed; None means now."""
    return ScoringLimits(
        budget_nanos=settings.budget_nanos,
        month_budget_nanos=settings.monthly_budget_nanos,
        concurrency=settings.scoring_concurrency,
        mode=settings.scoring_mode,
        wanted_by=wanted_by,
        rate_limiter=ScoringRateLimiter(
            settings.scoring_requests_per_minute, settings.scoring_tokens_per_minute
        ),
        stop=stop,
    )


def needed_later(tx: Connection, day: date) -> int:
    """What the operator's rubrics usually cost on the announcements left in the month of `day`."""
    return left_in_month(day) * digests.usual_cost(tx, day)


def reader_rubric_limits(
    store: Store,
    settings: Settings,
    operator: Iterable[str],
    day: date,
    stop: threading.Event,
    wanted_by: datetime | None = None,
) -> ScoringLimits:
    """The limits of a reader rubric: a budget of its own, and of the month what is left over.

    The `operator`'s rubrics without a digest of `day` may still need their whole budgets, and the
    rest of the month what they usually cost.
    """
    limits = scoring_limits(settings, stop, wanted_by)
    month = limits.month_budget_nanos
    if month is not None:
        with store.read() as tx:
            needed = ledger.needed_for_day(tx, operator, day, settings.budget_nanos)
            later = needed_later(tx, day)
        month = max(0, month - needed - later)
    own = settings.reader_rubric_budget_nanos
    return replace(limits, budget_nanos=own, month_budget_nanos=month)


def hold_reason(digest: Digest, cause: str = "") -> str:
    """Message for the operator: why a digest is held, and how to fix it.

    `cause` is why papers failed, as reported by the vendor or the network.
    """
    coverage = digest.coverage
    unread = f"{coverage.announced - coverage.scanned} of {coverage.announced} papers"
    if coverage.count(Outcome.UNSCORED_BUDGET):
        own = is_reader_rubric(digest.rubric.slug)
        budget = "NEWSLETTER_READER_RUBRIC_BUDGET_USD" if own else "NEWSLETTER_BUDGET_USD"
        return (
            f"the budget left {unread} unread, too many to say that nothing matters; raise "
            f"{budget} or NEWSLETTER_MONTHLY_BUDGET_USD and run again"
        )
    if coverage.count(Outcome.REFUSED) == coverage.announced:
        return (
            f"the model refused {unread}; running again changes nothing: choose another "
            "NEWSLETTER_MODEL, or leave this day out"
        )
    because = f" ({cause})" if cause else ""
    return f"{unread} could not be scored{because}; the digest is held: {RUN_AGAIN}"
