"""One poll of an announcement: query, cross-check, assess completeness, store.

Also the submission window of an announcement, and the cutoffs for its late papers.
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
from newsletter.sources import IncrementalSource
from newsletter.store import papers as paper_store
from newsletter.store import polls as poll_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from newsletter.domain.announcements import FetchRecord
    from newsletter.domain.model import Paper
    from newsletter.domain.progress import Progress
    from newsletter.sources import PaperSource
    from newsletter.store import Store

HISTORY = timedelta(days=90)
"""Length of fetch history: longer than the lookback and than a category may stay empty."""


class PollRequest(NamedTuple):
    """One announcement for some categories, with the stored history.

    `with_feed`: it is the newest announcement of an incremental source, so the feed is about it.
    `may_wait`: categories may stay incomplete; otherwise one poll completes them.
    """

    window: Announcement
    categories: tuple[str, ...]
    history: Sequence[FetchRecord]
    polls_by_category: Mapping[str, Poll]
    is_out: bool
    with_feed: bool
    may_wait: bool

    @property
    def asked(self) -> list[Poll]:
        return [
            self.polls_by_category[name]
            for name in self.categories
            if name in self.polls_by_category
        ]


class PollResult(NamedTuple):
    """Result of one poll: papers by id, their listings, and the complete categories."""

    papers: Mapping[str, Paper]
    on_time: Sequence[ListingEntry]
    late: Sequence[ListingEntry]
    polls_by_category: Mapping[str, Poll]
    complete: Mapping[str, CompletedBy]
    comparison: FeedComparison | None = None


def request_for(
    store: Store,
    categories: Sequence[str],
    day: date,
    now: datetime,
    *,
    with_feed: bool,
    may_wait: bool,
) -> PollRequest:
    with store.read() as tx:
        return PollRequest(
            window=window_of(tx, day, categories),
            categories=tuple(categories),
            history=paper_store.fetches(tx, categories, day - HISTORY),
            polls_by_category=poll_store.polls_of(tx, day, now),
            is_out=paper_store.has_papers(tx, day),
            with_feed=with_feed,
            may_wait=may_wait,
        )


def poll_once(
    store: Store, source: PaperSource, request: PollRequest, now: datetime, progress: Progress
) -> PollResult:
    """Query the window, cross-check, and assess completeness. Raises SourceError."""
    window = request.window
    found = source.submitted(request.categories, window.start, window.end, progress)
    papers = {paper.id: paper for paper in found}
    comparison = None
    if request.with_feed and isinstance(source, IncrementalSource):
        known = partial(_known, store, request)
        comparison = compare(source, request.categories, papers, known, window)
        if comparison.check.state in (FeedState.STALE, FeedState.EMPTY) and now < feed_from(
            window.date
        ):
            comparison = replace(comparison, check=FeedCheck(FeedState.EARLY))
        papers |= {paper.id: paper for paper in comparison.found_by_id}
    on_time = listing_entries(papers.values(), dict.fromkeys(request.categories, window.start))
    out = request.is_out or bool(papers) or _shown(source, window, comparison)
    counts = Counter(entry.category for entry in on_time)
    polls_by_category = {
        name: next_poll(request.polls_by_category.get(name), counts[name], now, out=out)
        for name in request.categories
    }
    complete = (
        _completed(request, polls_by_category, comparison, now)
        if out
        else _nothing_announced(request, comparison, now)
    )
    held = comparison.late if comparison else ()
    papers |= {paper.id: paper for paper, _ in held}
    late = [ListingEntry(name, paper.id) for paper, names in held for name in names]
    return PollResult(papers, on_time, late, polls_by_category, complete, comparison)


def listing_entries(found: Iterable[Paper], since: Mapping[str, datetime]) -> list[ListingEntry]:
    """Listings of each paper in its categories whose cutoff it does not precede."""
    return [
        ListingEntry(category, paper.id)
        for paper in found
        for category in paper.categories
        if category in since and paper.published >= since[category]
    ]


def store_result(store: Store, day: date, now: datetime, result: PollResult) -> int:
    """Store one poll; return the number of papers that are new in some category."""
    counts = Counter(entry.category for entry in result.on_time)
    how = {name: str(one) for name, one in result.complete.items()}
    with store.begin() as tx:
        known = paper_store.entries_of(tx, sorted(result.polls_by_category), list(result.papers))
        on_time = [entry for entry in result.on_time if entry not in known]
        late = [entry for entry in result.late if entry not in known]
        fresh = {entry.paper_id for entry in [*on_time, *late]}
        # Known papers too: one that left a category must not be counted there (late_papers.py).
        stored = fresh | {entry.paper_id for entry in known}
        paper_store.keep(tx, [result.papers[key] for key in sorted(stored)])
        paper_store.list_papers(tx, day, on_time, late=False)
        paper_store.list_papers(tx, day, late, late=True)
        paper_store.mark_fetched(tx, day, {name: counts[name] for name in how}, now, how)
        poll_store.keep_polls(tx, day, result.polls_by_category)
        if result.comparison:
            poll_store.keep_check(tx, day, result.comparison.check, now)
    return len(fresh)


def _known(store: Store, request: PollRequest, ids: Sequence[str]) -> KnownListings:
    with store.read() as tx:
        dated = paper_store.dated_entries(tx, request.categories, ids)
    before = {entry for entry, (day, _) in dated.items() if day < request.window.date}
    late = {entry for entry, (_, is_late) in dated.items() if is_late}
    return KnownListings(before, dated.keys() - before, late - before)


def _shown(source: PaperSource, window: Announcement, comparison: FeedComparison | None) -> bool:
    """Whether arXiv shows the announcement, although our categories have no paper in it."""
    if comparison is None or not isinstance(source, IncrementalSource):
        return False
    return comparison.check.state == FeedState.FRESH or source.shows_any(window.start, window.end)


def _completed(
    request: PollRequest,
    polls_by_category: Mapping[str, Poll],
    comparison: FeedComparison | None,
    now: datetime,
) -> dict[str, CompletedBy]:
    """The complete categories of an announcement that arXiv shows."""
    complete: dict[str, CompletedBy] = {}
    for name, one in polls_by_category.items():
        how: CompletedBy | None = CompletedBy.ONCE
        if comparison:
            observation = Observation(
                papers=one.papers,
                named=comparison.listed_count(name),
                waiting=comparison.waiting(name),
                low=is_low(one.papers, _past_counts(name, request.history)),
            )
            how = assess(one, observation, request.window.public_from, now)
        if how or not request.may_wait:
            complete[name] = how or CompletedBy.ONCE
    return complete


def _past_counts(category: str, history: Sequence[FetchRecord]) -> list[int]:
    """Numbers of papers a category had in past announcements that took place."""
    return [
        one.papers for one in history if one.category == category and one.how != CompletedBy.NOTHING
    ]


def _nothing_announced(
    request: PollRequest, comparison: FeedComparison | None, now: datetime
) -> dict[str, CompletedBy]:
    """After a day without any paper nothing was announced, unless the feed lists papers."""
    if now - request.window.public_from < DAY or (comparison and comparison.is_waiting):
        return {}
    return dict.fromkeys(request.categories, CompletedBy.NOTHING)


MAX_MISSED = 3
"""Most consecutive announcements that did not take place: arXiv's year-end break."""


def window_of(tx: Connection, day: date, categories: Sequence[str]) -> Announcement:
    """The announcement of `day`, extended by the windows of preceding ones that did not take place.

    An unknown holiday is recognized by this: it was polled and nothing was announced.
    """
    window = announcement(day)
    start, before = window.start, previous(day)
    for _ in range(MAX_MISSED):
        if not poll_store.polled_empty(tx, before, categories):
            break
        start, before = announcement(before).start, previous(before)
    return Announcement(day, start, window.end, window.public_from)


def late_cutoffs(
    window: Announcement,
    categories: Sequence[str],
    history: Sequence[FetchRecord],
    now: datetime,
    lookback: timedelta,
) -> dict[str, datetime]:
    """Cutoff for late papers by category; categories that take none are absent.

    A date before an already fetched one takes its own window only: late papers belong to the newest
    announcement. Papers submitted before the service began are not late papers.
    """
    earliest = announcement(window.date).start - lookback
    since: dict[str, datetime] = {}
    for category in categories:
        past = [fetch for fetch in history if fetch.category == category]
        began = [fetch.date for fetch in past if _is_same_service(fetch, window, now, lookback)]
        if began and all(fetch.date < window.date for fetch in past):
            since[category] = max(announcement(min(began)).start, earliest)
    return {category: start for category, start in since.items() if start < window.start}


def _is_same_service(
    fetch: FetchRecord, window: Announcement, now: datetime, lookback: timedelta
) -> bool:
    """Whether a fetch was part of regular operation; False for an old date fetched by hand.

    In regular operation as much time passes between fetches as between their announcements.
    """
    apart = window.public_from - announcement(fetch.date).public_from
    return apart <= (now - fetch.at) + lookback
