"""Alerts for the operator: each row runs from the first sighting until it is cleared."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from newsletter.domain.alerts import Alert, AlertKind, OpenAlert
from newsletter.store.tables import alert, ping
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection, Row, Update

CLEARED_AFTER = timedelta(minutes=12)
"""An alert not seen for so long is cleared. One missing observation proves nothing: a run lifts a
halt while it retries."""


def record(tx: Connection, found: Iterable[Alert], now: datetime) -> tuple[list[OpenAlert], int]:
    """Store the current alerts and clear the others; return the new ones and the number cleared."""
    known = {one.alert.key: one for one in open_alerts(tx)}
    wanted = {one.key: one for one in found}
    for key, one in wanted.items():
        if key in known:
            tx.execute(update(alert).where(alert.c.id == known[key].id).values(_columns(one, now)))
        else:
            row = {"key": key, "kind": one.kind.label, "first_seen": now, **_columns(one, now)}
            tx.execute(insert(tx, alert).values(row).on_conflict_do_nothing())
    ended = tx.execute(
        update(alert)
        .where(alert.c.cleared_at.is_(None), alert.c.last_seen < now - CLEARED_AFTER)
        .values(cleared_at=now)
    )
    fresh = [one for one in open_alerts(tx) if one.alert.key not in known]
    return fresh, ended.rowcount


def open_alerts(tx: Connection) -> list[OpenAlert]:
    """Alerts that are not cleared, the oldest first."""
    query = select(alert).where(alert.c.cleared_at.is_(None)).order_by(alert.c.first_seen)
    return [_open_alert(row) for row in tx.execute(query.order_by(alert.c.id))]


def open_since(tx: Connection, when: datetime) -> list[OpenAlert]:
    """Alerts that were open at any time since `when`, the oldest first."""
    still = alert.c.cleared_at.is_(None) | (alert.c.cleared_at >= when)
    query = select(alert).where(still).order_by(alert.c.first_seen, alert.c.id)
    return [_open_alert(row) for row in tx.execute(query)]


def resolved_since_reported(tx: Connection) -> list[OpenAlert]:
    """Reported alerts that were cleared since the last report to the operator."""
    last = tx.scalar(select(func.max(alert.c.told_at)))
    if last is None:
        return []
    query = select(alert).where(alert.c.told_at.is_not(None), alert.c.cleared_at >= last)
    return [_open_alert(row) for row in tx.execute(query.order_by(alert.c.cleared_at, alert.c.id))]


def claim(
    tx: Connection, waiting: Iterable[OpenAlert], now: datetime, until: datetime
) -> list[OpenAlert]:
    """Claim alerts for a report: no other process reports them before `until`.

    Compare-and-swap: of several processes that read the same row, one updates it.
    """
    return [
        one for one in waiting if tx.execute(_as_read(one, now).values(not_before=until)).rowcount
    ]


def _as_read(one: OpenAlert, now: datetime) -> Update:
    free = alert.c.not_before.is_(None) | (alert.c.not_before <= now)
    same = alert.c.told_at.is_not_distinct_from(one.told_at)
    return update(alert).where(alert.c.id == one.id, alert.c.cleared_at.is_(None), free, same)


def mark_reported(tx: Connection, ids: Sequence[int], now: datetime) -> None:
    tx.execute(update(alert).where(alert.c.id.in_(ids)).values(told_at=now, not_before=None))


def release_claim(tx: Connection, ids: Sequence[int]) -> None:
    """Release a claim whose report failed, so that the next round reports it."""
    tx.execute(update(alert).where(alert.c.id.in_(ids)).values(not_before=None))


def count_open(tx: Connection) -> dict[str, int]:
    """How many are open, by kind."""
    query = (
        select(alert.c.kind, func.count())
        .where(alert.c.cleared_at.is_(None))
        .group_by(alert.c.kind)
    )
    return {row.kind: row[1] for row in tx.execute(query)}


def has_ping(tx: Connection, day: date) -> bool:
    return tx.scalar(select(ping.c.at).where(ping.c.day == day)) is not None


def keep_ping(tx: Connection, day: date, now: datetime) -> None:
    tx.execute(insert(tx, ping).values(day=day, at=now).on_conflict_do_nothing())


def _columns(one: Alert, now: datetime) -> dict[str, Any]:
    """`what` may quote text of other systems, so it is made storable; subject and key are ours."""
    return {
        "subject": one.subject,
        "what": _storable(one.what),
        "fix": one.fix,
        "command": one.command,
        "last_seen": now,
    }


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode().replace("\0", "")


def _open_alert(row: Row[Any]) -> OpenAlert:
    return OpenAlert(
        id=row.id,
        alert=Alert(AlertKind[row.kind.upper()], row.subject, row.what, row.fix, row.command),
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        told_at=row.told_at,
        not_before=row.not_before,
        cleared_at=row.cleared_at,
    )
