"""Sign-ups that wait for a confirmation, by address and rubric. Addresses are kept as hashes.

An address is mailed again only after a wait that grows with each mail that stays unanswered, for
whatever rubric, and never after its owner refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, case, delete, func, select, update

from newsletter.domain.addresses import fingerprint
from newsletter.domain.mail import SubscriberState
from newsletter.domain.paging import paged
from newsletter.store import subscribers, subscriptions, suppressions
from newsletter.store.tables import delivery, signup, subscriber, subscription
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from newsletter.domain.mail import Subscription

BETWEEN_MAILS = timedelta(hours=1)
"""Prevents flooding a stranger's mailbox through the form."""
BACK_OFF = 4
"""Each further mail to an address waits so many times as long as the one before."""
MAX_WAIT = timedelta(days=30)
MAILS_AN_HOUR = 1000
"""To all addresses: the last bound, where many networks ask. People are told when it is reached."""
VALID = timedelta(days=7)
KEPT = timedelta(days=30)
"""How long an address is kept that never confirmed, after it was asked last."""
COUNTED = timedelta(days=90)
"""How long it is remembered how often an address was mailed."""
REJOINED = "confirmed again"
REFUSED = "refused the mail to confirm with"
KEY = ["email_hash", "rubric"]


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
    return min(BETWEEN_MAILS * times, MAX_WAIT)


def is_full(tx: Connection, now: datetime, limit: int = MAILS_AN_HOUR) -> bool:
    """Whether `limit` mails or more went to all addresses in the last hour."""
    recent = signup.c.mailed_at > now - BETWEEN_MAILS
    return (tx.scalar(select(func.count()).where(recent)) or 0) >= limit


def request(
    tx: Connection, email: str, rubric: str, now: datetime, *, limit: int = MAILS_AN_HOUR
) -> bool:
    """Store a sign-up request. True when a confirmation mail may be sent now.

    `limit` is how many mails may go to all addresses in an hour.
    """
    email_hash = fingerprint(email)
    _lock(tx, email_hash)
    before = tx.execute(select(signup).where(signup.c.email_hash == email_hash)).all()
    if any(one.refused_at for one in before):
        return False
    last = max((one.mailed_at for one in before), default=now)
    if before and now - last < wait_after(sum(one.mails for one in before)):
        return False
    if is_full(tx, now, limit):
        return False
    row = {"email_hash": email_hash, "rubric": rubric, "asked_at": now, "mailed_at": now}
    tx.execute(
        insert(tx, signup)
        .values(row)
        .on_conflict_do_update(index_elements=KEY, set_={**row, "mails": signup.c.mails + 1})
    )
    return True


def _lock(tx: Connection, email_hash: str) -> None:
    """Of two concurrent requests for an address one is mailed. SQLite has one writer anyway."""
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"signup of {email_hash}"))))


def mark_not_sent(tx: Connection, email: str, now: datetime) -> None:
    """Record that the mail was not sent: the address may ask again at once."""
    mine = signup.c.email_hash == fingerprint(email)
    fewer = case((signup.c.mails > 0, signup.c.mails - 1), else_=0)
    tx.execute(update(signup).where(mine).values(mails=fewer, mailed_at=now - MAX_WAIT))


def pending_request(tx: Connection, email: str, rubric: str = "") -> SignupRequest | None:
    """What an address asked for last, if it did and did not refuse since; or of one rubric."""
    query = (
        select(signup.c.rubric, signup.c.asked_at)
        .where(signup.c.email_hash == fingerprint(email), signup.c.refused_at.is_(None))
        .order_by(signup.c.asked_at.desc(), signup.c.rubric)
    )
    row = tx.execute(query.where(signup.c.rubric == rubric) if rubric else query).first()
    return SignupRequest(*row) if row else None


def clear(tx: Connection, email: str, rubric: str = "") -> None:
    """Delete the requests of an address, and its refusal; or the request for one rubric."""
    mine = delete(signup).where(signup.c.email_hash == fingerprint(email))
    tx.execute(mine.where(signup.c.rubric == rubric) if rubric else mine)


def refuse(tx: Connection, subscription_id: str, now: datetime) -> bool:
    """The owner of an address refuses confirmation mails: none is ever sent to it again.

    A pending subscriber is deleted but for the hashes that this needs; an active one keeps their
    digests. False for an unknown id.
    """
    known = subscriptions.by_id(tx, subscription_id)
    if known is None or not known.email:
        return False
    mine = signup.c.email_hash == fingerprint(known.email)
    tx.execute(update(signup).where(mine).values(refused_at=now))
    row = {
        "email_hash": fingerprint(known.email),
        "rubric": known.rubric,
        "asked_at": now,
        "mailed_at": now,
        "refused_at": now,
    }
    added = insert(tx, signup).values(row)
    tx.execute(added.on_conflict_do_update(index_elements=KEY, set_={"refused_at": now}))
    if known.state is SubscriberState.PENDING:
        # Leaving suppresses the address, if nothing else is read there.
        subscriptions.leave(tx, known.id, REFUSED, now)
        _delete_unmailed(tx, subscription.c.id == known.id)
    return True


def _delete_unmailed(tx: Connection, which: ColumnElement[bool]) -> int:
    """Delete subscriptions that had no mail, and their subscribers if none is left of them.

    Returns how many subscribers were deleted.
    """
    of_reader = delivery.c.subscriber_id == subscription.c.subscriber_id
    mine = of_reader & (delivery.c.subscription_id == subscription.c.id)
    mailed = select(delivery.c.id).where(mine).exists()
    chosen = select(subscription.c.id, subscription.c.subscriber_id).where(which, ~mailed)
    rows = tx.execute(chosen).all()
    gone = 0
    for page in paged(rows):
        tx.execute(delete(subscription).where(subscription.c.id.in_([one.id for one in page])))
        reads = select(subscription.c.id).where(subscription.c.subscriber_id == subscriber.c.id)
        owners = subscriber.c.id.in_([one.subscriber_id for one in page])
        gone += tx.execute(delete(subscriber).where(owners, ~reads.exists())).rowcount
    return gone


def rejoin(
    tx: Connection, known: Subscription, rubric: str, consent: str, now: datetime
) -> Subscription | None:
    """Reactivate a reader who left or bounced, after a confirmed request: that mail arrived.

    Returns the subscription; None if the address is suppressed for another reason.
    """
    gone = (SubscriberState.UNSUBSCRIBED, SubscriberState.BOUNCED)
    blocked = not suppressions.lift(tx, known.email, rubric)
    if (blocked and suppressions.reason_for(tx, known.email)) or known.state not in gone:
        return None
    subscribers.reactivate(tx, known.subscriber_id, REJOINED, now)
    if known.state is SubscriberState.BOUNCED:
        subscriptions.move(tx, known.id, rubric, now, way=REJOINED)
    joined = subscriptions.add(tx, known.subscriber_id, rubric, now, way=REJOINED)
    subscriptions.renew(tx, joined, REJOINED, consent, now)
    return subscriptions.by_id(tx, joined)


def purge(tx: Connection, now: datetime) -> int:
    """Delete old requests, and subscribers who never confirmed; return the number of these.

    A refusal is kept for ever.
    """
    last = func.max(signup.c.asked_at, type_=signup.c.asked_at.type)
    silent = select(signup.c.email_hash).group_by(signup.c.email_hash).having(last < now - KEPT)
    readers = select(subscriber.c.id).where(subscriber.c.email_hash.in_(silent))
    pending = subscription.c.state == SubscriberState.PENDING.value
    never = _delete_unmailed(tx, pending & subscription.c.subscriber_id.in_(readers))
    outlived = signup.c.asked_at < now - COUNTED
    tx.execute(delete(signup).where(outlived, signup.c.refused_at.is_(None)))
    return never
