"""First mails to imported addresses: few an hour at first, so that an old list shows its dead
addresses before they harm the sender's reputation. Known readers are not slowed down.

An address stands here from its import until a day after its first mail. The rows of the last two
hours say how many more may leave (`bounce_codes.first_mails_left`), for all processes together.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update

from newsletter.domain.bounce_codes import first_mails_left
from newsletter.domain.mail import DeliveryState
from newsletter.store.tables import delivery, digest, first_mail, mailing, subscriber
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

HOUR = timedelta(hours=1)
KEPT = timedelta(days=1)


def add_imported(tx: Connection, email_hashes: Sequence[str], now: datetime) -> None:
    """Record imported addresses as not yet mailed."""
    rows = [{"email_hash": one, "imported_at": now} for one in email_hashes]
    tx.execute(insert(tx, first_mail).on_conflict_do_nothing(), rows)


def remaining(tx: Connection, digest_id: int, now: datetime) -> int | None:
    """How many first mails of a digest may leave now; None where the operator lifted the limit.

    Holds a lock until the transaction ends, so that no other process gets the same number.
    """
    allowed = select(mailing.c.unrestrained).where(mailing.c.digest_id == digest_id)
    if tx.scalar(allowed):
        return None
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtext("first mails"))))
    mailed = first_mail.c.mailed_at
    this = tx.scalar(select(func.count()).where(mailed > now - HOUR)) or 0
    before = select(func.count()).where(mailed > now - 2 * HOUR, mailed <= now - HOUR)
    return first_mails_left(this, tx.scalar(before) or 0)


def mark_sent(tx: Connection, email_hashes: Sequence[str], now: datetime) -> None:
    """Record that their first mail leaves now."""
    mine = first_mail.c.email_hash.in_(email_hashes)
    tx.execute(update(first_mail).where(mine).values(mailed_at=now))


def postpone(tx: Connection, digest_id: int, now: datetime) -> None:
    """Postpone the digest's other first mails until more may leave."""
    oldest = select(func.min(first_mail.c.mailed_at, type_=first_mail.c.mailed_at.type))
    found = tx.scalar(oldest.where(first_mail.c.mailed_at > now - HOUR)) or now
    waiting = (
        select(subscriber.c.id)
        .join(first_mail, first_mail.c.email_hash == subscriber.c.email_hash)
        .where(first_mail.c.mailed_at.is_(None))
    )
    # Skip rows that other processes are claiming, so that nobody waits here.
    free = (
        select(delivery.c.id)
        .where(
            delivery.c.digest_id == digest_id,
            delivery.c.state == DeliveryState.PENDING,
            delivery.c.subscriber_id.in_(waiting),
        )
        .with_for_update(skip_locked=True)
    )
    tx.execute(update(delivery).where(delivery.c.id.in_(free)).values(not_before=found + HOUR))


def lift_limits(tx: Connection, rubric: str, day: date) -> int | None:
    """Lift the limits of a rubric's date by the operator's decision.

    Returns how many mails are waiting; None where no digest of that date has deliveries.
    """
    chosen = select(digest.c.id).where(digest.c.rubric == rubric, digest.c.date == day)
    lifted = update(mailing).where(mailing.c.digest_id.in_(chosen))
    if not tx.execute(lifted.values(unrestrained=True, halted="")).rowcount:
        return None
    waiting = delivery.c.digest_id.in_(chosen) & (delivery.c.state == DeliveryState.PENDING)
    tx.execute(update(delivery).where(waiting, delivery.c.failures == 0).values(not_before=None))
    return tx.scalar(select(func.count()).where(waiting)) or 0


def delete_old(tx: Connection, now: datetime) -> None:
    tx.execute(delete(first_mail).where(first_mail.c.mailed_at < now - KEPT))
