"""Which mail is due next for which readers, by the planner's own rules. Nothing is stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from newsletter.delivery.plan_rules import (
    CATCH_UP,
    DueMail,
    StoredDigests,
    next_mail_for,
    parts_for,
    with_expected,
)
from newsletter.delivery.planner import WEEKS, recent_digests
from newsletter.domain.announcements import announcement
from newsletter.domain.mail import WEEKDAYS
from newsletter.domain.segments import DeliverySchedule, ReaderPosition
from newsletter.store import audience

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime, time
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from newsletter.domain.mail import Subscription


class ForecastMail(NamedTuple):
    """One mail that is due for readers of a rubric. `ready`: its newest digest is stored."""

    rubric: str
    mail: DueMail
    readers: int
    ready: bool


def forecast(tx: Connection, now: datetime, zone: ZoneInfo, hour: time) -> list[ForecastMail]:
    """The next mail of every mailable reader, counted by rubric and due time, the first due first.

    `zone` and `hour` are for readers without their own.
    """
    stored, sent = recent_digests(tx, now)
    found: dict[tuple[str, DueMail], int] = {}
    for one in audience.count_served(tx, sent, now - CATCH_UP - WEEKS):
        known = stored.get(one.rubric) or StoredDigests(one.rubric, ())
        mail = next_mail_for(known, one.schedule, one.latest, one.joined, now, zone, hour)
        if mail:
            found[one.rubric, mail] = found.get((one.rubric, mail), 0) + one.readers
    return [
        ForecastMail(rubric, mail, readers, _is_stored(stored, rubric, mail.last))
        for (rubric, mail), readers in sorted(
            found.items(), key=lambda one: (one[0][1].due, one[0])
        )
    ]


class NextMail(NamedTuple):
    """The next mail of one subscription, with the announcement dates that it holds."""

    mail: DueMail
    dates: tuple[date, ...]
    ready: bool


def next_mail_of(
    tx: Connection,
    reader: Subscription,
    joined: datetime,
    latest: date | None,
    now: datetime,
    zone: ZoneInfo,
    hour: time,
) -> NextMail | None:
    """The next mail of a subscription that was served up to `latest`, and joined at that time."""
    stored, _ = recent_digests(tx, now)
    known = stored.get(reader.rubric) or StoredDigests(reader.rubric, ())
    send_at = f"{reader.send_at:%H:%M}" if reader.send_at else None
    schedule = DeliverySchedule(reader.timezone, send_at, json.dumps(list(reader.days or WEEKDAYS)))
    mail = next_mail_for(known, schedule, latest, joined, now, zone, hour)
    if mail is None:
        return None
    foreseen = with_expected(known, now)
    position = ReaderPosition(latest)
    if latest is None:
        dates = (one.date for one in foreseen.frozen if one.date < mail.last)
        came = max((day for day in dates if announcement(day).public_from <= joined), default=None)
        position = ReaderPosition(came, new=True)
    parts = parts_for(foreseen, position, mail.last, weekly=mail.weekly)
    held = tuple(one.date for one in parts)
    return NextMail(mail, held, _is_stored(stored, reader.rubric, mail.last))


def _is_stored(stored: Mapping[str, StoredDigests], rubric: str, day: date) -> bool:
    return any(one.date == day for one in stored[rubric].frozen) if rubric in stored else False
