"""Readers whose hour came and for whom no mail was written down: what is owed against what stands.

The alerts look here with the eyes of those who plan (`delivery/planner.py`), as they would have an
hour ago.
A plan that never ran, died or was refused leaves no row that could be found overdue.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from newsletter.delivery.plan_rules import LOOK_BACK, MEMORY, Shelf, came_by, parts_for, turn_for
from newsletter.delivery.planner import sorted_crowd
from newsletter.domain.alerts import Case
from newsletter.domain.segments import Crowd
from newsletter.domain.send_times import due_of
from newsletter.store import audience, digests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime, time
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from newsletter.delivery.plan_rules import Turn
    from newsletter.domain.segments import Habit


def unplanned(tx: Connection, by: datetime, zone: ZoneInfo, hour: time) -> tuple[Case, ...]:
    """Mails that should have been planned until `by` and are not, by rubric and date."""
    first = by.date() - LOOK_BACK - MEMORY
    there = digests.ids_since(tx, first)
    mailed = sorted({slug for _, slug, _, last in there if last >= by.date() - MEMORY})
    shelves = [Shelf(slug, digests.frozen_since(tx, slug, first), there) for slug in mailed]
    return tuple(case for shelf in shelves for case in _on(tx, shelf, by, zone, hour))


def _on(tx: Connection, shelf: Shelf, by: datetime, zone: ZoneInfo, hour: time) -> list[Case]:
    shelf = shelf._replace(frozen=[one for one in shelf.frozen if one.at <= by])
    if shelf.newest is None:
        return []
    ready: dict[Turn, dict[Habit, datetime | None]] = {}
    for habit in audience.habits(tx, shelf.slug, shelf.since(shelf.newest)):
        if turn := turn_for(shelf, habit, by, by, zone, hour):
            own = due_of(turn.last, habit.reader, zone, hour)
            ready.setdefault(turn, {})[habit] = came_by(shelf, turn.last, own)
    cases = [_case(tx, shelf, turn, habits) for turn, habits in ready.items()]
    return [case for case in cases if case.number]


def _case(
    tx: Connection, shelf: Shelf, turn: Turn, habits: Mapping[Habit, datetime | None]
) -> Case:
    covered, past = shelf.since(turn.last), shelf.before(turn.last)
    _, found = sorted_crowd(tx, Crowd(shelf.slug, habits, covered, past, due=turn.due))
    made = max((one.at for one in shelf.frozen if one.date == turn.last), default=turn.due)
    wanting = {
        standing: number
        for standing, number in found.items()
        if parts_for(shelf, standing, turn.last, weekly=turn.weekly)
    }
    return Case(shelf.slug, turn.last, max(turn.due, made), sum(wanting.values()))


def together(cases: Iterable[Case]) -> tuple[Case, ...]:
    """One case of each digest: how many in all, since the first of them."""
    found: dict[tuple[str, date], Case] = {}
    for case in cases:
        before = found.get((case.rubric, case.day), replace(case, number=0))
        number, since = before.number + case.number, min(before.since, case.since)
        found[case.rubric, case.day] = replace(case, number=number, since=since)
    return tuple(found[key] for key in sorted(found))
