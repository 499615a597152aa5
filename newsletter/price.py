"""What scoring would cost at most, before anything is paid."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from newsletter import chunks
from newsletter.desk import Desk
from newsletter.scorers import Request
from newsletter.store import scores
from newsletter.store.ledger import Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    from newsletter.model import Paper, Rubric
    from newsletter.scorers import Scorer
    from newsletter.store import Store


class Price(NamedTuple):
    """Papers that are not scored yet, and the sum of their calls' upper bounds (nano-dollars)."""

    papers: int
    at_most_nanos: int


def price(
    store: Store,
    scorer: Scorer,
    rubric: Rubric,
    day: date,
    papers: Sequence[Paper],
    clock: Callable[[], datetime],
) -> Price:
    """The first pass over what is not scored; a second opinion comes on top of it."""
    desk = Desk(store, scorer, rubric, day, Budget(0), clock)
    with store.read() as tx:
        known = scores.known(tx, desk.account, [paper.id for paper in papers])[1]
    missing = [paper for paper in papers if paper.id not in known]
    pieces = chunks.pass_over(missing, scorer.sizes, day, reading=1)
    now = clock()
    return Price(
        len(missing),
        sum(scorer.call(Request(rubric, piece), now).upper_nanos for piece in pieces),
    )
