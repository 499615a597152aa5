"""Ask the source what was announced, once for every rubric, and keep it.

    window     papers submitted in the announcement's own window are listed under its date
    strays     papers of earlier windows that no earlier fetch saw (held by moderation, cross-listed
               later, or announced while the service was down) are listed under it as late

A paper is listed once for ever in each category. All of one fetch is one transaction.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter.announcements import announcement
from newsletter.store import papers as shelf
from newsletter.store.papers import Entry
from newsletter.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from newsletter.model import Announcement, Paper
    from newsletter.sources import PaperSource, Progress
    from newsletter.store import Store
    from newsletter.store.papers import Fetch

# arXiv's API may show an announcement hours after its web pages do. The next one is a day away.
PATIENCE = timedelta(hours=24)


class BatchLate(Exception):  # noqa: N818 - an event of the calendar that the morning waits for
    """The newest announcement has no papers yet. Nothing was recorded: ask again later."""

    def __init__(self, day: date) -> None:
        super().__init__(f"arXiv does not show its announcement of {day} yet; it is asked again")
        self.date = day


class NotAnnouncedError(Trouble):
    """The date asked for bears no announcement, or none yet."""

    exit_status = 2


class Fetched(NamedTuple):
    """What stands under `date` now: papers in all, and those that came late.

    `already` is True when all of it stood there before and the source was not asked.
    """

    date: date
    papers: int
    late: int
    already: bool


class Harvest(NamedTuple):
    """What the source gave for some categories: papers by id, and where they may be listed."""

    categories: Sequence[str]
    papers: Mapping[str, Paper]
    on_time: Sequence[Entry]
    late: Sequence[Entry]


def fetch(
    store: Store,
    source: PaperSource,
    categories: Sequence[str],
    day: date | None,
    now: datetime,
    *,
    lookback_days: int,
    progress: Progress,
) -> Fetched:
    """Fetch the announcement of `day` (None: the newest) for the categories that lack it.

    Raises BatchLate, NotAnnouncedError and SourceError.
    """
    day = source.newest(now) if day is None else _public(day, now)
    with store.read() as tx:
        history = shelf.fetches(tx, categories)
        is_out = shelf.is_out(tx, day)
    done = {past.category for past in history if past.date == day}
    missing = tuple(sorted(set(categories) - done))
    if missing:
        window = announcement(day)
        found = source.submitted(missing, window.start, window.end, progress)
        if not (found or is_out) and now - window.public_from < PATIENCE:
            raise BatchLate(day)
        since = _since(window, missing, history, now, timedelta(days=lookback_days))
        strays = _strays(source, since, window, progress)
        harvest = Harvest(
            categories=missing,
            papers={paper.id: paper for paper in [*found, *strays]},
            on_time=_entries(found, dict.fromkeys(missing, window.start)),
            late=_entries(strays, since),
        )
        _keep(store, day, now, harvest)
    with store.read() as tx:
        listings = shelf.listed(tx, categories, day)
    belated = sum(listing.late for listing in listings)
    return Fetched(day, len(listings), belated, already=not missing)


def _public(day: date, now: datetime) -> date:
    """`day`, if its announcement is public."""
    try:
        public_from = announcement(day).public_from
    except ValueError as error:
        raise NotAnnouncedError(str(error)) from None
    if public_from > now:
        message = f"arXiv's announcement of {day} is public from {public_from:%Y-%m-%d %H:%M} UTC"
        raise NotAnnouncedError(message)
    return day


def _since(
    window: Announcement,
    missing: Sequence[str],
    history: Sequence[Fetch],
    now: datetime,
    lookback: timedelta,
) -> dict[str, datetime]:
    """From when each category's strays are taken; a category that takes none is not in it.

    A date before one that was fetched takes its own window only: a stray belongs to the newest
    issue. What was submitted before the service began is no stray.
    """
    since: dict[str, datetime] = {}
    for category in missing:
        past = [fetch for fetch in history if fetch.category == category]
        began = [fetch.date for fetch in past if _led_here(fetch, window, now, lookback)]
        if began and all(fetch.date < window.date for fetch in past):
            since[category] = max(announcement(min(began)).start, window.start - lookback)
    return {category: start for category, start in since.items() if start < window.start}


def _led_here(fetch: Fetch, window: Announcement, now: datetime, lookback: timedelta) -> bool:
    """False for an old date somebody once tried out: a service does not jump over weeks at once.

    Between two fetches of one service as much time has passed as between their announcements.
    """
    apart = window.public_from - announcement(fetch.date).public_from
    return apart <= (now - fetch.at) + lookback


def _strays(
    source: PaperSource, since: Mapping[str, datetime], window: Announcement, progress: Progress
) -> list[Paper]:
    if not since:
        return []
    return source.submitted(sorted(since), min(since.values()), window.start, progress)


def _entries(found: Iterable[Paper], since: Mapping[str, datetime]) -> list[Entry]:
    """What may be listed: each paper in each of its categories that takes papers of its age."""
    return [
        Entry(category, paper.id)
        for paper in found
        for category in paper.categories
        if category in since and paper.published >= since[category]
    ]


def _keep(store: Store, day: date, now: datetime, harvest: Harvest) -> None:
    counts = Counter(entry.category for entry in harvest.on_time)
    with store.begin() as tx:
        known = shelf.entries_of(tx, harvest.categories, list(harvest.papers))
        on_time = [entry for entry in harvest.on_time if entry not in known]
        late = [entry for entry in harvest.late if entry not in known]
        fresh = {entry.paper_id for entry in [*on_time, *late]}
        shelf.keep(tx, [harvest.papers[key] for key in sorted(fresh)])
        shelf.list_papers(tx, day, on_time, late=False)
        shelf.list_papers(tx, day, late, late=True)
        shelf.mark_fetched(tx, day, {name: counts[name] for name in harvest.categories}, now)
