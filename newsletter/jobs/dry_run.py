"""What a run would read and cost at most, before anything is paid."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from newsletter.jobs.daily import fetch_for, wanted
from newsletter.scoring.cost import price
from newsletter.scoring.workload import fresh, scoring_limits, triaged
from newsletter.store import digests, subscribers

if TYPE_CHECKING:
    from datetime import date

    from newsletter.context import Report, Room
    from newsletter.domain.model import Rubric


class Quote(NamedTuple):
    """One rubric's run: papers not scored yet, and the most they may cost (nano-dollars)."""

    rubric: str
    announced: int
    to_read: int
    at_most_nanos: int
    readers: int


def quote_edition(
    room: Room, day: date | None, only: str | None, report: Report
) -> tuple[date, list[Quote]]:
    """Fetches, and does nothing else."""
    rubrics = wanted(room, only)
    if not rubrics:
        return day or room.source.newest(room.clock()), []
    fetched = fetch_for(room, rubrics, day, report)
    return fetched.date, [_quote(room, rubric, fetched.date) for rubric in rubrics]


def _quote(room: Room, rubric: Rubric, day: date) -> Quote:
    with room.store.read() as tx:
        stored = digests.load(tx, rubric.slug, day)
        readers = subscribers.readers(tx).get(rubric.slug, 0)
    if stored:
        return Quote(rubric.slug, stored[1].coverage.announced, 0, 0, readers)
    listings = fresh(room, rubric, day)
    to_read = triaged(room, rubric, day, listings).to_read
    missing, upper = price(room, rubric, day, to_read)
    at_most = min(upper, scoring_limits(room).budget_nanos)
    return Quote(rubric.slug, len(listings), missing, at_most, readers)
