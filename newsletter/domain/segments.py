"""Groups of readers that planning treats alike: schedule, position, cohort (pure)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.mail import Subscription

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime


class DeliverySchedule(NamedTuple):
    """Zone, hour and days of readers who are due at the same time; `days` as stored (JSON)."""

    timezone: str | None
    send_at: str | None
    days: str

    @property
    def reader(self) -> Subscription:
        """A subscriber with this schedule who joined long ago."""
        return _reader_of(self)


@lru_cache(maxsize=4096)  # Each wake-up asks about each schedule and day.
def _reader_of(schedule: DeliverySchedule) -> Subscription:
    return Subscription(
        id="",
        email="",
        rubric="",
        timezone=schedule.timezone,
        send_at=time.fromisoformat(schedule.send_at) if schedule.send_at else None,
        days=tuple(json.loads(schedule.days)),
    )


class DatedDigests(NamedTuple):
    """The digests of one date that mail may have held, and when that date was public."""

    date: date
    ids: tuple[int, ...]
    public_from: datetime


class ReaderPosition(NamedTuple):
    """How far readers were served.

    Served up to `date`; or new, and `date` was the newest when they came. Without a date it is
    longer ago than the cohort looks back. `ahead` are those who were served a later date already.
    """

    date: date | None
    new: bool = False
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Cohort:
    """Readers of a rubric, of these schedules, to get mail up to the date `last`.

    They have none of the digests `covered` yet. `due` is when their mail was due. A schedule maps
    to the last moment at which its readers may have joined; None where any is right. `past` has
    the newest date first; `later` are digests of dates that follow.
    """

    rubric: str
    schedules: Mapping[DeliverySchedule, datetime | None]
    last: date
    covered: Sequence[int]
    past: Sequence[DatedDigests]
    later: Sequence[int] = ()
    due: datetime | None = None
    readers: int | None = None
    """How many they are, where they were counted."""

    @property
    def positions(self) -> list[ReaderPosition]:
        """All possible positions; the first that applies is a reader's."""
        served = [
            ReaderPosition(None, ahead=True),
            *(ReaderPosition(one.date) for one in self.past),
        ]
        came = [ReaderPosition(one.date, new=True) for one in self.past]
        return [*served, ReaderPosition(None), *came, ReaderPosition(None, new=True)]
