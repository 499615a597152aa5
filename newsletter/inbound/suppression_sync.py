"""Our suppressions and the provider's lists, brought together once a night.

The pull finds what a lost webhook would have told. The push makes the provider refuse whom we
must not mail, so that a fault of ours cannot. Whoever came back is taken off the provider's list:
it would drop the mail, and call that a departure.
"""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.domain.addresses import fingerprint
from newsletter.domain.bounce_codes import says_gone
from newsletter.domain.mail import EventKind, SubscriberState
from newsletter.mailers import ListName
from newsletter.store import events, subscribers, suppressions
from newsletter.store.events import Event
from newsletter.store.suppressions import SEVERITY, Reason

if TYPE_CHECKING:
    import threading
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.mailers import ListedAddress, SuppressionLists
    from newsletter.store import Store

log = logging.getLogger(__name__)

WAY = "the provider's list"
ENDS = {
    ListName.SPAM_REPORTS: SubscriberState.COMPLAINED,
    ListName.BOUNCES: SubscriberState.BOUNCED,
    ListName.INVALID: SubscriberState.BOUNCED,
    ListName.UNSUBSCRIBES: SubscriberState.UNSUBSCRIBED,
}
RECENT = timedelta(days=7)
"""Older blocks say nothing about tomorrow's mail."""
SAME = timedelta(hours=1)
"""A block this near to a bounce we know of is that bounce."""
ROUNDS = timedelta(minutes=15)


@dataclass(slots=True)
class Synced:
    """What a night brought: addresses learned, told to the provider, taken off its list."""

    learned: int = 0
    told: int = 0
    lifted: int = 0


def sync(store: Store, lists: SuppressionLists, now: datetime, stop: threading.Event) -> Synced:
    """Pull and push everything. Twice is the same as once. Raises SuppressionListsError,
    StoreError.
    """
    done = Synced()
    # Of everybody who ever left: eight bytes each.
    theirs = array("Q")
    back: list[str] = []
    for name in ListName:
        for page in lists.read(name):
            if stop.is_set():
                return done
            with store.begin() as tx:
                here = [one for one in page if _came_back(tx, name, one)]
                done.learned += sum(_learn(tx, name, one, now) for one in page if one not in here)
            back += [one.email for one in here]
            if name is ListName.UNSUBSCRIBES:
                theirs.extend(_mark(one.email) for one in page)
    for email in back:
        lists.remove(email)
    done.lifted = len(back)
    done.told = _push(store, lists, array("Q", sorted(theirs)), stop)
    return done


def _push(store: Store, lists: SuppressionLists, theirs: array[int], stop: threading.Event) -> int:
    """Tell the provider of those it does not know of, given the marks of all it knows; how many."""
    told, last = 0, ""
    while not stop.is_set():
        with store.read() as tx:
            page = events.departed_addresses(tx, last)
        if not page:
            break
        last = page[-1]
        if missing := [email for email in page if not _has(theirs, _mark(email))]:
            lists.add(missing)
            told += len(missing)
    return told


def _mark(email: str) -> int:
    return int(fingerprint(email)[:16], 16)


def _has(marks: array[int], mark: int) -> bool:
    place = bisect_left(marks, mark)
    return place < len(marks) and marks[place] == mark


def welcome_back(store: Store, lists: SuppressionLists, now: datetime) -> int:
    """Take those who came back a moment ago off the provider's list, before their next mail."""
    with store.read() as tx:
        back = events.returning_addresses(tx, now - ROUNDS)
    for email in back:
        lists.remove(email)
    return len(back)


def pass_on_erasures(store: Store, lists: SuppressionLists | None, now: datetime) -> int:
    """Tell the provider whom to forget, and forget the address here as well. How many.

    Where no provider keeps anything there is nobody to tell. Raises SuppressionListsError,
    StoreError.
    """
    with store.begin() as tx:
        if lists is not None and suppressions.drop_old_erasures(tx, now):
            log.warning("the provider takes no erasures: erase the people of this month by hand")
    done = 0
    while True:
        with store.read() as tx:
            emails = suppressions.queued_erasures(tx)
        if not emails:
            return done
        if lists is not None:
            lists.erase(emails)
        with store.begin() as tx:
            suppressions.finish_erasures(tx, emails)
        done += len(emails)


def _came_back(tx: Connection, name: ListName, listed: ListedAddress) -> bool:
    return name is ListName.UNSUBSCRIBES and events.has_returned(tx, listed.email, listed.at)


def _learn(tx: Connection, name: ListName, listed: ListedAddress, now: datetime) -> bool:
    """Draw the consequence of one entry. False where it was known, or means nothing."""
    if name is ListName.BLOCKS or (name is ListName.BOUNCES and not says_gone(listed.reason)):
        return _count(tx, listed, now)
    end = ENDS[name]
    known = suppressions.reason_for(tx, listed.email)
    if known and SEVERITY.index(known) >= SEVERITY.index(Reason(end.value)):
        return False
    person = subscribers.find(tx, listed.email)
    if person:
        subscribers.end_subscription(tx, person.id, end, WAY, now)
    else:
        suppressions.suppress(tx, listed.email, Reason(end.value), WAY, now)
    return True


def _count(tx: Connection, listed: ListedAddress, now: datetime) -> bool:
    """A block is about us, and may pass: it counts among the soft bounces, and no further."""
    if listed.at < now - RECENT or events.has_bounced(tx, listed.email, listed.at, SAME):
        return False
    told = Event(EventKind.SOFT_BOUNCE, listed.email, listed.at, reason=listed.reason)
    return events.apply(tx, [told], now) == 1
