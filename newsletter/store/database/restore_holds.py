"""After a restore: hold mails that may have been sent since the backup was taken.

The marks of mails that left after the backup are gone with the lost database. What was waiting in
it, and what is planned again for readers who were due before the restore, may have been sent. It
becomes `unknown`: provider events prove what was sent, the operator decides on the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import case, literal, select, update

from newsletter.domain.announcements import announcement
from newsletter.domain.mail import DeliveryState
from newsletter.store.database import database_role
from newsletter.store.database.database_role import DatabaseFact, DatabaseFactKind
from newsletter.store.tables import delivery, digest, subscription

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

HELD = "held: mailed perhaps after the backup of "
_PENDING = literal(DeliveryState.PENDING.value), literal("")
OPEN = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)


def hold_all(tx: Connection, taken: datetime, now: datetime) -> int:
    """Hold every unfinished mail of the backup. Returns how many."""
    database_role.take_over(tx, now)
    fact = DatabaseFact("", taken, now)
    database_role.record_fact(tx, DatabaseFactKind.RESTORED, fact)
    changes = {"state": DeliveryState.UNKNOWN.value, "reason": reason(fact), "changed_at": now}
    free = {"lease_owner": None, "lease_until": None}
    waiting = delivery.c.state.in_(OPEN)
    return tx.execute(update(delivery).where(waiting).values(**changes, **free)).rowcount


def reason(fact: DatabaseFact) -> str:
    return f"{HELD}{fact.at:%Y-%m-%d %H:%M} UTC"


def state_and_reason(
    tx: Connection, digest_id: int, due: datetime | None
) -> tuple[ColumnElement[str], ColumnElement[str]]:
    """State and reason of mail planned now: pending, or held if it may have been sent before.

    With `due` None it may have been sent since the announcement. Readers who joined after the
    restore got nothing before it.
    """
    restored = database_role.stored_facts(tx).get(DatabaseFactKind.RESTORED)
    if restored is None or restored.until is None:
        return _PENDING
    if due is None:
        day = tx.execute(select(digest.c.date).where(digest.c.id == digest_id)).scalar_one()
        due = announcement(day).public_from
    if due > restored.until:
        return _PENDING
    new = subscription.c.since > restored.until
    held = DeliveryState.UNKNOWN.value, reason(restored)
    state, why = (case((new, free), else_=stop) for free, stop in zip(_PENDING, held, strict=True))
    return state, why


def release(tx: Connection, now: datetime, *, sent: bool) -> int:
    """Apply the operator's decision about all held mail: it was sent, or is to be sent now."""
    state = DeliveryState.ACCEPTED if sent else DeliveryState.PENDING
    changes = {"state": state.value, "reason": "by the operator", "not_before": None}
    unknown = delivery.c.state == DeliveryState.UNKNOWN.value
    held = unknown & delivery.c.reason.startswith(HELD, autoescape=True)
    return tx.execute(update(delivery).where(held).values(**changes, changed_at=now)).rowcount
