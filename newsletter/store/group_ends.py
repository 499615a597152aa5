"""How a request for many readers ends: whoever decides first decides for all of its mails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from newsletter.people import DeliveryState
from newsletter.store.groups import GroupState
from newsletter.store.tables import delivery, digest, mail_group

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from newsletter.store.claims import Doubt

_OPEN = (DeliveryState.SENDING.value, DeliveryState.UNKNOWN.value)
_UNDECIDED = (GroupState.STARTED.value, GroupState.UNKNOWN.value)


def accept(
    tx: Connection,
    group_id: str,
    now: datetime,
    *,
    provider_id: str = "",
    content_hash: str = "",
    reason: str = "",
) -> bool:
    """It was taken: by its answer, by an event, or by the operator's word. False where decided."""
    told = {"provider_id": provider_id[:128]} if provider_id else {}
    if not _move(tx, group_id, GroupState.ACCEPTED, reason, now, **told):
        return False
    if content_hash:
        told["content_hash"] = content_hash
    _settle(tx, group_id, now, state=DeliveryState.ACCEPTED.value, reason=reason, **told)
    return True


def release(
    tx: Connection,
    group_id: str,
    state: GroupState,
    reason: str,
    now: datetime,
    *,
    not_before: datetime | None = None,
) -> bool:
    """It was provably not taken, or withdrawn: everybody in it is to be mailed once more."""
    if not _move(tx, group_id, state, reason, now):
        return False
    failed = delivery.c.failures + (1 if not_before else 0)
    _settle(
        tx,
        group_id,
        now,
        state=DeliveryState.PENDING.value,
        reason=reason,
        not_before=not_before,
        failures=failed,
    )
    return True


def drop(
    tx: Connection,
    group_id: str,
    ids: Collection[str],
    state: DeliveryState,
    reason: str,
    now: datetime,
) -> None:
    """Take some deliveries out of a group that has not left."""
    tx.execute(
        update(delivery)
        .where(
            delivery.c.group_id == group_id,
            delivery.c.id.in_(ids),
            delivery.c.state == DeliveryState.SENDING.value,
        )
        .values(state=state.value, reason=reason, group_id=None, changed_at=now)
    )
    this = update(mail_group).where(mail_group.c.id == group_id)
    tx.execute(this.values(readers=mail_group.c.readers - len(ids)))


def doubt(tx: Connection, group_id: str, reason: str, now: datetime) -> bool:
    """Nobody knows whether it was taken: never again without proof."""
    if not _move(tx, group_id, GroupState.UNKNOWN, reason, now, GroupState.STARTED):
        return False
    _settle(tx, group_id, now, state=DeliveryState.UNKNOWN.value, reason=reason)
    return True


def proven(tx: Connection, group_id: str, now: datetime) -> None:
    """An event of one of its mails came: SendGrid takes a request as a whole or not at all.

    One that was withdrawn all the same is out: who waits for the next try must not get it twice.
    """
    if accept(tx, group_id, now, reason="proven by an event"):
        return
    tx.execute(
        update(delivery)
        .where(
            delivery.c.group_id == group_id,
            delivery.c.state == DeliveryState.PENDING.value,
            select(mail_group.c.state).where(mail_group.c.id == group_id).scalar_subquery()
            != GroupState.ACCEPTED.value,
        )
        .values(
            state=DeliveryState.ACCEPTED.value,
            reason="an event came of a mail that was withdrawn",
            changed_at=now,
        )
    )


@dataclass(frozen=True, slots=True)
class GroupDoubt:
    """A request that may or may not have been taken, for so many readers."""

    id: str
    rubric: str
    date: date
    readers: int
    reason: str
    since: datetime


def doubts(tx: Connection) -> list[GroupDoubt]:
    """Every group in doubt, the oldest first."""
    group = mail_group.c
    query = (
        select(
            group.id, digest.c.rubric, digest.c.date, group.readers, group.reason, group.changed_at
        )
        .join_from(mail_group, digest)
        .where(group.state == GroupState.UNKNOWN.value)
        .order_by(group.changed_at, group.id)
    )
    return [GroupDoubt(*row) for row in tx.execute(query)]


def single(tx: Connection, found: Sequence[Doubt]) -> list[Doubt]:
    """Those of the mails in doubt that are in no group in doubt."""
    in_doubt = set(
        tx.scalars(
            select(delivery.c.id)
            .join(mail_group, mail_group.c.id == delivery.c.group_id)
            .where(mail_group.c.state == GroupState.UNKNOWN.value)
        )
    )
    return [one for one in found if one.id not in in_doubt]


def resolve(tx: Connection, group_id: str, now: datetime, *, sent: bool) -> bool:
    """The operator says whether a group in doubt went out; else all of it is sent once more."""
    state = tx.scalar(select(mail_group.c.state).where(mail_group.c.id == group_id))
    if state != GroupState.UNKNOWN:
        return False
    if sent:
        return accept(tx, group_id, now, reason="by the operator")
    return release(tx, group_id, GroupState.UNSENT, "by the operator", now)


def _move(
    tx: Connection,
    group_id: str,
    becomes: GroupState,
    reason: str,
    now: datetime,
    *only_from: GroupState,
    **values: str | None,
) -> bool:
    """Compare-and-swap: False where another life has decided already."""
    states = [state.value for state in only_from] or _UNDECIDED
    moved = tx.execute(
        update(mail_group)
        .where(mail_group.c.id == group_id, mail_group.c.state.in_(states))
        .values(state=becomes.value, reason=reason, changed_at=now, **values)
    )
    return moved.rowcount == 1


def _settle(tx: Connection, group_id: str, now: datetime, **values: object) -> None:
    tx.execute(
        update(delivery)
        .where(delivery.c.group_id == group_id, delivery.c.state.in_(_OPEN))
        .values(changed_at=now, **values)
    )
