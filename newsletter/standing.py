"""How the newest announcement stands, from what is stored alone: for those who wait, or tell."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from newsletter.announcements import announcement
from newsletter.settling import How
from newsletter.store import looks as seen
from newsletter.store import papers as shelf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

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
    """The newest announcement by the calendar; `missing` are our categories that are not whole."""

    date: date
    public_from: datetime
    batch: Batch
    missing: tuple[str, ...] = ()


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
    if missing:
        batch = Batch.GROWING if any(one.out_at for one in looks.values()) else Batch.LATE
        if not looks:
            batch = Batch.WAITING
    else:
        quiet = all(one.how == How.NOTHING for one in done.values())
        batch = Batch.NOTHING if quiet else Batch.WHOLE
    return Standing(day, public_from, batch, missing)


def is_whole(store: Store, categories: Sequence[str], day: date) -> bool:
    """Whether a digest of `day` in these categories may be made: others may still be growing."""
    with store.read() as tx:
        return shelf.is_fetched(tx, categories, day)
