"""Ask the source what was announced, once for every rubric, and keep it.

    window     papers submitted in the announcement's own window are listed under its date
    strays     papers of earlier windows that no earlier fetch saw (held by moderation, cross-listed
               later, or announced while the service was down) are listed under it as late
    settle     a source that shows its newest announcement bit by bit is looked at again until each
               category is whole (domain/completeness.py), compared with the source's own list
               (feed_check.py)

A paper is listed once for ever in each category. All of one look is one transaction.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.announcements import announcement, holiday_name
from newsletter.domain.completeness import DAY, HOUR, POLL_INTERVAL, next_poll_at
from newsletter.errors import OperatorError
from newsletter.ingest.late_papers import keep_versions, long_held, renew, renew_sent
from newsletter.ingest.poll import (
    PollRequest,
    PollResult,
    entries,
    keep,
    poll_once,
    request_for,
    since_when,
)
from newsletter.sources import GrowingSource
from newsletter.store import papers as shelf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.domain.progress import Progress
    from newsletter.sources import PaperSource
    from newsletter.store import Store


class AnnouncementLate(OperatorError):
    """Nothing of the newest announcement is shown, although it is public since `since`."""

    def __init__(self, day: date, ask_at: datetime | None = None) -> None:
        super().__init__(f"arXiv does not show its announcement of {day} yet; it is asked again")
        self.date = day
        self.since = announcement(day).public_from
        self.ask_at = ask_at or self.since + POLL_INTERVAL


class AnnouncementIncomplete(OperatorError):
    """Some of the newest announcement is shown and kept; `categories` are not whole yet."""

    def __init__(self, day: date, ask_at: datetime, categories: Sequence[str]) -> None:
        named = ", ".join(categories)
        super().__init__(
            f"arXiv is still filling in its announcement of {day} ({named}); "
            f"it is asked again at {ask_at:%H:%M} UTC"
        )
        self.date = day
        self.ask_at = ask_at
        self.categories = tuple(categories)


class NotAnnouncedError(OperatorError):
    """The date asked for bears no announcement, or none yet."""

    exit_status = 2


class Fetched(NamedTuple):
    """What stands under `date` now: papers in all, and those that came late.

    `already` is True when all of it stood there before and the source was not asked; `growing`
    are the categories in which more may come.
    """

    date: date
    papers: int
    late: int
    already: bool
    growing: tuple[str, ...] = ()


def fetch(
    store: Store,
    source: PaperSource,
    categories: Sequence[str],
    day: date | None,
    now: datetime,
    *,
    lookback_days: int,
    progress: Progress,
    settle: bool = False,
) -> Fetched:
    """Fetch the announcement of `day` (None: the newest) for the categories that lack it.

    With `settle` (a service, which comes again) the source is asked no sooner than ten minutes
    after the last look, and AnnouncementIncomplete says what is not whole yet and when to come
    again. Without
    it (a person, who wants an answer) one look is taken as it is; only when no date was named and
    the source's own list names many papers that it does not show, there is a
    AnnouncementIncomplete as well.
    What is whole is not asked for again; `look_again` finds what comes after.

    Raises AnnouncementLate, AnnouncementIncomplete, NotAnnouncedError and SourceError.
    """
    newest = source.newest(now)
    chosen = newest if day is None else _public(day, now)
    missing = _missing(store, categories, chosen)
    growing: tuple[str, ...] = ()
    if missing:
        checked = isinstance(source, GrowingSource) and chosen == newest
        patient = checked and (settle or day is None)
        task = request_for(store, missing, chosen, now, checked=checked, patient=patient)
        if settle and checked:
            _rest(task, now)
        harvest = _look(store, source, task, now, timedelta(days=lookback_days), progress)
        growing = tuple(name for name in missing if name not in harvest.whole)
        _complain(task, harvest, growing, settle=settle)
    with store.read() as tx:
        listings = shelf.listed(tx, categories, chosen)
    belated = sum(listing.late for listing in listings)
    return Fetched(chosen, len(listings), belated, already=not missing, growing=growing)


def poll_again(
    store: Store,
    source: PaperSource,
    categories: Sequence[str],
    now: datetime,
    *,
    progress: Progress,
) -> int:
    """Look once more at the newest announcement where it was taken as whole; how many are new.

    For a service to call at every wake-up: the source is asked once an hour at most, for a day;
    what comes after that is a stray of the next announcement. A digest that is made already has
    what comes now in the next one, as late. Raises SourceError.
    """
    day = source.newest(now)
    done = sorted(set(categories) - set(_missing(store, categories, day)))
    if not (done and isinstance(source, GrowingSource)):
        return 0
    task = request_for(store, done, day, now, checked=True, patient=True)
    over = now - task.window.public_from >= DAY
    if over or any(now < last.at + HOUR for last in task.asked):
        return 0
    harvest = poll_once(store, source, task, now, progress)
    new = keep(store, day, now, harvest._replace(whole={}))
    _renew(store, source, harvest, now)
    return new


def _missing(store: Store, categories: Sequence[str], day: date) -> tuple[str, ...]:
    with store.read() as tx:
        return tuple(sorted(shelf.unfetched(tx, categories, day)))


def _public(day: date, now: datetime) -> date:
    """`day`, if its announcement is public."""
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


def _rest(task: PollRequest, now: datetime) -> None:
    """Leave the source alone until the next look is due, whoever took the last one."""
    due = next_poll_at(task.asked, task.window.public_from)
    if now >= due:
        return
    if any(last.out_at for last in task.asked):
        raise AnnouncementIncomplete(task.window.date, due, task.categories)
    raise AnnouncementLate(task.window.date, due)


def _look(
    store: Store,
    source: PaperSource,
    task: PollRequest,
    now: datetime,
    lookback: timedelta,
    progress: Progress,
) -> PollResult:
    """Look once, with the strays of what is whole, and keep it all."""
    harvest = poll_once(store, source, task, now, progress)
    since = since_when(task.window, sorted(harvest.whole), task.history, now, lookback)
    if since:
        first = min(since.values())
        strays = source.submitted(sorted(since), first, task.window.start, progress)
        if task.checked and isinstance(source, GrowingSource):
            held, began = long_held(store, source, since, lookback)
            strays, since = [*strays, *held], since | began
        papers = {**harvest.papers, **{paper.id: paper for paper in strays}}
        late = [*harvest.late, *entries(strays, since)]
        harvest = harvest._replace(papers=papers, late=late)
    keep(store, task.window.date, now, harvest)
    if isinstance(source, GrowingSource):
        _renew(store, source, harvest, now)
        if task.checked and harvest.whole:
            renew_sent(store, source, task.window.date, task.categories, now)
    return harvest


def _renew(store: Store, source: GrowingSource, harvest: PollResult, now: datetime) -> None:
    """Keep later versions of known papers: those seen, and those arXiv's list names."""
    keep_versions(store, harvest.papers.values(), now)
    if harvest.comparison:
        renew(store, source, harvest.comparison.replaced, now)


def _complain(
    task: PollRequest, harvest: PollResult, growing: Sequence[str], *, settle: bool
) -> None:
    """Raise what `fetch` promises for a batch that is not whole."""
    looks = harvest.looks.values()
    due = next_poll_at(looks, task.window.public_from)
    if growing and not any(last.out_at for last in looks):
        raise AnnouncementLate(task.window.date, due)
    if growing and (settle or (harvest.comparison and harvest.comparison.is_filling)):
        raise AnnouncementIncomplete(task.window.date, due, growing)
