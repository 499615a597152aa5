"""Fetch an announcement, once for all rubrics. Each poll takes three steps:

    observe     all questions to the source (observe.py)
    decide      what is complete, what is late, when to poll again; pure (decide.py)
    apply       one transaction (store/polls.py)

Papers submitted in the announcement's window are listed under its date; papers of earlier windows
that no earlier poll found (held by moderation, cross-listed later, announced while the service was
down) are late. A paper is listed only once in each category. A source that fills in its
announcement is polled until each category is complete.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.announcements import announcement, holiday_name
from newsletter.domain.completeness import DAY, HOUR, is_shown, next_poll_at
from newsletter.errors import OperatorError
from newsletter.ingest.decide import PollMode, PollRequest, decide
from newsletter.ingest.observe import observe
from newsletter.sources import IncrementalSource
from newsletter.store import papers, polls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.completeness import Decision
    from newsletter.domain.progress import Progress
    from newsletter.sources import PaperSource
    from newsletter.store import Store


HISTORY = timedelta(days=90)
"""Length of the fetch history: longer than the lookback and than a category may stay empty."""


class AnnouncementLate(OperatorError):
    """arXiv shows no paper of the newest announcement, although it should be public."""

    def __init__(self, day: date, retry_at: datetime) -> None:
        super().__init__(f"arXiv does not show its announcement of {day} yet; it is asked again")
        self.date = day
        self.retry_at = retry_at


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
    chosen = source.newest(now) if day is None else _require_public(day, now)
    missing = _missing(store, categories, chosen)
    incomplete: tuple[str, ...] = ()
    if missing:
        mode = PollMode.ACCEPT if day is None else PollMode.FINAL
        mode = PollMode.WAIT if wait_until_complete else mode
        lookback = timedelta(days=lookback_days)
        request = _request(store, source, missing, chosen, mode, now, lookback)
        _raise_if_too_early(request)
        decision, _ = _poll(store, source, request, progress)
        _raise_if_incomplete(decision)
        incomplete = decision.incomplete
    with store.read() as tx:
        listings = papers.listed(tx, categories, chosen)
    late_count = sum(listing.late for listing in listings)
    return FetchResult(chosen, len(listings), late_count, not missing, incomplete)


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
    complete = sorted(set(categories) - set(_missing(store, categories, day)))
    if not (complete and isinstance(source, IncrementalSource)):
        return 0
    request = _request(store, source, complete, day, PollMode.RECHECK, now)
    is_over = now - request.window.public_from >= DAY
    if is_over or any(now < poll.at + HOUR for poll in request.past_polls):
        return 0
    _, new = _poll(store, source, request, progress)
    return new


def _poll(
    store: Store, source: PaperSource, request: PollRequest, progress: Progress
) -> tuple[Decision, int]:
    """One poll; what it decided, and how many papers are new."""
    observation = observe(store, source, request, progress)
    decision = decide(observation, request)
    with store.begin() as tx:
        return decision, polls.apply(tx, decision)


def _request(
    store: Store,
    source: PaperSource,
    categories: Sequence[str],
    day: date,
    mode: PollMode,
    now: datetime,
    lookback: timedelta = timedelta(0),
) -> PollRequest:
    """The poll to make, with what earlier polls stored of the announcement."""
    with store.read() as tx:
        missed = polls.missed_before(tx, day, categories)
        start = announcement(missed[-1] if missed else day).start
        return PollRequest(
            window=replace(announcement(day), start=start),
            categories=tuple(categories),
            mode=mode,
            now=now,
            lookback=lookback,
            with_feed=isinstance(source, IncrementalSource) and day == source.newest(now),
            history=papers.fetches(tx, categories, day - HISTORY),
            polls=polls.polls_of(tx, day, now),
            is_out=papers.has_papers(tx, day),
        )


def _missing(store: Store, categories: Sequence[str], day: date) -> list[str]:
    with store.read() as tx:
        return sorted(papers.unfetched(tx, categories, day))


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


def _raise_if_too_early(request: PollRequest) -> None:
    """Raise unless the next poll is due, whichever process made the last one."""
    due = next_poll_at(request.past_polls, request.window.public_from)
    if not request.with_feed or request.mode is not PollMode.WAIT or request.now >= due:
        return
    if is_shown(request.past_polls):
        raise AnnouncementIncomplete(request.window.date, due, request.categories)
    raise AnnouncementLate(request.window.date, due)


def _raise_if_incomplete(decision: Decision) -> None:
    """Raise AnnouncementLate or AnnouncementIncomplete, as documented in `fetch`."""
    if decision.incomplete and not is_shown(decision.polls.values()):
        raise AnnouncementLate(decision.date, decision.retry_at)
    if decision.must_wait:
        raise AnnouncementIncomplete(decision.date, decision.retry_at, decision.incomplete)
