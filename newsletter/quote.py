"""What a run would read and cost at most, before anything is paid."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from newsletter import chunks
from newsletter.daily import fetch_for, wanted
from newsletter.desk import Desk
from newsletter.reading import fresh, scoring_limits, triaged
from newsletter.scorers import Request
from newsletter.store import digests, scores, subscribers
from newsletter.store.ledger import Budget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from newsletter.model import Paper, Rubric
    from newsletter.room import Report, Room


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


def price(room: Room, rubric: Rubric, day: date, papers: Sequence[Paper]) -> tuple[int, int]:
    """Papers that are not scored yet, and the sum of their first calls' upper bounds.

    A second opinion on the papers around the cut comes on top of it.
    """
    scorer = room.scorer
    desk = Desk(room.store, scorer, rubric, day, Budget(0), room.clock)
    with room.store.read() as tx:
        known = scores.known(tx, desk.account, [paper.id for paper in papers])[1]
    missing = [paper for paper in papers if paper.id not in known]
    pieces = chunks.pass_over(missing, scorer.sizes, day, reading=1)
    now = room.clock()
    calls = (scorer.call(Request(rubric, piece), now) for piece in pieces)
    return len(missing), sum(call.upper_nanos for call in calls)
