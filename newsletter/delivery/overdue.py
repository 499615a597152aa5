"""Readers whose hour came and for whom no mail was written down: what is owed against what stands.

The alerts look here with the eyes of those who plan (`delivery/planner.py`), as they would have an
hour ago.
A plan that never ran, died or was refused leaves no row that could be found overdue.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from newsletter.delivery.plan_rules import (
    LOOK_BACK,
    MEMORY,
    StoredDigests,
    due_mail_for,
    joined_by,
    parts_for,
)
from newsletter.delivery.planner import sorted_cohort
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


def unplanned(tx: Connection, by: datetime, zone: ZoneInfo, hour: time) -> tuple[Incident, ...]:
    """Mails that should have been planned until `by` and are not, by rubric and date."""
    first = by.date() - LOOK_BACK - MEMORY
    there = digests.ids_since(tx, first)
    mailed = sorted({slug for _, slug, _, last in there if last >= by.date() - MEMORY})
    shelves = [StoredDigests(slug, digests.saved_since(tx, slug, first), there) for slug in mailed]
    return tuple(case for shelf in shelves for case in _on(tx, shelf, by, zone, hour))


def _on(
    tx: Connection, shelf: StoredDigests, by: datetime, zone: ZoneInfo, hour: time
) -> list[Incident]:
    shelf = shelf._replace(frozen=[one for one in shelf.frozen if one.at <= by])
    if shelf.newest is None:
        return []
    ready: dict[DueMail, dict[DeliverySchedule, datetime | None]] = {}
    for habit in audience.schedules(tx, shelf.slug, shelf.since(shelf.newest)):
        if turn := due_mail_for(shelf, habit, by, by, zone, hour):
            own = due_of(turn.last, habit.reader, zone, hour)
            ready.setdefault(turn, {})[habit] = joined_by(shelf, turn.last, own)
    cases = [_case(tx, shelf, turn, habits) for turn, habits in ready.items()]
    return [case for case in cases if case.number]


def _case(
    tx: Connection,
    shelf: StoredDigests,
    turn: DueMail,
    habits: Mapping[DeliverySchedule, datetime | None],
) -> Incident:
    covered, past = shelf.since(turn.last), shelf.before(turn.last)
    _, found = sorted_cohort(tx, Cohort(shelf.slug, habits, covered, past, due=turn.due))
    made = max((one.at for one in shelf.frozen if one.date == turn.last), default=turn.due)
    wanting = {
        standing: number
        for standing, number in found.items()
        if parts_for(shelf, standing, turn.last, weekly=turn.weekly)
    }
    return Incident(shelf.slug, turn.last, max(turn.due, made), sum(wanting.values()))


def together(cases: Iterable[Incident]) -> tuple[Incident, ...]:
    """One case of each digest: how many in all, since the first of them."""
    found: dict[tuple[str, date], Incident] = {}
    for case in cases:
        before = found.get((case.rubric, case.day), replace(case, number=0))
        number, since = before.number + case.number, min(before.since, case.since)
        found[case.rubric, case.day] = replace(case, number=number, since=since)
    return tuple(found[key] for key in sorted(found))
