"""Synchronize suppressions with the provider's lists, once a night.

The import finds what a lost webhook would have reported. The export makes the provider reject
addresses that must not be mailed, even if we try by mistake. Returning readers are removed from
the provider's list: it would drop their mail and report an unsubscribe.
"""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter.domain.addresses import fingerprint
from newsletter.domain.bounce_codes import is_address_gone
from newsletter.domain.mail import EventKind, SubscriberState
from newsletter.mailers import ListName
from newsletter.store import events, subscriptions, suppressions
from newsletter.store.events import Event
from newsletter.store.suppressions import SEVERITY, Reason

if TYPE_CHECKING:
    import threading
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.mailers import ListedAddress, SuppressionLists
    from newsletter.store import Store

log = logging.getLogger(__name__)

SOURCE = "the provider's list"
END_STATES = {
    ListName.SPAM_REPORTS: SubscriberState.COMPLAINED,
    ListName.BOUNCES: SubscriberState.BOUNCED,
    ListName.INVALID: SubscriberState.BOUNCED,
    ListName.UNSUBSCRIBES: SubscriberState.UNSUBSCRIBED,
}
RECENT = timedelta(days=7)
"""Older blocks say nothing about the next mail."""
SAME_BOUNCE = timedelta(hours=1)
"""A block within this time of a stored bounce is that bounce."""
RETURN_WINDOW = timedelta(minutes=15)


@dataclass(slots=True)
class SyncResult:
    """Numbers of addresses imported, exported to the provider, and removed from its list."""

    imported: int = 0
    exported: int = 0
    removed: int = 0


def sync(store: Store, lists: SuppressionLists, now: datetime, stop: threading.Event) -> SyncResult:
    """Import and export all suppressions (idempotent). Raises SuppressionListsError, StoreError."""
    done = SyncResult()
    # Eight bytes for each address that was ever suppressed.
    provider_hashes = array("Q")
    returned: list[str] = []
    for name in ListName:
        for page in lists.read(name):
            if stop.is_set():
                return done
            with store.begin() as tx:
                here = [one for one in page if _has_returned(tx, name, one)]
                done.imported += sum(
                    _import_entry(tx, name, one, now) for one in page if one not in here
                )
            returned += [one.email for one in here]
            if name is ListName.UNSUBSCRIBES:
                provider_hashes.extend(_address_hash(one.email) for one in page)
    for email in returned:
        lists.remove(email)
    done.removed = len(returned)
    done.exported = _push(store, lists, array("Q", sorted(provider_hashes)), stop)
    return done


def _push(
    store: Store, lists: SuppressionLists, provider_hashes: array[int], stop: threading.Event
) -> int:
    """Export the addresses whose hash the provider does not have; return their number."""
    exported, last = 0, ""
    while not stop.is_set():
        with store.read() as tx:
            page = events.departed_addresses(tx, last)
        if not page:
            break
        last = page[-1]
        if missing := [
            email for email in page if not _contains(provider_hashes, _address_hash(email))
        ]:
            lists.add(missing)
            exported += len(missing)
    return exported


def _address_hash(email: str) -> int:
    return int(fingerprint(email)[:16], 16)


def _contains(hashes: array[int], wanted: int) -> bool:
    place = bisect_left(hashes, wanted)
    return place < len(hashes) and hashes[place] == wanted


def remove_returned(store: Store, lists: SuppressionLists, now: datetime) -> int:
    """Remove readers who have just returned from the provider's list, before their next mail."""
    with store.read() as tx:
        returned = events.returning_addresses(tx, now - RETURN_WINDOW)
    for email in returned:
        lists.remove(email)
    return len(returned)


def forward_erasures(store: Store, lists: SuppressionLists | None, now: datetime) -> int:
    """Ask the provider to erase addresses, then delete them here; return their number.

    Without a provider they are only deleted. Raises SuppressionListsError, StoreError.
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


def _has_returned(tx: Connection, name: ListName, listed: ListedAddress) -> bool:
    return name is ListName.UNSUBSCRIBES and events.has_returned(tx, listed.email, listed.at)


def _import_entry(tx: Connection, name: ListName, listed: ListedAddress, now: datetime) -> bool:
    """Apply one entry of a list. False if it was known or has no effect."""
    if name is ListName.BLOCKS or (name is ListName.BOUNCES and not is_address_gone(listed.reason)):
        return _record_block(tx, listed, now)
    end = END_STATES[name]
    known = suppressions.reason_for(tx, listed.email)
    if known and SEVERITY.index(known) >= SEVERITY.index(Reason(end.value)):
        return False
    person = subscriptions.find(tx, listed.email)
    if person:
        subscriptions.end_all(tx, person.subscriber_id, end, SOURCE, now)
    else:
        suppressions.suppress(tx, listed.email, Reason(end.value), SOURCE, now)
    return True


def _record_block(tx: Connection, listed: ListedAddress, now: datetime) -> bool:
    """Record a block as a soft bounce: it concerns the sender, and may be temporary."""
    if listed.at < now - RECENT or events.has_bounced(tx, listed.email, listed.at, SAME_BOUNCE):
        return False
    told = Event(EventKind.SOFT_BOUNCE, listed.email, listed.at, reason=listed.reason)
    return events.apply(tx, [told], now) == 1
