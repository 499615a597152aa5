"""Who was mailed a link to confirm with and has not used it. Addresses are kept as hashes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from newsletter.addresses import fingerprint
from newsletter.people import SubscriberState
from newsletter.store import suppressions
from newsletter.store.tables import signup, subscriber

BETWEEN_MAILS = timedelta(hours=1)
"""Nobody can fill a stranger's mailbox through our form."""
MAILS_AN_HOUR = 200
VALID = timedelta(days=7)
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Ask:
    rubric: str
    at: datetime

    def is_live(self, now: datetime) -> bool:
        return now - self.at <= VALID


def ask(
    tx: Connection, email: str, rubric: str, now: datetime, *, most: int = MAILS_AN_HOUR
) -> bool:
    """Note what an address wishes. True when a mail may be sent to it about that now.

    `most` is how many mails may go to all addresses in an hour.
    """
    recent = signup.c.mailed_at > now - BETWEEN_MAILS
    if (tx.scalar(select(func.count()).where(recent)) or 0) >= most:
        return False
    make = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    row = {"email_hash": fingerprint(email), "rubric": rubric, "asked_at": now, "mailed_at": now}
    taken = tx.scalar(
        make(signup)
        .values(row)
        .on_conflict_do_update(
            index_elements=["email_hash"],
            set_=row,
            where=signup.c.mailed_at <= now - BETWEEN_MAILS,
        )
        .returning(signup.c.email_hash)
    )
    return taken is not None


def unsent(tx: Connection, email: str, now: datetime) -> None:
    """The mail did not leave: the address may ask again at once."""
    mine = signup.c.email_hash == fingerprint(email)
    tx.execute(update(signup).where(mine).values(mailed_at=now - BETWEEN_MAILS))


def of(tx: Connection, email: str) -> Ask | None:
    """What an address asked for last, if it did."""
    query = select(signup.c.rubric, signup.c.asked_at)
    row = tx.execute(query.where(signup.c.email_hash == fingerprint(email))).first()
    return Ask(*row) if row else None


def done(tx: Connection, email: str) -> None:
    """The wish is fulfilled."""
    tx.execute(delete(signup).where(signup.c.email_hash == fingerprint(email)))


def rejoin(
    tx: Connection, subscriber_id: str, email: str, rubric: str, consent: str, now: datetime
) -> bool:
    """One who left, or whose mail bounced, asked anew and confirmed: that mail arrived.

    False where another reason keeps the address out.
    """
    gone = [SubscriberState.UNSUBSCRIBED, SubscriberState.BOUNCED]
    if not suppressions.lift(tx, email) and suppressions.reason_for(tx, email):
        return False
    changed = tx.execute(
        update(subscriber)
        .where(subscriber.c.id == subscriber_id, subscriber.c.state.in_(gone))
        .values(
            state=SubscriberState.ACTIVE,
            state_reason="confirmed again",
            state_at=now,
            rubric=rubric,
            consent=consent,
        )
    )
    return changed.rowcount == 1


def purge(tx: Connection, now: datetime) -> int:
    """Forget asks of long ago and the subscribers who never confirmed; answer how many of these."""
    old = now - KEPT
    hashes = select(signup.c.email_hash).where(signup.c.asked_at < old)
    never = tx.execute(
        delete(subscriber).where(
            subscriber.c.state == SubscriberState.PENDING, subscriber.c.email_hash.in_(hashes)
        )
    )
    tx.execute(delete(signup).where(signup.c.asked_at < old))
    return never.rowcount
