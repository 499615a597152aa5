"""Inbound mail: stored raw first, parsed afterwards.

The body is stored once in `inbound_body`, however many of our addresses a mail was sent to.

new --understood--> done        nothing is left to do
--> review      may ask to leave: a person decides
--> letter      for the operator to read
--> unreadable  a report of a mail server that is about nothing we know: it is counted
review, letter --by the operator--> done
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update

from newsletter.domain.addresses import fingerprint
from newsletter.domain.model import READ_BYTES
from newsletter.store.tables import inbound, inbound_body, reply_answer, subscription
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from newsletter.domain.mail import Subscription

BETWEEN_ANSWERS = timedelta(hours=24)
"""Between two answers to one address about replies that are no certain command."""
ANSWERS_A_DAY = 5
"""Answers of all kinds to one address on one day (UTC)."""
KEPT_ANSWERS = timedelta(days=3)
KEPT_RAW = timedelta(days=30)
KEPT_WAITING = timedelta(days=90)
"""How long a mail waits for the operator before it is closed."""
MESSAGE_ID = re.compile(rb"(?im)^message-id:\s*(<[^>\r\n]{3,500}>)")
HEAD_BYTES = 64 * 1024


class InboundState(StrEnum):
    NEW = "new"
    DONE = "done"
    REVIEW = "review"
    PERSONAL = "letter"
    UNREADABLE = "unreadable"
    """A bounce report that matches no mail of ours: it is only counted."""


@dataclass(frozen=True, slots=True)
class InboundMail:
    """One mail to one of our addresses. `aligned`: DKIM or SPF authenticates its From address.

    `raw` is the beginning of it, `READ_BYTES` at most; empty where only the list is asked for.
    """

    id: str
    envelope_from: str
    envelope_to: str
    aligned: bool
    raw: bytes
    state: InboundState
    subscription_id: str | None
    said: str
    received_at: datetime


def keep(
    tx: Connection,
    raw: bytes,
    envelope_from: str,
    envelope_to: str,
    now: datetime,
    *,
    aligned: bool,
) -> bool:
    """Store a mail as new. False when it is stored already: providers retry slow requests."""
    mail_id = identity(raw, envelope_to)
    if tx.scalar(select(inbound.c.id).where(inbound.c.id == mail_id)):
        return False
    read = raw[:READ_BYTES]
    body_id = hashlib.sha256(read).hexdigest()
    tx.execute(insert(tx, inbound_body).values(id=body_id, raw=read).on_conflict_do_nothing())
    row = {
        "id": mail_id,
        "envelope_from": envelope_from[:500],
        "envelope_to": envelope_to[:500],
        "aligned": aligned,
        "body_id": body_id,
        "state": InboundState.NEW,
        "said": "",
        "received_at": now,
    }
    added = insert(tx, inbound).values(row).on_conflict_do_nothing().returning(inbound.c.id)
    return tx.scalar(added) is not None


def identity(raw: bytes, envelope_to: str) -> str:
    """Hash of the Message-ID, or of everything where there is none, and of the recipient."""
    found = MESSAGE_ID.search(raw[:HEAD_BYTES])
    what = found[1] if found else raw
    return hashlib.sha256(what + b"\0" + envelope_to.lower().encode(errors="replace")).hexdigest()


def next_new(tx: Connection) -> InboundMail | None:
    """The oldest new mail, locked until the transaction ends."""
    query = (
        select(inbound)
        .where(inbound.c.state == InboundState.NEW)
        .order_by(inbound.c.received_at, inbound.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    body = select(inbound_body.c.raw).where(inbound_body.c.id == row.body_id)
    return _mail(row, tx.scalar(body) or b"")


def review_queue(tx: Connection) -> list[InboundMail]:
    """Mails that wait for the operator, oldest first, without their bodies."""
    query = (
        select(inbound)
        .where(inbound.c.state.in_([InboundState.REVIEW, InboundState.PERSONAL]))
        .order_by(inbound.c.received_at)
    )
    return [_mail(row) for row in tx.execute(query)]


def set_state(
    tx: Connection,
    mail_id: str,
    state: InboundState,
    subscription_id: str | None = None,
    said: str = "",
) -> bool:
    """Set the state of a mail. False where it was done already."""
    values: dict[str, Any] = {"state": state}
    if subscription_id:
        values["subscription_id"] = subscription_id
    if said:
        values["said"] = said.encode(errors="replace").decode().replace("\0", "")
    done = tx.execute(
        update(inbound)
        .where(inbound.c.id == mail_id, inbound.c.state != InboundState.DONE)
        .values(values)
    )
    return done.rowcount == 1


def may_answer(tx: Connection, found: InboundMail, about: Subscription, now: datetime) -> bool:
    """Take one of the day's answers to an address for this mail; it then counts as answered.

    False if all are used. Unique keys keep two processes from taking the same number, and a mail
    from taking two.
    """
    given = {"email_hash": fingerprint(about.email), "day": now.date(), "inbound_id": found.id}
    for number in range(1, ANSWERS_A_DAY + 1):
        row = insert(tx, reply_answer).values(**given, number=number, at=now)
        taken = row.on_conflict_do_nothing().returning(reply_answer.c.number)
        if tx.scalar(taken) is not None:
            mine = inbound.c.id == found.id
            values = {"subscription_id": about.id, "answered_at": now}
            tx.execute(update(inbound).where(mine).values(values))
            return True
    return False


def was_answered(tx: Connection, about: Subscription, now: datetime) -> bool:
    """Whether an answer went to this address in the last 24 hours."""
    recent = (reply_answer.c.email_hash == fingerprint(about.email)) & (
        reply_answer.c.at > now - BETWEEN_ANSWERS
    )
    return tx.scalar(select(reply_answer.c.number).where(recent).limit(1)) is not None


def forget(tx: Connection, subscriber_id: str, email: str) -> None:
    """Delete the text of a reader's mails, and the count of answers to their address."""
    tx.execute(delete(reply_answer).where(reply_answer.c.email_hash == fingerprint(email)))
    mine = select(subscription.c.id).where(subscription.c.subscriber_id == subscriber_id)
    values = {"state": InboundState.DONE, "body_id": None, "said": "", "envelope_from": ""}
    tx.execute(update(inbound).where(inbound.c.subscription_id.in_(mine)).values(values))
    _delete_unused_bodies(tx)


def _delete_unused_bodies(tx: Connection) -> None:
    used = select(inbound.c.id).where(inbound.c.body_id == inbound_body.c.id)
    tx.execute(delete(inbound_body).where(~used.exists()))


def delete_old(tx: Connection, now: datetime) -> int:
    """Delete the bodies of mails that were done a month ago, or waited for three months."""
    tx.execute(delete(reply_answer).where(reply_answer.c.at < now - KEPT_ANSWERS))
    waiting = inbound.c.state.in_([InboundState.REVIEW, InboundState.PERSONAL])
    tx.execute(
        update(inbound)
        .where(waiting, inbound.c.received_at < now - KEPT_WAITING)
        .values(state=InboundState.DONE)
    )
    forgotten = tx.execute(
        update(inbound)
        .where(
            inbound.c.state.in_([InboundState.DONE, InboundState.UNREADABLE]),
            inbound.c.received_at < now - KEPT_RAW,
            inbound.c.body_id.is_not(None),
        )
        .values(body_id=None, said="", envelope_from="")
    ).rowcount
    _delete_unused_bodies(tx)
    return forgotten


def _mail(row: Row[Any], raw: bytes = b"") -> InboundMail:
    return InboundMail(
        id=row.id,
        envelope_from=row.envelope_from,
        envelope_to=row.envelope_to,
        aligned=row.aligned,
        raw=raw,
        state=InboundState(row.state),
        subscription_id=row.subscription_id,
        said=row.said,
        received_at=row.received_at,
    )
