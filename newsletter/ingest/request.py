"""Read what earlier polls stored of an announcement, as the request of the next poll."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.domain.announcements import announcement, previous
from newsletter.domain.model import Announcement
from newsletter.ingest.decide import PollRequest
from newsletter.sources import IncrementalSource
from newsletter.store import papers, polls

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from newsletter.ingest.decide import PollMode
    from newsletter.sources import PaperSource
    from newsletter.store import Store

HISTORY = timedelta(days=90)
"""Length of the fetch history: longer than the lookback and than a category may stay empty."""
MAX_MISSED = 3
"""Most consecutive announcements that did not take place: arXiv's year-end break."""


def read_request(
    store: Store,
    source: PaperSource,
    categories: Sequence[str],
    day: date,
    mode: PollMode,
    now: datetime,
    lookback: timedelta = timedelta(0),
) -> PollRequest:
    with store.read() as tx:
        return PollRequest(
            window=window_of(tx, day, categories),
            categories=tuple(categories),
            mode=mode,
            now=now,
            lookback=lookback,
            with_feed=isinstance(source, IncrementalSource) and day == source.newest(now),
            history=papers.fetches(tx, categories, day - HISTORY),
            polls=polls.polls_of(tx, day, now),
            is_out=papers.has_papers(tx, day),
        )


def window_of(tx: Connection, day: date, categories: Sequence[str]) -> Announcement:
    """The announcement of `day`, extended by the windows of preceding ones that did not take place.

    An unknown holiday is recognized by this: it was polled and nothing was announced.
    """
    window = announcement(day)
    start, before = window.start, previous(day)
    for _ in range(MAX_MISSED):
        if not polls.polled_empty(tx, before, categories):
            break
        start, before = announcement(before).start, previous(before)
    return Announcement(day, start, window.end, window.public_from)
