"""Whether an announcement is complete, by what each poll showed (pure).

arXiv fills an announcement in over minutes, now and then over hours, and its API may answer "no
papers" long after its pages show them. A category is taken as whole when arXiv's own list of the
day agrees, when two polls ten minutes apart saw the same, or at the timeout; late papers are still
polled for, every hour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


POLL_INTERVAL = timedelta(minutes=10)
"""Between two polls while we wait, and between two that may agree."""
HOUR = timedelta(hours=1)
FREQUENT_UNTIL = timedelta(hours=3)
"""For so long an announcement without papers is polled often; afterwards hourly. A first poll
after that need not see the announcement grow.
"""
LOW_COUNT_TIMEOUT = timedelta(hours=3)
"""How long after publication a category with far fewer papers than usual holds its rubrics."""
MISSING_TIMEOUT = timedelta(hours=2)
"""How long to wait for many papers that arXiv's feed lists and its API lacks."""
MISSING_TOLERATED = 0.05
"""A smaller share of missing papers is not waited for: they come late, with the next digest."""
GROWTH_TIMEOUT = timedelta(hours=6)
"""How long to wait for an announcement that keeps growing."""
USUAL_DAYS = 5
"""Announcements that must be known before a count can be called low."""
COMPARED_DAYS = 10
LOW_SHARE = 3
MIN_USUAL = 10
DAY = timedelta(hours=24)
"""After this, one poll suffices, and no papers at all counts as an answer."""


class CompletedBy(StrEnum):
    """What made us take a category's part of an announcement as whole."""

    FEED = "feed"
    LOOKS = "two looks"
    ONCE = "one look"
    DAY = "a day"
    PATIENCE = "patience"
    NOTHING = "nothing"


class Poll(NamedTuple):
    """The polls of one category until now.

    `since` is the first poll that saw as many papers as the last one (`at`), `out_at` the first
    that saw any of the announcement, in whatever category.
    """

    papers: int
    since: datetime
    at: datetime
    looks: int = 1
    out_at: datetime | None = None


class Observation(NamedTuple):
    """What one poll saw of one category.

    `named` is how many papers arXiv's list of the day names (None: there is no such list),
    `waiting` how many of these the API lacks; `low` when there are far fewer than usual.
    """

    papers: int
    named: int | None = None
    waiting: int = 0
    low: bool = False


def is_low(papers: int, past: Sequence[int]) -> bool:
    """Whether a category has far fewer papers than in its announcements of before.

    None is far fewer if it had some in each of the last five. A category that has ten papers a day
    or more is low under a third of what its last ten announcements had (the median).
    """
    if len(past) < USUAL_DAYS:
        return False
    if not papers:
        return all(past[-USUAL_DAYS:])
    usual = median(past[-COMPARED_DAYS:])
    return usual >= MIN_USUAL and LOW_SHARE * papers < usual


def next_poll(before: Poll | None, papers: int, now: datetime, *, out: bool) -> Poll:
    """The poll of `now`, following `before`."""
    out_at = before.out_at if before and before.out_at else now if out else None
    if before is None:
        return Poll(papers, now, now, 1, out_at)
    since = before.since if before.papers == papers else now
    return Poll(papers, since, now, before.looks + 1, out_at)


def assess(
    poll: Poll, observation: Observation, public_from: datetime, now: datetime
) -> CompletedBy | None:
    """Why a category of a published announcement is complete; None while it may grow."""
    age, out_for = now - public_from, now - (poll.out_at or now)
    if (
        observation.named is not None
        and not observation.waiting
        and (observation.named or not observation.papers)
    ):
        return CompletedBy.FEED
    if age >= DAY and (observation.papers or not observation.waiting):
        return CompletedBy.DAY if observation.papers else CompletedBy.PATIENCE
    # Papers that arXiv's own list names will come, however late the whole batch is.
    if observation.low and not observation.waiting:
        return CompletedBy.PATIENCE if _agree(poll) and age >= LOW_COUNT_TIMEOUT else None
    if is_filling(observation.named, observation.waiting) and out_for < MISSING_TIMEOUT:
        return None
    return _stopped(poll, age, out_for)


def _stopped(poll: Poll, age: timedelta, out_for: timedelta) -> CompletedBy | None:
    """Why the polls alone say that nothing more comes."""
    if poll.looks == 1 and age >= FREQUENT_UNTIL:
        return CompletedBy.ONCE
    if _agree(poll):
        return CompletedBy.LOOKS
    return CompletedBy.PATIENCE if out_for >= GROWTH_TIMEOUT else None


def _agree(poll: Poll) -> bool:
    return poll.at - poll.since >= POLL_INTERVAL


def is_filling(named: int | None, waiting: int) -> bool:
    """Whether the API lacks so many of the papers named that it must still be filling in."""
    return waiting > MISSING_TOLERATED * (named or 0)


def next_poll_at(polls: Iterable[Poll], public_from: datetime) -> datetime:
    """When to poll an incomplete announcement next."""
    seen = list(polls)
    if not seen:
        return public_from
    last = max(poll.at for poll in seen)
    waiting = not any(poll.out_at for poll in seen) and last - public_from >= FREQUENT_UNTIL
    return last + (HOUR if waiting else POLL_INTERVAL)


@dataclass(frozen=True, slots=True)
class FeedCheck:
    """How arXiv's list and its API agreed on a day.

    `named` has, for each category the list is of that day in, how many of the papers it names are
    there and how many it names; `apart` are the others: id, category, and why (`crosscheck.Why`).
    """

    state: str
    named: dict[str, tuple[int, int]] = field(default_factory=dict)
    apart: tuple[tuple[str, str, str], ...] = ()
