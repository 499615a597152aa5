"""How the newest announcement stands, from what is stored alone: for those who wait, or tell."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from newsletter.announcements import announcement, following, holiday
from newsletter.settling import DAY, HOUR, How, ask_at
from newsletter.sources import Growing
from newsletter.store import looks as seen
from newsletter.store import papers as shelf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from newsletter.sources import PaperSource
    from newsletter.store import Store


class Batch(StrEnum):
    """WAITING: nobody looked since it is public; NOTHING: a day later arXiv shows none of it."""

    WAITING = "waiting"
    LATE = "late"
    GROWING = "growing"
    WHOLE = "whole"
    NOTHING = "nothing announced"


class Standing(NamedTuple):
    """The newest announcement by the calendar, in our categories.

    `ask_at` is when `fetch` or `look_again` has something to do; `missing` are the categories that
    are not whole; `holiday` says why arXiv is known to announce nothing on the next weekday.
    """

    date: date
    public_from: datetime
    batch: Batch
    ask_at: datetime
    missing: tuple[str, ...] = ()
    looks: int = 0
    holiday: str = ""


def standing(
    store: Store, source: PaperSource, categories: Sequence[str], now: datetime
) -> Standing:
    """Asks nobody but the database."""
    day = source.newest(now)
    public_from = announcement(day).public_from
    with store.read() as tx:
        found = seen.looks_at(tx, day, now)
        done = {one.category: one for one in shelf.fetches(tx, categories) if one.date == day}
    looks = {name: one for name, one in found.items() if name in categories}
    missing = tuple(sorted(set(categories) - done.keys()))
    last = max((one.at for one in looks.values()), default=public_from)
    if missing:
        batch = Batch.GROWING if any(one.out_at for one in looks.values()) else Batch.LATE
        if not looks:
            batch = Batch.WAITING
        due = ask_at([looks[name] for name in missing if name in looks], public_from)
    else:
        quiet = all(one.how == How.NOTHING for one in done.values())
        batch = Batch.NOTHING if quiet else Batch.WHOLE
        due = last + HOUR
    if not missing and (not isinstance(source, Growing) or due - public_from >= DAY):
        due = announcement(following(day)).public_from
    times = max((one.looks for one in looks.values()), default=0)
    return Standing(day, public_from, batch, due, missing, times, _holiday_after(day, now))


def late_since(
    store: Store, source: PaperSource, categories: Sequence[str], now: datetime
) -> datetime | None:
    """Since when the newest announcement should be there, while none of it is; else None.

    A batch of which some is there is not late, and one that nobody looked for is not known to be.
    """
    now_stands = standing(store, source, categories, now)
    return now_stands.public_from if now_stands.batch is Batch.LATE else None


def is_whole(store: Store, categories: Sequence[str], day: date) -> bool:
    """Whether a digest of `day` in these categories may be made: others may still be growing."""
    with store.read() as tx:
        return shelf.is_fetched(tx, categories, day)


def _holiday_after(day: date, now: datetime) -> str:
    """The holiday that `now` falls on, if arXiv's next evening is one."""
    passed = day + timedelta(days=1)
    while passed < following(day):
        if holiday(passed) and announcement(passed).public_from <= now:
            return holiday(passed)
        passed += timedelta(days=1)
    return ""
