"""Changes of readers by the operator: the same from the command line and on the operator's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain.mail import SubscriberState
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.domain.subscriber_csv import SubscriberFile, read_row, write_subscribers
from newsletter.domain.subscriber_import import Merged, merge_values
from newsletter.errors import OperatorError
from newsletter.settings import SettingsError
from newsletter.store import restore_subscriber, subscriptions, suppressions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.domain.mail import Subscription
    from newsletter.store.suppressions import Reason

LIVE = (SubscriberState.PENDING, SubscriberState.ACTIVE, SubscriberState.PAUSED)
BY_OPERATOR = "operator"
"""Why a subscription is as it is, where an operator changed it."""


class Restorable(NamedTuple):
    """What would be restored of an address."""

    known: Subscription | None
    gone: list[Subscription]
    suppressed: Reason | None

    @property
    def is_needed(self) -> bool:
        return bool(self.gone or self.suppressed)


def read_rows(
    email: str, rubrics: Sequence[str], preferences: Mapping[str, str], known: Collection[str]
) -> SubscriberFile:
    """A row for each rubric. `preferences` are cells by column, empty where nothing was said."""
    read = [read_row({"email": email, "rubric": one, **preferences}, known) for one in rubrics]
    return SubscriberFile(
        tuple(row for one in read for row in one.rows),
        tuple(dict.fromkeys(fault for one in read for fault in one.faults)),
    )


def export(tx: Connection) -> str:
    """Those who get mail of rubric files, as a subscribers file.

    Importing others elsewhere would subscribe them again.
    """
    found = subscriptions.mailable(tx)
    return write_subscribers(one for one in found if not is_reader_rubric(one.rubric))


def edit(
    tx: Connection,
    known: Subscription,
    values: Mapping[str, Any],
    now: datetime,
    *,
    overwrite: bool,
) -> Merged:
    """Store these preferences, except those that the reader chose, unless `overwrite`."""
    merged = merge_values(known, values, overwrite=overwrite)
    subscriptions.change(tx, known, merged.person, now)
    return merged


def check_read(known: Subscription, found: Sequence[Subscription], rubrics: Sequence[str]) -> None:
    """Raises SettingsError for a rubric that the address never read."""
    read = {one.rubric for one in found}
    if unknown := [slug for slug in rubrics if slug not in read]:
        message = f"--rubric {unknown[0]}: {known.email} has only {', '.join(sorted(read))}"
        raise SettingsError(message)


def live(found: Sequence[Subscription], rubrics: Sequence[str] = ()) -> list[Subscription]:
    """The subscriptions that are not left: of these rubrics, or all."""
    return [one for one in found if one.state in LIVE and one.rubric in (rubrics or [one.rubric])]


def remove(
    tx: Connection, found: Sequence[Subscription], rubrics: Sequence[str], now: datetime
) -> bool:
    """Unsubscribe a subscriber from these rubrics, or from all. False if nothing was left to do."""
    if not rubrics:
        return subscriptions.leave_all(tx, found[0].subscriber_id, BY_OPERATOR, now)
    chosen = [one for one in found if one.rubric in rubrics]
    left = [subscriptions.leave(tx, one.id, BY_OPERATOR, now) for one in chosen]
    return any(left)


def restorable(tx: Connection, address: str, rubrics: Sequence[str] = ()) -> Restorable:
    """What `restore` would bring back. Raises OperatorError after a complaint or an erasure."""
    known, reason = subscriptions.find(tx, address), suppressions.reason_for(tx, address)
    if refusal := restore_subscriber.refusal_reason(known, reason):
        message = f"{address} {refusal}; no command reactivates it, and nothing was changed"
        raise OperatorError(message)
    if known:
        check_read(known, subscriptions.of_address(tx, address), rubrics)
    return Restorable(known, restore_subscriber.left(tx, address, rubrics), reason)


def restore(
    tx: Connection, address: str, rubrics: Sequence[str], consent: str, now: datetime
) -> list[Subscription]:
    """Reactivate an address that unsubscribed or bounced; what it reads again.

    Free it at the provider first: the other order could let it drop the mail of an active reader.
    """
    back = restore_subscriber.restore(tx, address, rubrics, consent, now)
    if back is None:
        message = f"{address} changed meanwhile; see: newsletter subscribers list"
        raise OperatorError(message)
    return back
