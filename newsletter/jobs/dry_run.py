"""What a run would read and cost at most, before anything is paid."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from newsletter.jobs.daily import fetch_papers, rubrics_to_run
from newsletter.scoring.cost import price
from newsletter.scoring.workload import new_listings, scoring_limits, triage_day
from newsletter.store import digests, subscribers

if TYPE_CHECKING:
    from datetime import date

    from newsletter.context import App
    from newsletter.domain.model import Rubric
    from newsletter.domain.progress import StageProgress


class CostPreview(NamedTuple):
    """One rubric's run: papers not scored yet, and the most they may cost (nano-dollars)."""

    rubric: str
    announced: int
    to_read: int
    at_most_nanos: int
    readers: int


def preview_cost(
    app: App, day: date | None, only: str | None, report: StageProgress
) -> tuple[date, list[CostPreview]]:
    """Fetches, and does nothing else."""
    rubrics = rubrics_to_run(app, only)
    if not rubrics:
        return day or app.source.newest(app.clock()), []
    fetched = fetch_papers(app, rubrics, day, report)
    return fetched.date, [_quote(app, rubric, fetched.date) for rubric in rubrics]


def _quote(app: App, rubric: Rubric, day: date) -> CostPreview:
    with app.store.read() as tx:
        stored = digests.load(tx, rubric.slug, day)
        readers = subscribers.count_by_rubric(tx).get(rubric.slug, 0)
    if stored:
        return CostPreview(rubric.slug, stored[1].coverage.announced, 0, 0, readers)
    listings = new_listings(app, rubric, day)
    to_read = triage_day(app, rubric, day, listings).to_read
    missing, upper = price(app, rubric, day, to_read)
    at_most = min(upper, scoring_limits(app).budget_nanos)
    return CostPreview(rubric.slug, len(listings), missing, at_most, readers)
