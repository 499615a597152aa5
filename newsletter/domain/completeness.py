"""When an announcement is complete, judged by what the polls showed (pure).

arXiv fills in an announcement over minutes, sometimes over hours, and its API may return no papers
long after its pages show them. A category is complete when arXiv's feed lists the same papers, when
two polls ten minutes apart found as many, or after a timeout. Papers that arrive later are late
papers: the announcement is polled hourly until a day after its publication.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from newsletter.domain.announcements import FetchRecord, ListingEntry
    from newsletter.domain.model import Paper

POLL_INTERVAL = timedelta(minutes=10)
"""Interval of polls while the announcement is incomplete, and the least between two that agree."""
HOUR = timedelta(hours=1)
FREQUENT_UNTIL = timedelta(hours=3)
"""How long an announcement without papers is polled every ten minutes; hourly afterwards. A first
poll after that completes a category at once.
"""
LOW_COUNT_TIMEOUT = timedelta(hours=3)
"""How long after publication a category with far fewer papers than usual is incomplete."""
MISSING_TIMEOUT = timedelta(hours=2)
"""How long to wait when the API lacks many papers that the feed lists."""
MISSING_TOLERATED = 0.05
"""Share of the listed papers that may be missing: they go into the next digest, as late."""
GROWTH_TIMEOUT = timedelta(hours=6)
"""How long to wait while the number of papers keeps growing."""
USUAL_DAYS = 5
"""Number of past announcements needed to call a count low."""
COMPARED_DAYS = 10
"""Number of past announcements whose median is the usual count."""
LOW_SHARE = 3
"""A count is low below the usual count divided by this."""
MIN_USUAL = 10
"""Smaller usual counts vary too much to compare with."""
DAY = timedelta(hours=24)
"""After this, one poll completes a category, and no papers at all means nothing was announced."""


class CompletedBy(StrEnum):
    """Why a category is complete. The values are stored: they keep their first wording."""

    FEED = "feed"
    TWO_POLLS = "two looks"
    ONE_POLL = "one look"
    DAY = "a day"
    TIMEOUT = "patience"
    NOTHING = "nothing"


class Poll(NamedTuple):
    """The polls of one category so far: the last one found `papers` papers, at `at`.

    `since` is the time of the first poll that found as many, `out_at` of the first that found a
    paper of the announcement in any category. `polls` is their number.
    """

    papers: int
    since: datetime
    at: datetime
    polls: int = 1
    out_at: datetime | None = None


class CategoryObservation(NamedTuple):
    """What one poll found in one category.

    `listed` is the number of papers in arXiv's feed (None: the feed is not of that day), `waiting`
    the number of these that the API lacks. `low`: there are far fewer papers than usual.
    """

    papers: int
    listed: int | None = None
    waiting: int = 0
    low: bool = False


def is_low(papers: int, past: Sequence[int]) -> bool:
    """Whether a category has far fewer papers than in its past announcements.

    No papers are far fewer if each of the last five announcements had some. With a median of ten
    or more in the last ten announcements, less than a third of it is far fewer.
    """
    if len(past) < USUAL_DAYS:
        return False
    if not papers:
        return all(past[-USUAL_DAYS:])
    usual = median(past[-COMPARED_DAYS:])
    return usual >= MIN_USUAL and LOW_SHARE * papers < usual


def next_poll(before: Poll | None, papers: int, now: datetime, *, out: bool) -> Poll:
    """The state after a poll at `now`; `out`: arXiv shows the announcement."""
    out_at = before.out_at if before and before.out_at else now if out else None
    if before is None:
        return Poll(papers, now, now, 1, out_at)
    since = before.since if before.papers == papers else now
    return Poll(papers, since, now, before.polls + 1, out_at)


def assess(
    poll: Poll, found: CategoryObservation, public_from: datetime, now: datetime
) -> CompletedBy | None:
    """Why a category of a public announcement is complete; None while it is incomplete."""
    age, out_for = now - public_from, now - (poll.out_at or now)
    if found.listed is not None and not found.waiting and (found.listed or not found.papers):
        return CompletedBy.FEED
    if age >= DAY and (found.papers or not found.waiting):
        return CompletedBy.DAY if found.papers else CompletedBy.TIMEOUT
    # Papers that the feed lists will appear in the API, even when the whole announcement is late.
    if found.low and not found.waiting:
        return CompletedBy.TIMEOUT if _agree(poll) and age >= LOW_COUNT_TIMEOUT else None
    if is_filling(found.listed, found.waiting) and out_for < MISSING_TIMEOUT:
        return None
    return _completed_by_polls(poll, age, out_for)


def _completed_by_polls(poll: Poll, age: timedelta, out_for: timedelta) -> CompletedBy | None:
    """Why a category is complete by its polls alone, without the feed."""
    if poll.polls == 1 and age >= FREQUENT_UNTIL:
        return CompletedBy.ONE_POLL
    if _agree(poll):
        return CompletedBy.TWO_POLLS
    return CompletedBy.TIMEOUT if out_for >= GROWTH_TIMEOUT else None


def _agree(poll: Poll) -> bool:
    return poll.at - poll.since >= POLL_INTERVAL


def is_filling(listed: int | None, waiting: int) -> bool:
    """Whether the API lacks so many of the listed papers that arXiv must still be filling in."""
    return waiting > MISSING_TOLERATED * (listed or 0)


def is_shown(polls: Iterable[Poll]) -> bool:
    """Whether a poll found a paper of the announcement in any category."""
    return any(poll.out_at for poll in polls)


def next_poll_at(polls: Iterable[Poll], public_from: datetime) -> datetime:
    """When an incomplete announcement is polled next."""
    past = list(polls)
    if not past:
        return public_from
    last = max(poll.at for poll in past)
    hourly = not is_shown(past) and last - public_from >= FREQUENT_UNTIL
    return last + (HOUR if hourly else POLL_INTERVAL)


@dataclass(frozen=True, slots=True)
class FeedCheck:
    """How arXiv's feed and its API agree about an announcement.

    `listed` has two numbers for each category in which the feed is of that day: how many of the
    listed papers the API has, and how many are listed. `mismatches` are the other listed papers:
    id, category and `feed_check.MismatchReason`.
    """

    state: str
    listed: dict[str, tuple[int, int]] = field(default_factory=dict)
    mismatches: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What one poll of an announcement changes: `store.polls.apply` stores it in one transaction.

    `papers` holds those of `on_time` and `late`, and known ones whose categories may have changed.
    `completed` are the categories that are complete by this poll, `incomplete` those that are not.
    `versions` may be newer than what is stored. `must_wait`: no digest may be made of the
    incomplete categories; poll again at `retry_at`.
    """

    date: date
    at: datetime
    papers: Mapping[str, Paper]
    on_time: Sequence[ListingEntry]
    late: Sequence[ListingEntry]
    polls: Mapping[str, Poll]
    completed: Sequence[FetchRecord]
    incomplete: tuple[str, ...]
    check: FeedCheck | None
    versions: Sequence[Paper]
    must_wait: bool
    retry_at: datetime
