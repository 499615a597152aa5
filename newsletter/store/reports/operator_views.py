"""The operator's page: figures by rubric and day, and what waits for a decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, select

from newsletter.domain.mail import DeliveryState
from newsletter.domain.model import DayKind
from newsletter.store.inbound import KEPT_RAW, InboundState
from newsletter.store.tables import delivery, digest, inbound, mailing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Connection

PROBLEM_STATES = (DeliveryState.REJECTED, DeliveryState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class MonthFigures:
    """One digest: what was read, what it cost, what became of its mails.

    A digest of several announcements counts their papers again: of it only `mails` say something
    new, and `whole` is False.
    """

    rubric: str
    date: date
    whole: bool
    kind: DayKind
    announced: int
    scanned: int
    picks: int
    cost_nanos: int
    halted: bool
    mails: dict[DeliveryState, int] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        return self.mails.get(DeliveryState.ACCEPTED, 0)

    @property
    def problems(self) -> int:
        return sum(self.mails.get(state, 0) for state in PROBLEM_STATES) + self.halted


def since(tx: Connection, rubrics: Sequence[str], first: date) -> list[MonthFigures]:
    """Every digest of these rubrics from a date on, the oldest first.

    Rubrics are named because digests and deliveries are found by them: nothing else is looked at.
    """
    chosen = digest.c.rubric.in_(list(rubrics)) & (digest.c.date >= first)
    mails = _mails(tx, chosen)
    columns = [digest.c[name] for name in ("id", "rubric", "date", "since", "kind")]
    columns += [digest.c[name] for name in ("announced", "scanned", "picks", "cost_nanos")]
    query = (
        select(*columns, func.coalesce(mailing.c.halted, "").label("halted"))
        .select_from(digest.outerjoin(mailing, mailing.c.digest_id == digest.c.id))
        .where(chosen)
        .order_by(digest.c.date, digest.c.rubric)
    )
    return [
        MonthFigures(
            row.rubric,
            row.date,
            row.since == row.date,
            DayKind(row.kind),
            row.announced,
            row.scanned,
            row.picks,
            row.cost_nanos,
            bool(row.halted),
            mails.get(row.id, {}),
        )
        for row in tx.execute(query)
    ]


def _mails(tx: Connection, chosen: ColumnElement[bool]) -> dict[int, dict[DeliveryState, int]]:
    """Mails by state, by digest. The index on (digest_id, state, id) holds all that is counted."""
    query: Any = (
        select(delivery.c.digest_id, delivery.c.state, func.count())
        .where(delivery.c.digest_id.in_(select(digest.c.id).where(chosen)))
        .group_by(delivery.c.digest_id, delivery.c.state)
    )
    found: dict[int, dict[DeliveryState, int]] = {}
    for digest_id, state, number in tx.execute(query):
        found.setdefault(digest_id, {})[DeliveryState(state)] = number
    return found


SHOWN_CHARACTERS = 2000
"""Characters of a mail that are shown: a request to unsubscribe is at its beginning."""


_WAITING = inbound.c.state.in_((InboundState.REVIEW, InboundState.PERSONAL))
_REPLIES = select(
    inbound.c.id,
    inbound.c.envelope_from,
    inbound.c.subscription_id,
    inbound.c.state,
    func.substr(inbound.c.said, 1, SHOWN_CHARACTERS),
    inbound.c.received_at,
).where(_WAITING)


@dataclass(frozen=True, slots=True)
class ReviewReply:
    """A mail that came in, without its bytes, which may be many megabytes."""

    id: str
    sender: str
    subscription_id: str | None
    state: InboundState
    said: str
    received_at: datetime


def replies(tx: Connection, most: int) -> tuple[int, list[ReviewReply]]:
    """How many wait in all, and the oldest of them."""
    oldest = _REPLIES.order_by(inbound.c.received_at, inbound.c.id).limit(most)
    return count_replies(tx), [_reply(row) for row in tx.execute(oldest)]


def count_replies(tx: Connection) -> int:
    return tx.scalar(select(func.count()).select_from(inbound).where(_WAITING)) or 0


def unreadable(tx: Connection, now: datetime) -> int:
    """Bounce reports of the last month that match no mail."""
    return tx.scalar(select(func.count()).where(_unreadable(now))) or 0


def unreadable_reports(tx: Connection, now: datetime, most: int) -> list[ReviewReply]:
    """The newest bounce reports that match no mail."""
    newest = inbound.c.received_at.desc()
    query = select(*_REPLIES.selected_columns).where(_unreadable(now)).order_by(newest).limit(most)
    return [_reply(row) for row in tx.execute(query)]


def _unreadable(now: datetime) -> ColumnElement[bool]:
    recent = inbound.c.received_at >= now - KEPT_RAW
    return and_(inbound.c.state == InboundState.UNREADABLE, recent)


def reply(tx: Connection, mail_id: str) -> ReviewReply | None:
    """The waiting reply with this full id."""
    row = tx.execute(_REPLIES.where(inbound.c.id == mail_id)).one_or_none()
    return _reply(row) if row else None


def _reply(row: Any) -> ReviewReply:  # noqa: ANN401 - a row of _REPLIES
    key, sender, reader, state, said, at = row
    return ReviewReply(key, sender, reader, InboundState(state), said, at)


def count_unknown(tx: Connection) -> int:
    """Mails whose outcome is unknown, those of batches too."""
    unknown = delivery.c.state == DeliveryState.UNKNOWN.value
    return tx.scalar(select(func.count()).select_from(delivery).where(unknown)) or 0
