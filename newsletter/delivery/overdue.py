"""Unplanned mail: readers whose send time passed and who have no delivery row.

The alerts use this with the planner's rules (`delivery/planner.py`) as of one hour ago. A planner
that never ran or failed leaves no row, so a search for overdue rows would not find it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from newsletter.delivery.plan_rules import (
    CATCH_UP,
    LOOK_BACK,
    StoredDigests,
    due_mail_for,
    joined_by,
    parts_for,
)
from newsletter.delivery.planner import locate_readers
from newsletter.domain.alerts import Incident
from newsletter.domain.segments import Cohort
from newsletter.domain.send_times import due_of
from newsletter.store import audience, digests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime, time
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from newsletter.delivery.plan_rules import DueMail
    from newsletter.domain.segments import DeliverySchedule


def unplanned_mail(
    tx: Connection, by: datetime, zone: ZoneInfo, hour: time
) -> tuple[Incident, ...]:
    """Deliveries that should have been planned by `by` and are not, by rubric and date."""
    first = by.date() - LOOK_BACK - CATCH_UP
    there = digests.ids_since(tx, first)
    mailed = sorted({slug for _, slug, _, last in there if last >= by.date() - CATCH_UP})
    by_rubric = [
        StoredDigests(slug, digests.saved_since(tx, slug, first), there) for slug in mailed
    ]
    return tuple(
        incident for stored in by_rubric for incident in _unplanned_of(tx, stored, by, zone, hour)
    )


def _unplanned_of(
    tx: Connection, stored: StoredDigests, by: datetime, zone: ZoneInfo, hour: time
) -> list[Incident]:
    stored = stored._replace(frozen=[one for one in stored.frozen if one.at <= by])
    if stored.newest is None:
        return []
    ready: dict[DueMail, dict[DeliverySchedule, datetime | None]] = {}
    for schedule in audience.schedules(tx, stored.slug, stored.since(stored.newest)):
        if mail := due_mail_for(stored, schedule, by, by, zone, hour):
            due_at = due_of(mail.last, schedule.reader, zone, hour)
            ready.setdefault(mail, {})[schedule] = joined_by(stored, mail.last, due_at)
    incidents = [_incident(tx, stored, mail, schedules) for mail, schedules in ready.items()]
    return [incident for incident in incidents if incident.number]


def _incident(
    tx: Connection,
    stored: StoredDigests,
    mail: DueMail,
    schedules: Mapping[DeliverySchedule, datetime | None],
) -> Incident:
    covered, past = stored.since(mail.last), stored.before(mail.last)
    cohort = Cohort(stored.slug, schedules, mail.last, covered, past, due=mail.due)
    _, found = locate_readers(tx, cohort)
    made = max((one.at for one in stored.frozen if one.date == mail.last), default=mail.due)
    missing = {
        position: number
        for position, number in found.items()
        if parts_for(stored, position, mail.last, weekly=mail.weekly)
    }
    return Incident(stored.slug, mail.last, max(mail.due, made), sum(missing.values()))


def merge_incidents(incidents: Iterable[Incident]) -> tuple[Incident, ...]:
    """Merge the incidents of each digest: their sum, since the earliest of them."""
    found: dict[tuple[str, date], Incident] = {}
    for incident in incidents:
        before = found.get((incident.rubric, incident.day), replace(incident, number=0))
        number, since = before.number + incident.number, min(before.since, incident.since)
        found[incident.rubric, incident.day] = replace(incident, number=number, since=since)
    return tuple(found[key] for key in sorted(found))
