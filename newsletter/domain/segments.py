from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.mail import Subscriber

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime


class DeliverySchedule(NamedTuple):
    """What readers have in common who are due at one instant; `days` as the database keeps them."""

    timezone: str | None
    send_at: str | None
    days: str

    @property
    def reader(self) -> Subscriber:
        """Somebody of this habit who has always been there."""
        return _reader_of(self)


@lru_cache(maxsize=4096)  # A wake-up asks each habit about each of the last days.
def _reader_of(habit: DeliverySchedule) -> Subscriber:
    return Subscriber(
        id="",
        email="",
        rubric="",
        timezone=habit.timezone,
        send_at=time.fromisoformat(habit.send_at) if habit.send_at else None,
        days=tuple(json.loads(habit.days)),
    )


class DatedDigests(NamedTuple):
    """The digests of one date that mail may have held, and when that date was public."""

    date: date
    ids: tuple[int, ...]
    public_from: datetime


class ReaderPosition(NamedTuple):
    """A class of readers.

    Served up to `date`; or new, and `date` was the newest when they came. Without a date it is
    longer ago than the crowd looks back. `ahead` are those who were served a later date already.
    """

    date: date | None
    new: bool = False
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Cohort:
    """Readers of a rubric, of these habits, who have none of the digests `covered` yet.

    `due` is when their mail was, and a habit's moment the last at which its readers may have come;
    None where that is no matter. `past` has the newest date first; `later` are digests of dates
    that follow.
    """

    rubric: str
    habits: Mapping[DeliverySchedule, datetime | None]
    covered: Sequence[int]
    past: Sequence[DatedDigests]
    later: Sequence[int] = ()
    due: datetime | None = None

    @property
    def standings(self) -> list[ReaderPosition]:
        """All there may be, in the order in which the first that holds is a reader's."""
        served = [
            ReaderPosition(None, ahead=True),
            *(ReaderPosition(one.date) for one in self.past),
        ]
        came = [ReaderPosition(one.date, new=True) for one in self.past]
        return [*served, ReaderPosition(None), *came, ReaderPosition(None, new=True)]
