"""Which submissions an announcement holds for us, and from when on its strays are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.announcements import announcement, previous
from newsletter.model import Announcement
from newsletter.store import looks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime, timedelta

    from sqlalchemy import Connection

    from newsletter.store.papers import Fetch


MOST_MISSED = 3
"""Announcements on end that never came: arXiv's longest pause, at the end of a year."""


def window_of(tx: Connection, day: date, categories: Sequence[str]) -> Announcement:
    """The announcement of `day`, with the submissions of dates before it that never came.

    A holiday that nobody told us of is known by this: it was looked at, and nothing was there.
    """
    window = announcement(day)
    start, before = window.start, previous(day)
    for _ in range(MOST_MISSED):
        if not looks.seen_empty(tx, before, categories):
            break
        start, before = announcement(before).start, previous(before)
    return Announcement(day, start, window.end, window.public_from)


def since_when(
    window: Announcement,
    categories: Sequence[str],
    history: Sequence[Fetch],
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


def _led_here(fetch: Fetch, window: Announcement, now: datetime, lookback: timedelta) -> bool:
    """False for an old date somebody once tried out: a service does not jump over weeks at once.

    Between two fetches of one service as much time has passed as between their announcements.
    """
    apart = window.public_from - announcement(fetch.date).public_from
    return apart <= (now - fetch.at) + lookback
