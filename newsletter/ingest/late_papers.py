"""Papers that are new in a category and were submitted before the days that are read again.

Moderation held them, or they were cross-listed later. Each evening arXiv's count of a category is
compared with ours, from the day on which the service began: where they differ, the difference is
sought by halves. A paper of before that day is known by arXiv's list of the day alone.

New versions of papers that are known: what arXiv's list of the day says was replaced.

Without that list, what readers were sent lately is looked up instead: a withdrawal must be noticed.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from newsletter.domain.announcements import announcement, following, previous
from newsletter.domain.model import Unproven
from newsletter.domain.withdrawals import is_withdrawn
from newsletter.ingest.feed_check import FeedState
from newsletter.sources import SourceError
from newsletter.store import paper_versions, polls
from newsletter.store import papers as shelf

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from newsletter.domain.announcements import FetchRecord
    from newsletter.domain.model import Paper
    from newsletter.sources import GrowingSource, ListedPaper
    from newsletter.store import Store

FEW = 1_000
"""Papers that are rather fetched, in one request, than counted again."""
MINUTE = timedelta(minutes=1)


def missed_cross_lists(tx: Connection, before: date, categories: Iterable[str]) -> list[str]:
    """The categories in which arXiv's list of the announcement before `before` was not read."""
    return sorted(set(categories) - _read_lists(tx, previous(before)))


def long_held(
    store: Store, source: GrowingSource, since: Mapping[str, datetime], lookback: timedelta
) -> tuple[list[Paper], dict[str, datetime]]:
    """Papers of before `since` that we may lack, and from when each category takes such.

    `since` is from when the strays of each category are taken. One count a category, and a few
    more where it differs from ours. Raises SourceError.
    """
    with store.read() as tx:
        history = shelf.fetches(tx, sorted(since))
    began = began_at(history, lookback)
    began = {name: start for name, start in began.items() if start < since[name]}
    found: dict[str, Paper] = {}
    for name, start in sorted(began.items()):
        there = source.count([name], start, since[name])
        for paper in _sought(store, source, name, start, since[name], there):
            found[paper.id] = paper
    return list(found.values()), began


def began_at(history: Sequence[FetchRecord], lookback: timedelta) -> dict[str, datetime]:
    """From which submissions on we know all that was announced in each category.

    A service that was away for longer than it reads again begins anew.
    """
    dates: dict[str, list[date]] = defaultdict(list)
    for one in history:
        dates[one.category].append(one.date)
    return {name: announcement(_unbroken(days, lookback)).start for name, days in dates.items()}


def unproven(
    tx: Connection, day: date, categories: Sequence[str], lookback: timedelta
) -> tuple[Unproven, ...]:
    """What was not made sure of because arXiv's list of announcements before `day` was missed.

    Told once for each of them: with the first announcement that was fetched after it.
    """
    history = [one for one in shelf.fetches(tx, categories) if one.date < day]
    began = began_at(history, lookback)
    groups: dict[tuple[tuple[date, ...], date], list[str]] = defaultdict(list)
    for name, start in began.items():
        last = max(one.date for one in history if one.category == name)
        missed = tuple(one for one in _dates(last, day) if name not in _read_lists(tx, one))
        if missed and not _is_anew(last, day, lookback):
            groups[missed, start.date()].append(name)
    return tuple(
        Unproven(tuple(sorted(names)), missed, before)
        for (missed, before), names in sorted(groups.items())
    )


def _unbroken(days: Sequence[date], lookback: timedelta) -> date:
    """The first of the last fetched dates between which nothing was left out."""
    first = max(days)
    for earlier, later in reversed(list(pairwise(sorted(days)))):
        if _is_anew(earlier, later, lookback):
            break
        first = earlier
    return first


def _is_anew(earlier: date, later: date, lookback: timedelta) -> bool:
    """Whether more lies between two announcements than the later one was fetched with."""
    return announcement(later).start - lookback > announcement(earlier).end


def _dates(first: date, end: date) -> list[date]:
    """The announcement dates from `first` on to `end`, which is not among them."""
    found = []
    while first < end:
        found.append(first)
        first = following(first)
    return found


def _read_lists(tx: Connection, day: date) -> set[str]:
    """The categories in which arXiv's list of `day` was read."""
    check = polls.check_of(tx, day)
    return set(check.named) if check and check.state == FeedState.FRESH else set()


def _sought(
    store: Store, source: GrowingSource, name: str, start: datetime, end: datetime, there: int
) -> list[Paper]:
    """The papers of the parts of [start, end) in which arXiv, that has `there`, differs from us."""
    with store.read() as tx:
        known = shelf.count_between(tx, name, start, end)
    if there == known:
        return []
    if max(there, known) <= FEW or end - start <= 2 * MINUTE:
        return _compared(store, source, name, start, end)
    middle = (start + (end - start) / 2).replace(second=0, microsecond=0)
    first = source.count([name], start, middle)
    return [
        *_sought(store, source, name, start, middle, first),
        *_sought(store, source, name, middle, end, there - first),
    ]


def _compared(
    store: Store, source: GrowingSource, name: str, start: datetime, end: datetime
) -> list[Paper]:
    """All papers there, and as they are now those of ours that left the category since."""
    found = source.submitted([name], start, end, lambda *_: None)
    with store.read() as tx:
        known = shelf.ids_between(tx, name, start, end)
    gone = sorted(known - {paper.id for paper in found})
    return [*found, *(source.by_id(gone) if gone else ())]


log = logging.getLogger(__name__)

SENT_LATELY = timedelta(days=30)
MOST = 1_000
"""Papers looked up in one go: ten requests."""


def renew(
    store: Store, source: GrowingSource, replaced: Iterable[ListedPaper], now: datetime
) -> int:
    """Fetch and keep the versions that are named and not stored; how many there were.

    Trouble with the source is logged: no morning waits for what is old, and it is asked again.
    """
    named = {one.id: one.version for one in replaced}
    with store.read() as tx:
        have = paper_versions.known(tx, sorted(named))
    return _look_up(store, source, [key for key in have if have[key] < named[key]], now)


def renew_sent(
    store: Store, source: GrowingSource, before: date, categories: Sequence[str], now: datetime
) -> int:
    """Look up what was sent lately, if the list of the announcement before `before` was missed."""
    with store.read() as tx:
        if not missed_cross_lists(tx, before, categories):
            return 0
        sent = paper_versions.sent_since(tx, before - SENT_LATELY, MOST)
    return _look_up(store, source, sent, now)


def keep_versions(store: Store, papers: Iterable[Paper], now: datetime) -> int:
    """Keep those of the papers that are later than what is stored of them."""
    later = [paper for paper in papers if paper.version > 1]
    gone = {paper.id for paper in later if is_withdrawn(paper)}
    if not later:
        return 0
    with store.begin() as tx:
        return paper_versions.keep(tx, later, gone, now)


def _look_up(store: Store, source: GrowingSource, ids: Sequence[str], now: datetime) -> int:
    if not ids:
        return 0
    try:
        return keep_versions(store, source.by_id(ids), now)
    except SourceError as error:
        log.warning("new versions of %d papers are not known yet: %s", len(ids), error)
        return 0
