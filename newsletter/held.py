"""Papers that moderation held for longer than we look back, where arXiv's list did not name them.

The list of the day names them all. When it was missed, the days before are counted: where arXiv
has more papers than we, the difference is sought by halves.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.announcements import announcement, previous
from newsletter.crosscheck import State
from newsletter.store import looks
from newsletter.store import papers as shelf

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from newsletter.model import Paper
    from newsletter.sources import Growing
    from newsletter.store import Store
    from newsletter.store.papers import Fetch

FARTHEST = timedelta(days=60)
STEP = timedelta(days=10)
"""What is counted at once: a paper that left a category hides another one in its own step only."""
FEW = 300
"""Papers that are rather fetched than counted again."""
MINUTE = timedelta(minutes=1)


def missed_lists(tx: Connection, before: date, categories: Iterable[str]) -> list[str]:
    """The categories in which arXiv's list of the announcement before `before` was not read."""
    check = looks.check_of(tx, previous(before))
    read = check.named.keys() if check and check.state == State.FRESH else set()
    return sorted(set(categories) - read)


def long_held(
    store: Store,
    source: Growing,
    day: date,
    since: Mapping[str, datetime],
    history: Sequence[Fetch],
) -> tuple[list[Paper], dict[str, datetime]]:
    """Papers of before `since` that we lack, and from when each category takes such.

    `since` is from when the strays of the categories of `day` are taken. Raises SourceError.
    """
    with store.read() as tx:
        missed = missed_lists(tx, day, since)
    began: dict[str, datetime] = {}
    for name in missed:
        first = min(one.date for one in history if one.category == name)
        began[name] = max(announcement(first).start, since[name] - FARTHEST)
    groups: dict[tuple[datetime, datetime], list[str]] = defaultdict(list)
    for name, start in began.items():
        groups[start, since[name]].append(name)
    found = [
        paper
        for (start, end), names in groups.items()
        for begin, until in _steps(start, end)
        for paper in _sought(store, source, names, begin, until)
    ]
    return found, began


def _steps(start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    steps = []
    while start < end:
        steps.append((start, min(start + STEP, end)))
        start += STEP
    return steps


def _sought(
    store: Store, source: Growing, names: Sequence[str], start: datetime, end: datetime
) -> list[Paper]:
    there = source.count(names, start, end)
    with store.read() as tx:
        known = shelf.count_between(tx, names, start, end)
    if there <= known:
        return []
    if there <= FEW or end - start <= 2 * MINUTE:
        return source.submitted(names, start, end, lambda *_: None)
    middle = (start + (end - start) / 2).replace(second=0, microsecond=0)
    halves = ((start, middle), (middle, end))
    return [paper for half in halves for paper in _sought(store, source, names, *half)]
