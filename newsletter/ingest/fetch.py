"""Fetch an announcement, once for all rubrics, and store it.

    window      papers submitted in the announcement's window are listed under its date
    late        papers of earlier windows that no earlier fetch saw (held by moderation,
                cross-listed later, or announced while the service was down) are listed as late
    poll again  a source that shows its announcement incrementally is polled until each category is
                complete (domain/completeness.py), cross-checked with its feed (feed_check.py)

A paper is listed only once in each category. Each poll is stored in one transaction.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.announcements import announcement, holiday_name
from newsletter.domain.completeness import DAY, HOUR, POLL_INTERVAL, next_poll_at
from newsletter.errors import OperatorError
from newsletter.ingest.late_papers import (
    fetch_replaced,
    find_held_papers,
    recheck_sent,
    store_versions,
)
from newsletter.ingest.poll import (
    PollRequest,
    PollResult,
    late_cutoffs,
    listing_entries,
    poll_once,
    request_for,
    store_result,
)
from newsletter.sources import IncrementalSource
from newsletter.store import papers as paper_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.progress import Progress
    from newsletter.sources import PaperSource
    from newsletter.store import Store


class AnnouncementLate(OperatorError):
    """arXiv shows no paper of the newest announcement, although it is public since `since`."""

    def __init__(self, day: date, retry_at: datetime | None = None) -> None:
        super().__init__(f"arXiv does not show its announcement of {day} yet; it is asked again")
        self.date = day
        self.since = announcement(day).public_from
        self.retry_at = retry_at or self.since + POLL_INTERVAL


class AnnouncementIncomplete(OperatorError):
    """Part of the newest announcement is stored; `categories` are not complete yet."""

    def __init__(self, day: date, retry_at: datetime, categories: Sequence[str]) -> None:
        named = ", ".join(categories)
        super().__init__(
            f"arXiv is still filling in its announcement of {day} ({named}); "
            f"it is asked again at {retry_at:%H:%M} UTC"
        )
        self.date = day
        self.retry_at = retry_at
        self.categories = tuple(categories)


class NotAnnouncedError(OperatorError):
    """There is no announcement of this date, or it is not public yet."""

    exit_status = 2


class FetchResult(NamedTuple):
    """What is stored for `date`: number of papers, and of late ones among them.

    `already` is True when it was stored before and the source was not asked. `incomplete` are the
    categories that may still get papers.
    """

    date: date
    papers: int
    late: int
    already: bool
    incomplete: tuple[str, ...] = ()


def fetch(
    store: Store,
    source: PaperSource,
    categories: Sequence[str],
    day: date | None,
    now: datetime,
    *,
    lookback_days: int,
    progress: Progress,
    wait_until_complete: bool = False,
) -> FetchResult:
    """Fetch the announcement of `day` (None: the newest) for the categories that lack it.

    With `wait_until_complete` (the service, which calls again) the source is polled at most every
    ten minutes, and AnnouncementIncomplete names the incomplete categories and the time to retry.
    Without it (a person at the command line) one poll is accepted as it is; only for the newest
    date, AnnouncementIncomplete is raised when the feed lists many papers that the API lacks.
    Complete categories are not fetched again; `poll_again` finds what arrives later.

    Raises AnnouncementLate, AnnouncementIncomplete, NotAnnouncedError and SourceError.
    """
    newest = source.newest(now)
    chosen = newest if day is None else _require_public(day, now)
    missing = _missing(store, categories, chosen)
    incomplete: tuple[str, ...] = ()
    if missing:
        with_feed = isinstance(source, IncrementalSource) and chosen == newest
        may_wait = with_feed and (wait_until_complete or day is None)
        request = request_for(store, missing, chosen, now, with_feed=with_feed, may_wait=may_wait)
        if wait_until_complete and with_feed:
            _raise_if_too_early(request, now)
        result = _poll_and_store(
            store, source, request, now, timedelta(days=lookback_days), progress
        )
        incomplete = tuple(name for name in missing if name not in result.complete)
        _raise_if_incomplete(request, result, incomplete, wait_until_complete=wait_until_complete)
    with store.read() as tx:
        listings = paper_store.listed(tx, categories, chosen)
    late_count = sum(listing.late for listing in listings)
    return FetchResult(
        chosen, len(listings), late_count, already=not missing, incomplete=incomplete
    )


def poll_again(
    store: Store,
    source: PaperSource,
    categories: Sequence[str],
    now: datetime,
    *,
    progress: Progress,
) -> int:
    """Poll the complete categories of the newest announcement again; return the new papers' count.

    The scheduler may call it at any time: the source is asked at most hourly, for one day. Papers
    that arrive later are late papers of the next announcement. Papers that arrive after a digest
    was made go into the next digest, as late. Raises SourceError.
    """
    day = source.newest(now)
    done = sorted(set(categories) - set(_missing(store, categories, day)))
    if not (done and isinstance(source, IncrementalSource)):
        return 0
    request = request_for(store, done, day, now, with_feed=True, may_wait=True)
    over = now - request.window.public_from >= DAY
    if over or any(now < last.at + HOUR for last in request.asked):
        return 0
    result = poll_once(store, source, request, now, progress)
    new = store_result(store, day, now, result._replace(complete={}))
    _store_new_versions(store, source, result, now)
    return new


def _missing(store: Store, categories: Sequence[str], day: date) -> tuple[str, ...]:
    with store.read() as tx:
        return tuple(sorted(paper_store.unfetched(tx, categories, day)))


def _require_public(day: date, now: datetime) -> date:
    """Return `day`, or raise NotAnnouncedError unless its announcement is public."""
    if holiday_name(day):
        message = f"arXiv announces nothing on {day} ({holiday_name(day)})"
        raise NotAnnouncedError(message)
    try:
        public_from = announcement(day).public_from
    except ValueError as error:
        raise NotAnnouncedError(str(error)) from None
    if public_from > now:
        message = f"arXiv's announcement of {day} is public from {public_from:%Y-%m-%d %H:%M} UTC"
        raise NotAnnouncedError(message)
    return day


def _raise_if_too_early(request: PollRequest, now: datetime) -> None:
    """Raise unless the next poll is due, whichever process made the last one."""
    due = next_poll_at(request.asked, request.window.public_from)
    if now >= due:
        return
    if any(last.out_at for last in request.asked):
        raise AnnouncementIncomplete(request.window.date, due, request.categories)
    raise AnnouncementLate(request.window.date, due)


def _poll_and_store(
    store: Store,
    source: PaperSource,
    request: PollRequest,
    now: datetime,
    lookback: timedelta,
    progress: Progress,
) -> PollResult:
    """Poll once, with the late papers of complete categories, and store the result."""
    result = poll_once(store, source, request, now, progress)
    since = late_cutoffs(request.window, sorted(result.complete), request.history, now, lookback)
    if since:
        first = min(since.values())
        late_papers = source.submitted(sorted(since), first, request.window.start, progress)
        if request.with_feed and isinstance(source, IncrementalSource):
            held, began = find_held_papers(store, source, since, lookback)
            late_papers, since = [*late_papers, *held], since | began
        papers = {**result.papers, **{paper.id: paper for paper in late_papers}}
        late = [*result.late, *listing_entries(late_papers, since)]
        result = result._replace(papers=papers, late=late)
    store_result(store, request.window.date, now, result)
    if isinstance(source, IncrementalSource):
        _store_new_versions(store, source, result, now)
        if request.with_feed and result.complete:
            recheck_sent(store, source, request.window.date, request.categories, now)
    return result


def _store_new_versions(
    store: Store, source: IncrementalSource, result: PollResult, now: datetime
) -> None:
    """Store new versions of known papers: those in the result, and those the feed lists."""
    store_versions(store, result.papers.values(), now)
    if result.comparison:
        fetch_replaced(store, source, result.comparison.replaced, now)


def _raise_if_incomplete(
    request: PollRequest,
    result: PollResult,
    incomplete: Sequence[str],
    *,
    wait_until_complete: bool,
) -> None:
    """Raise AnnouncementLate or AnnouncementIncomplete, as documented in `fetch`."""
    polls_by_category = result.polls_by_category.values()
    due = next_poll_at(polls_by_category, request.window.public_from)
    if incomplete and not any(last.out_at for last in polls_by_category):
        raise AnnouncementLate(request.window.date, due)
    if incomplete and (wait_until_complete or (result.comparison and result.comparison.is_filling)):
        raise AnnouncementIncomplete(request.window.date, due, incomplete)
