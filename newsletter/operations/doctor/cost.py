"""About what tomorrow's run will cost, by the newest announcement that is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.findings import Finding, fail, ok, warn
from newsletter.domain.formatting import dollars, plural
from newsletter.scorers import ScorerError, ScoringRequest
from newsletter.scoring import chunks
from newsletter.scoring.cost import estimate
from newsletter.scoring.triage import triage
from newsletter.store import papers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from newsletter.domain.model import Paper, Rubric
    from newsletter.scorers import Scorer
    from newsletter.settings import Settings
    from newsletter.store import Store

CHECK = "price"
MORNINGS = 21
"""In a month, on average."""


class _Bill(NamedTuple):
    """A rubric's papers of one day, and the most that their first reading can cost."""

    rubric: Rubric
    day: date
    papers: list[Paper]
    at_most: int


def forecast(
    store: Store,
    scorer: Scorer,
    rubrics: Sequence[Rubric],
    settings: Settings,
    now: datetime,
    *,
    offline: bool,
) -> Finding:
    """One rubric's tokens are counted by the other side, for nothing; the rest in proportion."""
    bills = [bill for rubric in rubrics if (bill := _bill(store, scorer, rubric, now))]
    if not bills:
        said = "no announcement is stored for the rubrics that have readers: no price yet"
        return warn(CHECK, said, "newsletter run --dry-run says it")
    largest = max(bills, key=lambda bill: bill.at_most)
    if not largest.at_most:
        return ok(CHECK, "nothing: papers are ranked on this machine")
    if offline:
        return _judged(bills, 1.0, settings, "at most")
    try:
        counted = estimate(scorer, largest.rubric, largest.papers, largest.day, now)
    except ScorerError as error:
        return fail(CHECK, f"the tokens could not be counted: {error}", "see: anthropic key")
    share = counted.nanos / largest.at_most if counted else 0.0
    return _judged(bills, share, settings, "about")


def _bill(store: Store, scorer: Scorer, rubric: Rubric, now: datetime) -> _Bill | None:
    with store.read() as tx:
        days = papers.dates(tx, rubric.categories, 1)
        found = papers.listed(tx, rubric.categories, days[0]) if days else []
    to_read = triage(rubric, [listing.paper for listing in found]).to_read
    if not to_read:
        return None
    pieces = chunks.shuffled_chunks(to_read, scorer.sizes, days[0], pass_number=1)
    upper = sum(scorer.call(ScoringRequest(rubric, piece), now).upper_nanos for piece in pieces)
    return _Bill(rubric, days[0], list(to_read), upper)


def _judged(bills: Sequence[_Bill], share: float, settings: Settings, word: str) -> Finding:
    price = {bill.rubric.slug: round(bill.at_most * share) for bill in bills}
    total, count = sum(price.values()), sum(len(bill.papers) for bill in bills)
    over = [slug for slug, nanos in price.items() if nanos > settings.budget_nanos]
    said = f"{word} {dollars(total)} for {plural(count, 'paper')} under "
    said += f"{plural(len(bills), 'rubric')}, as on {max(bill.day for bill in bills)}"
    if over:
        fix = "raise NEWSLETTER_BUDGET_USD, or narrow the rubric: papers would stay unread"
        return warn(CHECK, f"{said}; over the budget: {', '.join(over)}", fix)
    monthly = settings.monthly_budget_nanos
    if monthly is not None and total * MORNINGS > monthly:
        fix = "raise NEWSLETTER_MONTHLY_BUDGET_USD"
        return warn(CHECK, f"{said}; a month takes more than ${settings.monthly_budget_usd}", fix)
    return ok(CHECK, said)
