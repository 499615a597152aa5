"""What waits for a person, in short: only as much of it as fits a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, select

from newsletter.people import DeliveryState
from newsletter.store import claims
from newsletter.store.inbound import KEPT_RAW, State
from newsletter.store.tables import delivery, inbound

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

SAID = 2000
"""Characters of a mail that are shown: a wish to leave stands at its beginning."""


_WAITS = inbound.c.state.in_((State.REVIEW, State.LETTER))
_REPLIES = select(
    inbound.c.id,
    inbound.c.envelope_from,
    inbound.c.subscriber_id,
    inbound.c.state,
    func.substr(inbound.c.said, 1, SAID),
    inbound.c.received_at,
).where(_WAITS)


@dataclass(frozen=True, slots=True)
class Reply:
    """A mail that came in, without its bytes, which may be many megabytes."""

    id: str
    sender: str
    subscriber_id: str | None
    state: State
    said: str
    received_at: datetime


def replies(tx: Connection, most: int) -> tuple[int, list[Reply]]:
    """How many wait in all, and the oldest of them."""
    oldest = _REPLIES.order_by(inbound.c.received_at, inbound.c.id).limit(most)
    return count_replies(tx), [_reply(row) for row in tx.execute(oldest)]


def count_replies(tx: Connection) -> int:
    return tx.scalar(select(func.count()).select_from(inbound).where(_WAITS)) or 0


def unreadable(tx: Connection, now: datetime) -> int:
    """Reports of mail servers of the last month of which nobody can say what they are about."""
    return tx.scalar(select(func.count()).where(_unreadable(now))) or 0


def unreadable_reports(tx: Connection, now: datetime, most: int) -> list[Reply]:
    """The newest of them."""
    newest = inbound.c.received_at.desc()
    query = select(*_REPLIES.selected_columns).where(_unreadable(now)).order_by(newest).limit(most)
    return [_reply(row) for row in tx.execute(query)]


def _unreadable(now: datetime) -> ColumnElement[bool]:
    recent = inbound.c.received_at >= now - KEPT_RAW
    return and_(inbound.c.state == State.UNREADABLE, recent)


def reply(tx: Connection, letter_id: str) -> Reply | None:
    """One that waits, by its whole id."""
    row = tx.execute(_REPLIES.where(inbound.c.id == letter_id)).one_or_none()
    return _reply(row) if row else None


def _reply(row: Any) -> Reply:  # noqa: ANN401 - a row of _REPLIES
    key, sender, reader, state, said, at = row
    return Reply(key, sender, reader, State(state), said, at)


def doubts(tx: Connection, most: int) -> tuple[int, list[claims.Doubt]]:
    """How many mails are in doubt in all, and the oldest of them."""
    unknown = delivery.c.state == DeliveryState.UNKNOWN.value
    number = tx.scalar(select(func.count()).select_from(delivery).where(unknown)) or 0
    return number, claims.doubts(tx, most)
