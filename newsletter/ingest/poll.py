"""One look at an announcement: what is there, how it compares, what is whole; and keep it.

Which submissions an announcement holds for us, and from when on its strays are taken.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.announcements import ListingEntry, announcement, feed_from, previous
from newsletter.domain.completeness import (
    DAY,
    CompletedBy,
    FeedCheck,
    Observation,
    Poll,
    assess,
    is_low,
    next_poll,
)
from newsletter.domain.model import Announcement
from newsletter.ingest.feed_check import FeedComparison, FeedState, KnownListings, compare
from newsletter.sources import GrowingSource
from newsletter.store import papers as shelf
from newsletter.store import polls
from newsletter.store import polls as seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from newsletter.domain.announcements import FetchRecord
    from newsletter.domain.model import Paper
    from newsletter.domain.progress import Progress
    from newsletter.sources import PaperSource
    from newsletter.store import Store

REMEMBERED = timedelta(days=90)
"""Of what was fetched: longer than strays are sought for, and than a category may be empty."""


class PollRequest(NamedTuple):
    """One announcement for some categories, and what is known of it.

    `checked`: it is the newest one of a source that grows, so the source's own list is about it.
    `patient`: what is not whole may stay so; else one look is the answer.
    """

    window: Announcement
    categories: tuple[str, ...]
    history: Sequence[FetchRecord]
    looks: Mapping[str, Poll]
    is_out: bool
    checked: bool
    patient: bool

    @property
    def asked(self) -> list[Poll]:
        return [self.looks[name] for name in self.categories if name in self.looks]


class PollResult(NamedTuple):
    """What one look gave: papers by id, where they may be listed, and what is whole by now."""

    papers: Mapping[str, Paper]
    on_time: Sequence[ListingEntry]
    late: Sequence[ListingEntry]
    looks: Mapping[str, Poll]
    whole: Mapping[str, CompletedBy]
    comparison: FeedComparison | None = None


def request_for(
    store: Store,
    categories: Sequence[str],
    day: date,
    now: datetime,
    *,
    checked: bool,
    patient: bool,
) -> PollRequest:
    with store.read() as tx:
        return PollRequest(
            window=window_of(tx, day, categories),
            categories=tuple(categories),
            history=shelf.fetches(tx, categories, day - REMEMBERED),
            looks=seen.polls_of(tx, day, now),
            is_out=shelf.has_papers(tx, day),
            checked=checked,
            patient=patient,
        )


def poll_once(
    store: Store, source: PaperSource, task: PollRequest, now: datetime, progress: Progress
) -> PollResult:
    """Ask for the window, compare, and judge what is whole. Raises SourceError."""
    window = task.window
    found = source.submitted(task.categories, window.start, window.end, progress)
    papers = {paper.id: paper for paper in found}
    comparison = None
    if task.checked and isinstance(source, GrowingSource):
        known = partial(_known, store, task)
        comparison = compare(source, task.categories, papers, known, window)
        if comparison.check.state in (FeedState.STALE, FeedState.EMPTY) and now < feed_from(
            window.date
        ):
            comparison = replace(comparison, check=FeedCheck(FeedState.EARLY))
        papers |= {paper.id: paper for paper in comparison.young}
    on_time = entries(papers.values(), dict.fromkeys(task.categories, window.start))
    out = task.is_out or bool(papers) or _shown(source, window, comparison)
    counts = Counter(entry.category for entry in on_time)
    looks = {
        name: next_poll(task.looks.get(name), counts[name], now, out=out)
        for name in task.categories
    }
    whole = _whole(task, looks, comparison, now) if out else _nothing(task, comparison, now)
    held = comparison.late if comparison else ()
    papers |= {paper.id: paper for paper, _ in held}
    late = [ListingEntry(name, paper.id) for paper, names in held for name in names]
    return PollResult(papers, on_time, late, looks, whole, comparison)


def entries(found: Iterable[Paper], since: Mapping[str, datetime]) -> list[ListingEntry]:
    """What may be listed: each paper in each of its categories that takes papers of its age."""
    return [
        ListingEntry(category, paper.id)
        for paper in found
        for category in paper.categories
        if category in since and paper.published >= since[category]
    ]


def keep(store: Store, day: date, now: datetime, harvest: PollResult) -> int:
    """Keep one look; how many papers it brought that are new in some category."""
    counts = Counter(entry.category for entry in harvest.on_time)
    how = {name: str(one) for name, one in harvest.whole.items()}
    with store.begin() as tx:
        known = shelf.entries_of(tx, sorted(harvest.looks), list(harvest.papers))
        on_time = [entry for entry in harvest.on_time if entry not in known]
        late = [entry for entry in harvest.late if entry not in known]
        fresh = {entry.paper_id for entry in [*on_time, *late]}
        # Known ones too: what left a category since must not be counted there (late_papers.py).
        stored = fresh | {entry.paper_id for entry in known}
        shelf.keep(tx, [harvest.papers[key] for key in sorted(stored)])
        shelf.list_papers(tx, day, on_time, late=False)
        shelf.list_papers(tx, day, late, late=True)
        shelf.mark_fetched(tx, day, {name: counts[name] for name in how}, now, how)
        seen.keep_polls(tx, day, harvest.looks)
        if harvest.comparison:
            seen.keep_check(tx, day, harvest.comparison.check, now)
    return len(fresh)


def _known(store: Store, task: PollRequest, ids: Sequence[str]) -> KnownListings:
    with store.read() as tx:
        dated = shelf.dated_entries(tx, task.categories, ids)
    before = {entry for entry, (day, _) in dated.items() if day < task.window.date}
    late = {entry for entry, (_, is_late) in dated.items() if is_late}
    return KnownListings(before, dated.keys() - before, late - before)


def _shown(source: PaperSource, window: Announcement, comparison: FeedComparison | None) -> bool:
    """Whether arXiv shows the announcement at all, although none of it is in our categories."""
    if comparison is None or not isinstance(source, GrowingSource):
        return False
    return comparison.check.state == FeedState.FRESH or source.shows_any(window.start, window.end)


def _whole(
    task: PollRequest, looks: Mapping[str, Poll], comparison: FeedComparison | None, now: datetime
) -> dict[str, CompletedBy]:
    """What is whole of a batch that is out."""
    whole: dict[str, CompletedBy] = {}
    for name, one in looks.items():
        how: CompletedBy | None = CompletedBy.ONCE
        if comparison:
            sight = Observation(
                papers=one.papers,
                named=comparison.named(name),
                waiting=comparison.waiting(name),
                low=is_low(one.papers, _past(name, task.history)),
            )
            how = assess(one, sight, task.window.public_from, now)
        if how or not task.patient:
            whole[name] = how or CompletedBy.ONCE
    return whole


def _past(category: str, history: Sequence[FetchRecord]) -> list[int]:
    """How many papers a category had in the announcements that are known to have come."""
    return [
        one.papers for one in history if one.category == category and one.how != CompletedBy.NOTHING
    ]


def _nothing(
    task: PollRequest, comparison: FeedComparison | None, now: datetime
) -> dict[str, CompletedBy]:
    """A day after arXiv's hour nothing at all is an answer, unless its list says otherwise."""
    if now - task.window.public_from < DAY or (comparison and comparison.is_waiting):
        return {}
    return dict.fromkeys(task.categories, CompletedBy.NOTHING)


MOST_MISSED = 3
"""Announcements on end that never came: arXiv's longest pause, at the end of a year."""


def window_of(tx: Connection, day: date, categories: Sequence[str]) -> Announcement:
    """The announcement of `day`, with the submissions of dates before it that never came.

    A holiday that nobody told us of is known by this: it was looked at, and nothing was there.
    """
    window = announcement(day)
    start, before = window.start, previous(day)
    for _ in range(MOST_MISSED):
        if not polls.polled_empty(tx, before, categories):
            break
        start, before = announcement(before).start, previous(before)
    return Announcement(day, start, window.end, window.public_from)


def since_when(
    window: Announcement,
    categories: Sequence[str],
    history: Sequence[FetchRecord],
    now: datetime,
    lookback: timedelta,
) -> dict[str, datetime]:
    """From when each category's strays are taken; a category that takes none is not in it.

    A date before one that was fetched takes its own window only: a stray belongs to the newest
    issue. What was submitted before the service began is no stray.
    """
    earliest = announcement(window.date).start - lookback
    since: dict[str, datetime] = {}
    for category in categories:
        past = [fetch for fetch in history if fetch.category == category]
        began = [fetch.date for fetch in past if _led_here(fetch, window, now, lookback)]
        if began and all(fetch.date < window.date for fetch in past):
            since[category] = max(announcement(min(began)).start, earliest)
    return {category: start for category, start in since.items() if start < window.start}


def _led_here(fetch: FetchRecord, window: Announcement, now: datetime, lookback: timedelta) -> bool:
    """False for an old date somebody once tried out: a service does not jump over weeks at once.

    Between two fetches of one service as much time has passed as between their announcements.
    """
    apart = window.public_from - announcement(fetch.date).public_from
    return apart <= (now - fetch.at) + lookback
