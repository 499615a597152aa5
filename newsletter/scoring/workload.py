"""What a rubric has to read of a day, with what money, and what it means when it could not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.domain.model import NANOS_PER_DOLLAR, Digest, Listing, Outcome, Rubric
from newsletter.errors import RUN_AGAIN
from newsletter.scoring import batches
from newsletter.scoring.chunks import LEAST_SHARING
from newsletter.scoring.rate_limit import ScoringRateLimiter
from newsletter.scoring.run import ScoringLimits, ScoringWant, likeliest_first, score_all
from newsletter.scoring.triage import Triage, same, triage
from newsletter.store import digests, paper_versions, papers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from newsletter.context import App
    from newsletter.domain.progress import StageProgress

MEMORY = timedelta(days=14)
"""How long a paper that came after its day's digest was made waits for the next digest."""
SHOWN_BEFORE = timedelta(days=60)
"""How long a paper that was picked is not shown again under another id."""


def new_listings(app: App, rubric: Rubric, day: date) -> list[Listing]:
    """What this rubric's digest of `day` is about: announced, and in no earlier digest of it."""
    with app.store.read() as tx:
        listings = [*papers.listed(tx, rubric.categories, day), *late_listings(tx, rubric, day)]
        open_ids = set(digests.uncovered(tx, rubric.slug, [one.paper.id for one in listings]))
    return [listing for listing in listings if listing.paper.id in open_ids]


def late_listings(tx: Connection, rubric: Rubric, day: date) -> list[Listing]:
    """What came to earlier dates after this rubric's digests of them were made: it is late now.

    A category that the rubric has since is no part of those: it begins with the next date. Nearly
    always nothing came; then no earlier digest is read.
    """
    first, last = day - MEMORY, day - timedelta(days=1)
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


def triaged(app: App, rubric: Rubric, day: date, listings: Sequence[Listing]) -> Triage:
    """The papers to be read, and what becomes of the others."""
    with app.store.read() as tx:
        shown = paper_versions.picked_between(tx, rubric.slug, day - SHOWN_BEFORE, day)
    keys = (same(title, authors) for title, authors in shown)
    picked = [key for key in keys if key]
    return triage(rubric, [listing.paper for listing in listings], picked)


def to_score(app: App, rubric: Rubric, day: date, listings: Sequence[Listing]) -> Triage:
    """The same, with the likeliest papers first."""
    found = triaged(app, rubric, day, listings)
    likeliest = likeliest_first(app.store, app.scorer, rubric, day, found.to_read)
    return replace(found, to_read=likeliest)


def score_jointly(
    app: App, rubrics: list[Rubric], day: date, report: StageProgress, by: datetime | None = None
) -> None:
    """Score for several rubrics at once: they pay together for the papers they have in common.

    Or wait together, where their calls go in bulk. `by` is when the scores are wanted.
    """
    with app.store.read() as tx:
        unmade = [rubric for rubric in rubrics if not digests.load(tx, rubric.slug, day)]
    limits = scoring_limits(app, by)
    in_bulk = batches.wanted(limits, app.scorer.batcher, len(unmade), app.clock())
    if len(unmade) < (2 if in_bulk else LEAST_SHARING) or not app.scorer.judges:
        return
    wants = [
        ScoringWant(rubric, to_score(app, rubric, day, new_listings(app, rubric, day)).to_read)
        for rubric in unmade
    ]
    score_all(
        app.store,
        app.scorer,
        day,
        wants,
        limits,
        clock=app.clock,
        progress=lambda done, total: report("Scoring for all", done, total),
    )


def scoring_limits(app: App, wanted_by: datetime | None = None) -> ScoringLimits:
    settings = app.settings
    month = settings.monthly_budget_usd
    return ScoringLimits(
        budget_nanos=int(settings.budget_usd * NANOS_PER_DOLLAR),
        month_budget_nanos=None if month is None else int(month * NANOS_PER_DOLLAR),
        concurrency=settings.scoring_concurrency,
        mode=settings.scoring_mode,
        wanted_by=wanted_by,
        pace=ScoringRateLimiter(
            settings.scoring_requests_per_minute, settings.scoring_tokens_per_minute
        ),
        stop=app.stop,
    )


def why_held(digest: Digest, cause: str = "") -> str:
    """What keeps a digest from being made, and what to do about it.

    `cause` is why papers failed, as the vendor or the network told it.
    """
    coverage = digest.coverage
    unread = f"{coverage.announced - coverage.scanned} of {coverage.announced} papers"
    if coverage.count(Outcome.UNSCORED_BUDGET):
        return (
            f"the budget left {unread} unread, too many to say that nothing matters; raise "
            "NEWSLETTER_BUDGET_USD or NEWSLETTER_MONTHLY_BUDGET_USD and run again"
        )
    if coverage.count(Outcome.REFUSED) == coverage.announced:
        return (
            f"the model refused {unread}; running again changes nothing: choose another "
            "NEWSLETTER_MODEL, or leave this day out"
        )
    because = f" ({cause})" if cause else ""
    return f"{unread} could not be scored{because}; the digest is held: {RUN_AGAIN}"
