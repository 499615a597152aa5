"""Decide what one poll of an announcement changes (pure): no database, no source.

complete    which categories are complete, and why (domain/completeness.py)
listings    which papers are listed in which category, on time or late
polling     when an incomplete announcement is polled again
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.announcements import FetchRecord, ListingEntry, announcement
from newsletter.domain.completeness import (
    DAY,
    CategoryObservation,
    CompletedBy,
    Decision,
    assess,
    is_low,
    next_poll,
    next_poll_at,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from newsletter.domain.completeness import Poll
    from newsletter.domain.model import Announcement, Paper
    from newsletter.ingest.feed_check import FeedComparison


class PollMode(Enum):
    """What a poll is for.

    WAIT: `serve`, which polls again until all categories are complete. ACCEPT: `run`, which takes
    what one poll shows; the categories stay incomplete. FINAL: `run --date`; one poll completes all
    categories. RECHECK: `serve`, hourly, for late papers of complete categories.
    """

    WAIT = "wait"
    ACCEPT = "accept"
    FINAL = "final"
    RECHECK = "recheck"


class PollRequest(NamedTuple):
    """One announcement to poll in some categories, and what earlier polls stored of it.

    The `window` includes those of preceding announcements that did not take place. `history` are
    past announcements of the categories. `is_out`: some category has papers of this one.
    `with_feed`: it is the newest announcement of an incremental source, so the feed is of it.
    """

    window: Announcement
    categories: tuple[str, ...]
    mode: PollMode
    now: datetime
    lookback: timedelta
    with_feed: bool
    history: Sequence[FetchRecord]
    polls: Mapping[str, Poll]
    is_out: bool

    @property
    def past_polls(self) -> list[Poll]:
        return [self.polls[name] for name in self.categories if name in self.polls]

    @property
    def may_wait(self) -> bool:
        """Whether categories may stay incomplete; otherwise this poll completes them."""
        return self.with_feed and self.mode in {PollMode.WAIT, PollMode.ACCEPT}


@dataclass(frozen=True, slots=True)
class Observation:
    """What the source showed in one poll.

    `papers` are those of the window; `is_out`: arXiv shows the announcement. `late_papers` are
    papers of earlier windows, and `late_since` each category's cutoff for them. `versions` are
    newer versions of known papers.
    """

    papers: Mapping[str, Paper]
    is_out: bool
    comparison: FeedComparison | None = None
    late_papers: Sequence[Paper] = ()
    late_since: Mapping[str, datetime] = field(default_factory=dict)
    versions: Sequence[Paper] = ()


def decide(observation: Observation, request: PollRequest) -> Decision:
    comparison = observation.comparison
    held = comparison.late if comparison else ()
    late = [ListingEntry(name, paper.id) for paper, names in held for name in names]
    late += listing_entries(observation.late_papers, observation.late_since)
    papers = {
        **observation.papers,
        **{paper.id: paper for paper, _ in held},
        **{paper.id: paper for paper in observation.late_papers},
    }
    polls = _polls(observation, request)
    completed = complete_categories(observation, request)
    is_recheck = request.mode is PollMode.RECHECK
    pending = () if is_recheck else request.categories
    incomplete = tuple(name for name in pending if name not in completed)
    is_behind = comparison is not None and comparison.is_filling
    return Decision(
        date=request.window.date,
        at=request.now,
        papers=papers,
        on_time=_on_time(observation, request),
        late=late,
        polls=polls,
        completed=[
            FetchRecord(name, request.window.date, request.now, polls[name].papers, str(how))
            for name, how in completed.items()
        ],
        incomplete=incomplete,
        check=comparison.check if comparison else None,
        versions=[*papers.values(), *observation.versions],
        must_wait=bool(incomplete) and (request.mode is PollMode.WAIT or is_behind),
        retry_at=next_poll_at(polls.values(), request.window.public_from),
    )


def complete_categories(observation: Observation, request: PollRequest) -> dict[str, CompletedBy]:
    """The categories that are complete by this poll, and why."""
    if request.mode is PollMode.RECHECK:
        return {}
    if not observation.is_out:
        return _nothing_announced(observation, request)
    completed = {}
    for name, poll in _polls(observation, request).items():
        how = _assess(name, poll, observation, request)
        if how or not request.may_wait:
            completed[name] = how or CompletedBy.ONE_POLL
    return completed


def listing_entries(found: Iterable[Paper], since: Mapping[str, datetime]) -> list[ListingEntry]:
    """Listings of each paper in the categories whose cutoff it does not precede."""
    return [
        ListingEntry(category, paper.id)
        for paper in found
        for category in paper.categories
        if category in since and paper.published >= since[category]
    ]


def late_cutoffs(request: PollRequest, categories: Iterable[str]) -> dict[str, datetime]:
    """Cutoff for late papers of each category; categories that take none are absent.

    A date before an already fetched one takes its own window only: late papers belong to the newest
    announcement. Papers submitted before the service began are not late papers.
    """
    window = request.window
    earliest = announcement(window.date).start - request.lookback
    since = {}
    for category in categories:
        past = [record for record in request.history if record.category == category]
        began = [record.date for record in past if _is_same_service(record, request)]
        if began and all(record.date < window.date for record in past):
            since[category] = max(announcement(min(began)).start, earliest)
    return {category: start for category, start in since.items() if start < window.start}


def _on_time(observation: Observation, request: PollRequest) -> list[ListingEntry]:
    since = dict.fromkeys(request.categories, request.window.start)
    return listing_entries(observation.papers.values(), since)


def _polls(observation: Observation, request: PollRequest) -> dict[str, Poll]:
    """The polls of each category, this one included."""
    counts = Counter(entry.category for entry in _on_time(observation, request))
    return {
        name: next_poll(request.polls.get(name), counts[name], request.now, out=observation.is_out)
        for name in request.categories
    }


def _assess(
    name: str, poll: Poll, observation: Observation, request: PollRequest
) -> CompletedBy | None:
    if observation.comparison is None:
        return CompletedBy.ONE_POLL
    past = [
        record.papers
        for record in request.history
        if record.category == name and record.how != CompletedBy.NOTHING
    ]
    found = CategoryObservation(
        papers=poll.papers,
        listed=observation.comparison.listed_count(name),
        waiting=observation.comparison.waiting(name),
        low=is_low(poll.papers, past),
    )
    return assess(poll, found, request.window.public_from, request.now)


def _nothing_announced(observation: Observation, request: PollRequest) -> dict[str, CompletedBy]:
    """A day after publication without any paper nothing was announced, unless the feed has some."""
    comparison = observation.comparison
    is_early = request.now - request.window.public_from < DAY
    if is_early or (comparison and comparison.is_waiting):
        return {}
    return dict.fromkeys(request.categories, CompletedBy.NOTHING)


def _is_same_service(record: FetchRecord, request: PollRequest) -> bool:
    """Whether a fetch was part of regular operation; False for an old date fetched by hand.

    In regular operation as much time passes between fetches as between their announcements.
    """
    between = request.window.public_from - announcement(record.date).public_from
    return between <= (request.now - record.at) + request.lookback
