"""`run --dry-run`: what a run would score, and what that costs at most. Nothing is paid."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.formatting import plural
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.jobs.daily import DayState, fetch_papers, read_day
from newsletter.scoring.cost import preview_cost, unscored
from newsletter.scoring.workload import new_listings, triage_day
from newsletter.store import digests

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from newsletter.context import App
    from newsletter.domain.model import Rubric
    from newsletter.domain.progress import StageProgress


class RunPreview(NamedTuple):
    """One rubric's run: papers not scored yet, and the most they may cost (nano-dollars)."""

    rubric: str
    announced: int
    to_read: int
    at_most_nanos: int
    readers: int


def preview_run(
    app: App, day: date | None, only: str | None, report: StageProgress
) -> tuple[DayState, list[RunPreview]]:
    """Fetch the papers, and preview each rubric's cost. Nothing is scored."""
    state = read_day(app, day, only)
    fetch_papers(app, state, day, report)
    return state, [_preview(app, state, rubric) for rubric in state.rubrics]


def with_reader_rubrics_summed(previews: Sequence[RunPreview]) -> list[RunPreview]:
    """One line for all reader rubrics, after the others."""
    own = [one for one in previews if is_reader_rubric(one.rubric)]
    named = [one for one in previews if not is_reader_rubric(one.rubric)]
    if own:
        _, *figures = zip(*own, strict=True)
        named.append(RunPreview(plural(len(own), "reader rubric"), *map(sum, figures)))
    return named


def _preview(app: App, state: DayState, rubric: Rubric) -> RunPreview:
    store, scorer, day = app.store, app.scorer, state.date
    readers = state.readers.get(rubric.slug, 0)
    if rubric.slug in state.made:
        with store.read() as tx:
            announced = digests.announced(tx, rubric.slug, day)
        return RunPreview(rubric.slug, announced, 0, 0, readers)
    listings = new_listings(store, rubric, day)
    to_read = triage_day(store, rubric, day, listings).to_read
    missing = unscored(store, scorer, rubric, day, to_read)
    upper = preview_cost(scorer, rubric, day, missing, state.as_of).upper_nanos
    at_most = min(upper, app.settings.budget_of(rubric.slug))
    return RunPreview(rubric.slug, len(listings), len(missing), at_most, readers)
