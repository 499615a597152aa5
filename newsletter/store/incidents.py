"""Incidents of the daily run, and how long its steps took."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from newsletter.domain.alerts import Incident
from newsletter.store.tables import duration, trouble
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

KEPT = timedelta(days=7)
"""Incidents older than this are deleted: the digest is no longer mailed."""
ALL_RUBRICS = ""
"""Stands for all rubrics."""
NO_DAY = date(1970, 1, 1)
"""Stands for no day."""


class IncidentKind(StrEnum):
    SCORING = "scoring"
    """There is no digest."""
    BUDGET = "budget"
    """There is a digest, but the budget did not suffice for all papers."""
    RUN_FAILED = "morning"
    """The daily run could not fetch papers or could not start."""
    MAILBOX = "mailbox"
    """The mailbox that replies reach can't be read."""
    SIGNUP = "signup"
    """People asked for a digest on the web and could not be mailed; in place of a rubric: why."""


def record_incident(
    tx: Connection, kind: IncidentKind, rubric: str, day: date, reason: str, now: datetime
) -> None:
    """Record what keeps a digest from being made. Recorded again, it is the same incident."""
    row = {"kind": kind, "rubric": rubric, "date": day, "reason": reason, "since": now, "at": now}
    added = insert(tx, trouble).values(row)
    tx.execute(
        added.on_conflict_do_update(
            index_elements=["rubric", "date", "kind"], set_={"reason": reason, "at": now}
        )
    )


def resolve_incident(
    tx: Connection, kind: IncidentKind, rubric: str, day: date | None = None
) -> None:
    """Delete an incident of a day; without a day, those of all days."""
    gone = delete(trouble).where(trouble.c.kind == kind, trouble.c.rubric == rubric)
    tx.execute(gone if day is None else gone.where(trouble.c.date == day))


def open_incidents(
    tx: Connection, kind: IncidentKind, now: datetime, within: timedelta = KEPT
) -> tuple[Incident, ...]:
    """Incidents recorded within the last week, or `within` another time."""
    query = (
        select(trouble)
        .where(trouble.c.kind == kind, trouble.c.at >= now - within)
        .order_by(trouble.c.date, trouble.c.rubric)
    )
    return tuple(
        Incident(row.rubric, row.date, row.since, reason=row.reason) for row in tx.execute(query)
    )


def delete_old(tx: Connection, now: datetime) -> None:
    tx.execute(delete(trouble).where(trouble.c.at < now - KEPT))


def record_duration(tx: Connection, step: str, seconds: float, now: datetime) -> None:
    """Store how long a step of the daily run took last."""
    row = {"step": step, "seconds": seconds, "at": now}
    added = insert(tx, duration).values(row)
    tx.execute(added.on_conflict_do_update(index_elements=["step"], set_=row))


def durations(tx: Connection) -> dict[str, float]:
    """Seconds that each step took last."""
    rows = tx.execute(select(duration.c.step, duration.c.seconds).order_by(duration.c.step))
    return {row.step: row.seconds for row in rows}
