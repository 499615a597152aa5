"""What a run would read and cost at most, before anything is paid."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from newsletter.jobs.daily import DayState, fetch_papers, read_day
from newsletter.scoring.cost import price
from newsletter.scoring.workload import new_listings, scoring_limits, triage_day
from newsletter.store import digests

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
) -> tuple[DayState, list[CostPreview]]:
    """Fetch the papers, and preview each rubric's cost. Nothing is scored."""
    state = read_day(app, day, only)
    fetch_papers(app, state, day, report)
    return state, [_preview(app, state, rubric) for rubric in state.rubrics]


def _preview(app: App, state: DayState, rubric: Rubric) -> CostPreview:
    day, readers = state.date, state.readers.get(rubric.slug, 0)
    if rubric.slug in state.made:
        with app.store.read() as tx:
            announced = digests.announced(tx, rubric.slug, day)
        return CostPreview(rubric.slug, announced, 0, 0, readers)
    listings = new_listings(app, rubric, day)
    to_read = triage_day(app, rubric, day, listings).to_read
    missing, upper = price(app, rubric, day, to_read)
    at_most = min(upper, scoring_limits(app).budget_nanos)
    return CostPreview(rubric.slug, len(listings), missing, at_most, readers)
