"""Requests for many readers of which nobody knows whether they were taken: decided, once for all.

One that waits for its readers' hour is withdrawn: that is right whether it was taken, is under way
or never left. Any other is in doubt until an event of one of its mails, or the operator, tells.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from newsletter import lives
from newsletter.mailers import SendError
from newsletter.store import group_ends, groups
from newsletter.store.groups import GroupState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from newsletter.mailers import GroupMailer
    from newsletter.store import Store
    from newsletter.store.groups import Lost

log = logging.getLogger(__name__)

FENCE = timedelta(minutes=10)
"""SendGrid withdraws a batch not later than this before its time."""
SLACK = timedelta(seconds=10)
LAPSE = timedelta(minutes=10)
"""So long after its time no request can still be under way for a batch that was withdrawn."""


def settle_lost(store: Store, mailer: GroupMailer, clock: Callable[[], datetime]) -> int:
    """Decide on the groups whose processes are gone. How many there were. Safe to repeat."""
    with store.read() as tx:
        found = groups.lost(tx, clock(), lives.is_gone)
        over = groups.long_over(tx, clock() - LAPSE)
    for batch_id in over:
        with suppress(SendError):
            mailer.let_go(batch_id)
            with store.begin() as tx:
                groups.let_go(tx, batch_id)
    for one in found:
        settle(store, mailer, one, clock, groups.LOST)
    return len(found)


def settle(
    store: Store, mailer: GroupMailer, one: Lost, clock: Callable[[], datetime], reason: str
) -> GroupState:
    """Withdraw a group of which nobody knows whether it was taken; else it is in doubt.

    It stays `started` where the provider cannot be asked and there is time to ask again.
    """
    if one.batch_id and one.send_at and one.send_at - clock() > FENCE + SLACK:
        try:
            withdrawn = mailer.withdraw(one.batch_id)
        except SendError as error:
            log.warning("a batch is not withdrawn yet: %s", error)
            return GroupState.STARTED
        if withdrawn:
            with store.begin() as tx:
                group_ends.release(
                    tx, one.id, GroupState.CANCELLED, f"withdrawn: {reason}", clock()
                )
            return GroupState.CANCELLED
    with store.begin() as tx:
        group_ends.doubt(tx, one.id, reason, clock())
    return GroupState.UNKNOWN
