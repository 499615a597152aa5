"""About what tomorrow's run will cost, by the newest announcement that is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.domain.findings import Finding, fail, ok, warn
from newsletter.domain.formatting import dollars, plural
from newsletter.scorers import ScorerError
from newsletter.scoring.cost import CostPreview, expected_share, preview_cost
from newsletter.scoring.triage import triage
from newsletter.store import papers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from newsletter.domain.model import Rubric
    from newsletter.scorers import Scorer
    from newsletter.settings import Settings
    from newsletter.store import Store
    from newsletter.store.reports.reader_rubrics import ReaderRubricTotals

CHECK = "price"
RUNS_PER_MONTH = 21
"""In a month, on average."""


def forecast(
    store: Store,
    scorer: Scorer,
    rubrics: Sequence[Rubric],
    settings: Settings,
    now: datetime,
    *,
    offline: bool,
) -> Finding:
    """Forecast from upper bounds; unless `offline`, the vendor counts one rubric's tokens, free."""
    previews = [
        preview for rubric in rubrics if (preview := _newest_day(store, scorer, rubric, now))
    ]
    if not previews:
        said = "no announcement is stored for the rubrics that have readers: no price yet"
        return warn(CHECK, said, "newsletter run --dry-run says it")
    if not any(preview.upper_nanos for preview in previews):
        return ok(CHECK, "nothing: papers are ranked on this machine")
    if offline:
        return _judged(previews, 1.0, settings, "at most")
    try:
        share = expected_share(scorer, previews, now)
    except ScorerError as error:
        return fail(CHECK, f"the tokens could not be counted: {error}", "see: anthropic key")
    return _judged(previews, share, settings, "about")


def reader_rubrics_found(
    own: ReaderRubricTotals, writers: int, settings: Settings, *, free: bool
) -> Iterator[Finding]:
    """All reader rubrics in one line, and the most that they, drafts and previews cost a day.

    `writers` may write one. Nothing where there are none and they are turned off.
    """
    check = "reader rubrics"
    states = f"{own.active} active, {own.paused} paused, {own.drafts} drafts"
    if not settings.reader_rubrics:
        if any((own.active, own.paused, own.drafts)):
            fix = "set NEWSLETTER_READER_RUBRICS to how many a reader may have"
            yield warn(check, f"{states}; they are turned off, and make no digests", fix)
        return
    budget = 0 if free else settings.reader_rubric_budget_nanos
    most, trials = own.active * budget, writers * budget
    who = f"if all {plural(writers, 'reader')} use them"
    said = f"{states}; at most {dollars(most)} a day for digests"
    said += f", and {dollars(trials)} for drafts and previews {who}" if trials else ""
    month = settings.monthly_budget_nanos
    if month is not None and most * RUNS_PER_MONTH > month:
        fix = "raise NEWSLETTER_MONTHLY_BUDGET_USD, or lower NEWSLETTER_READER_RUBRIC_BUDGET_USD"
        yield warn(check, f"{said}; a month may take more than ${settings.monthly_budget_usd}", fix)
        return
    yield ok(check, said)


def _newest_day(store: Store, scorer: Scorer, rubric: Rubric, now: datetime) -> CostPreview | None:
    """The cost of the newest stored day, as if nothing of it was scored; None without papers."""
    with store.read() as tx:
        days = papers.dates(tx, rubric.categories, 1)
        found = papers.listed(tx, rubric.categories, days[0]) if days else []
    to_read = triage(rubric, [listing.paper for listing in found]).to_read
    return preview_cost(scorer, rubric, days[0], to_read, now) if to_read else None


def _judged(
    previews: Sequence[CostPreview], share: float, settings: Settings, word: str
) -> Finding:
    price = {one.rubric.slug: round(one.upper_nanos * share) for one in previews}
    total, count = sum(price.values()), sum(len(one.papers) for one in previews)
    over = [slug for slug, nanos in price.items() if nanos > settings.budget_nanos]
    said = f"{word} {dollars(total)} for {plural(count, 'paper')} under "
    said += f"{plural(len(previews), 'rubric')}, as on {max(one.day for one in previews)}"
    if over:
        fix = "raise NEWSLETTER_BUDGET_USD, or narrow the rubric: papers would stay unread"
        return warn(CHECK, f"{said}; over the budget: {', '.join(over)}", fix)
    monthly = settings.monthly_budget_nanos
    if monthly is not None and total * RUNS_PER_MONTH > monthly:
        fix = "raise NEWSLETTER_MONTHLY_BUDGET_USD"
        return warn(CHECK, f"{said}; a month takes more than ${settings.monthly_budget_usd}", fix)
    return ok(CHECK, said)
