"""Find late papers that were submitted before the lookback.

They were held by moderation or cross-listed much later. On each announcement the API's count of a
category since the service began is compared with ours; where they differ, the papers are found by
bisection. Papers submitted before the service began are found by the feed only.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from newsletter.domain.announcements import announcement, following
from newsletter.domain.model import Unproven
from newsletter.ingest.feed_check import FeedState
from newsletter.store import papers as paper_store
from newsletter.store import polls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from newsletter.domain.announcements import FetchRecord
    from newsletter.domain.model import Paper
    from newsletter.sources import IncrementalSource
    from newsletter.store import Store

MIN_TO_SPLIT = 1_000
"""Up to this many papers are fetched, in one request, instead of counted again."""
MINUTE = timedelta(minutes=1)


def find_held_papers(
    store: Store, source: IncrementalSource, since: Mapping[str, datetime], lookback: timedelta
) -> tuple[list[Paper], dict[str, datetime]]:
    """Papers submitted before `since` that may be missing, and each category's start time.

    `since` is each category's cutoff for late papers. One count request a category, and a few more
    where it differs from ours. Raises SourceError.
    """
    with store.read() as tx:
        history = paper_store.fetches(tx, sorted(since))
    began = coverage_starts(history, lookback)
    began = {name: start for name, start in began.items() if start < since[name]}
    found: dict[str, Paper] = {}
    for name, start in sorted(began.items()):
        there = source.count([name], start, since[name])
        for paper in _search_by_halves(store, source, name, start, since[name], there):
            found[paper.id] = paper
    return list(found.values()), began


def coverage_starts(history: Sequence[FetchRecord], lookback: timedelta) -> dict[str, datetime]:
    """Submission time from which on the stored papers of each category are complete.

    After an outage longer than the lookback, coverage starts again.
    """
    dates: dict[str, list[date]] = defaultdict(list)
    for one in history:
        dates[one.category].append(one.date)
    return {
        name: announcement(_unbroken_since(days, lookback)).start for name, days in dates.items()
    }


def unproven(
    tx: Connection, day: date, categories: Sequence[str], lookback: timedelta
) -> tuple[Unproven, ...]:
    """What could not be verified because the feed of announcements before `day` was missed.

    Reported once for each: with the first announcement that was fetched after it.
    """
    history = [one for one in paper_store.fetches(tx, categories) if one.date < day]
    began = coverage_starts(history, lookback)
    groups: dict[tuple[tuple[date, ...], date], list[str]] = defaultdict(list)
    for name, start in began.items():
        last = max(one.date for one in history if one.category == name)
        missed = tuple(
            one for one in _dates(last, day) if name not in categories_with_feed(tx, one)
        )
        if missed and not _has_gap(last, day, lookback):
            groups[missed, start.date()].append(name)
    return tuple(
        Unproven(tuple(sorted(names)), missed, before)
        for (missed, before), names in sorted(groups.items())
    )


def categories_with_feed(tx: Connection, day: date) -> set[str]:
    """The categories for which the feed of `day` was usable."""
    check = polls.check_of(tx, day)
    return set(check.listed) if check and check.state == FeedState.FRESH else set()


def _unbroken_since(days: Sequence[date], lookback: timedelta) -> date:
    """The first date of the last gapless series of fetched dates."""
    first = max(days)
    for earlier, later in reversed(list(pairwise(sorted(days)))):
        if _has_gap(earlier, later, lookback):
            break
        first = earlier
    return first


def _has_gap(earlier: date, later: date, lookback: timedelta) -> bool:
    """Whether two announcements are further apart than the lookback covers."""
    return announcement(later).start - lookback > announcement(earlier).end


def _dates(first: date, end: date) -> list[date]:
    """The announcement dates in [first, end)."""
    found = []
    while first < end:
        found.append(first)
        first = following(first)
    return found


def _search_by_halves(
    store: Store, source: IncrementalSource, name: str, start: datetime, end: datetime, there: int
) -> list[Paper]:
    """Bisect [start, end) for the parts where arXiv's count, `there`, differs from ours."""
    with store.read() as tx:
        known = paper_store.count_between(tx, name, start, end)
    if there == known:
        return []
    if max(there, known) <= MIN_TO_SPLIT or end - start <= 2 * MINUTE:
        return _differing_papers(store, source, name, start, end)
    middle = (start + (end - start) / 2).replace(second=0, microsecond=0)
    first = source.count([name], start, middle)
    return [
        *_search_by_halves(store, source, name, start, middle, first),
        *_search_by_halves(store, source, name, middle, end, there - first),
    ]


def _differing_papers(
    store: Store, source: IncrementalSource, name: str, start: datetime, end: datetime
) -> list[Paper]:
    """All papers there, and the current state of ours that have left the category."""
    found = source.submitted([name], start, end, lambda *_: None)
    with store.read() as tx:
        known = paper_store.ids_between(tx, name, start, end)
    gone = sorted(known - {paper.id for paper in found})
    return [*found, *(source.by_id(gone) if gone else ())]
