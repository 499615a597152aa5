"""Sign-ups that wait for a confirmation. Addresses are kept as hashes.

An address is mailed again only after a wait that grows with each mail that stays unanswered, and
never after its owner refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, case, delete, func, select, update

from newsletter.domain.addresses import fingerprint
from newsletter.domain.mail import SubscriberState
from newsletter.store import subscribers, suppressions
from newsletter.store.suppressions import Reason
from newsletter.store.tables import delivery, signup, subscriber
from newsletter.store.upsert import insert

BETWEEN_MAILS = timedelta(hours=1)
"""Prevents flooding a stranger's mailbox through the form."""
BACK_OFF = 4
"""Each further mail to an address waits so many times as long as the one before."""
LONGEST_WAIT = timedelta(days=30)
MAILS_AN_HOUR = 1000
"""To all addresses: the last bound, where many networks ask. People are told when it is reached."""
VALID = timedelta(days=7)
KEPT = timedelta(days=30)
"""How long an address is kept that never confirmed, after it was asked last."""
COUNTED = timedelta(days=90)
"""How long it is remembered how often an address was mailed."""
REFUSED = "refused the mail to confirm with"


@dataclass(frozen=True, slots=True)
class SignupRequest:
    rubric: str
    at: datetime

    def is_live(self, now: datetime) -> bool:
        return now - self.at <= VALID


def wait_after(mails: int) -> timedelta:
    """How long an address is left alone after so many mails without an answer (pure)."""
    if not mails:
        return timedelta()
    times: int = BACK_OFF ** min(mails - 1, 9)
    return min(BETWEEN_MAILS * times, LONGEST_WAIT)


def is_full(tx: Connection, now: datetime, most: int = MAILS_AN_HOUR) -> bool:
    """Whether as many mails went to all addresses in the last hour as may."""
    recent = signup.c.mailed_at > now - BETWEEN_MAILS
    return (tx.scalar(select(func.count()).where(recent)) or 0) >= most


def request(
    tx: Connection, email: str, rubric: str, now: datetime, *, most: int = MAILS_AN_HOUR
) -> bool:
    """Store a sign-up request. True when a confirmation mail may be sent now.

    `most` is how many mails may go to all addresses in an hour.
    """
    mine = signup.c.email_hash == fingerprint(email)
    before = tx.execute(select(signup).where(mine)).first()
    if before and (before.refused_at or now - before.mailed_at < wait_after(before.mails)):
        return False
    if is_full(tx, now, most):
        return False
    row = {"email_hash": fingerprint(email), "rubric": rubric, "asked_at": now, "mailed_at": now}
    taken = tx.scalar(
        insert(tx, signup)
        .values(row)
        .on_conflict_do_update(
            index_elements=["email_hash"],
            set_={**row, "mails": signup.c.mails + 1},
            # Of two concurrent requests one is mailed.
            where=(signup.c.mailed_at <= now - BETWEEN_MAILS) & signup.c.refused_at.is_(None),
        )
        .returning(signup.c.email_hash)
    )
    return taken is not None


def mark_not_sent(tx: Connection, email: str, now: datetime) -> None:
    """The mail did not leave: the address may ask again at once."""
    mine = signup.c.email_hash == fingerprint(email)
    fewer = case((signup.c.mails > 0, signup.c.mails - 1), else_=0)
    tx.execute(update(signup).where(mine).values(mails=fewer, mailed_at=now - LONGEST_WAIT))


def pending_request(tx: Connection, email: str) -> SignupRequest | None:
    """What an address asked for last, if it did and did not refuse since."""
    query = select(signup.c.rubric, signup.c.asked_at).where(signup.c.refused_at.is_(None))
    row = tx.execute(query.where(signup.c.email_hash == fingerprint(email))).first()
    return SignupRequest(*row) if row else None


def clear(tx: Connection, email: str) -> None:
    """Delete the request of an address, and its refusal."""
    tx.execute(delete(signup).where(signup.c.email_hash == fingerprint(email)))


def refuse(tx: Connection, subscriber_id: str, now: datetime) -> bool:
    """The owner of an address wants no mail to confirm with: none is sent to it ever again.

    Who waited is forgotten but for the hashes that keep this promise; who reads a digest goes on
    reading it. False where nobody has this id.
    """
    known = subscribers.get(tx, subscriber_id)
    if known is None or not known.email:
        return False
    row = {
        "email_hash": fingerprint(known.email),
        "rubric": known.rubric,
        "asked_at": now,
        "mailed_at": now,
        "refused_at": now,
    }
    added = insert(tx, signup).values(row)
    tx.execute(added.on_conflict_do_update(index_elements=["email_hash"], set_={"refused_at": now}))
    if known.state is SubscriberState.PENDING:
        suppressions.suppress(tx, known.email, Reason.UNSUBSCRIBED, REFUSED, now)
        _forget(tx, subscriber_id, now)
    return True


def _forget(tx: Connection, subscriber_id: str, now: datetime) -> None:
    mailed = select(delivery.c.id).where(delivery.c.subscriber_id == subscriber_id).exists()
    gone = tx.execute(delete(subscriber).where(subscriber.c.id == subscriber_id, ~mailed))
    if not gone.rowcount:
        subscribers.unsubscribe(tx, subscriber_id, REFUSED, now)


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
    """Forget asks of long ago and the subscribers who never confirmed; answer how many of these.

    A refusal is kept for ever.
    """
    hashes = select(signup.c.email_hash).where(signup.c.asked_at < now - KEPT)
    mailed = select(delivery.c.id).where(delivery.c.subscriber_id == subscriber.c.id).exists()
    never = tx.execute(
        delete(subscriber).where(
            subscriber.c.state == SubscriberState.PENDING,
            subscriber.c.email_hash.in_(hashes),
            ~mailed,
        )
    )
    outlived = signup.c.asked_at < now - COUNTED
    tx.execute(delete(signup).where(outlived, signup.c.refused_at.is_(None)))
    return never.rowcount
