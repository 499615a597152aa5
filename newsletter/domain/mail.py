"""Readers and their mail, as values. Frozen, without I/O, like those of `domain/model.py`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, time


class Format(StrEnum):
    """How much a reader wants to read."""

    FULL = "full"
    BRIEF = "brief"
    TITLES = "titles"


class SubscriberState(StrEnum):
    """The state of a subscription as a whole (`state_of`).

    Stored of a subscription is PENDING, ACTIVE or UNSUBSCRIBED; of its subscriber, for all their
    subscriptions, ACTIVE, PAUSED, BOUNCED or COMPLAINED.
    """

    PENDING = "pending"
    ACTIVE = "active"
    PAUSED = "paused"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


OF_SUBSCRIPTION = (SubscriberState.PENDING, SubscriberState.UNSUBSCRIBED)
OF_SUBSCRIBER = (SubscriberState.PAUSED, SubscriberState.BOUNCED, SubscriberState.COMPLAINED)
STRONGEST_STATES = (
    SubscriberState.COMPLAINED,
    SubscriberState.UNSUBSCRIBED,
    SubscriberState.BOUNCED,
    SubscriberState.PENDING,
    SubscriberState.PAUSED,
    SubscriberState.ACTIVE,
)


def state_of(subscription: str, subscriber: str) -> SubscriberState:
    """The state of a subscription by its own stored state and that of its subscriber (pure)."""
    stored = (SubscriberState(subscription), SubscriberState(subscriber))
    return min(stored, key=STRONGEST_STATES.index)


READING = (SubscriberState.ACTIVE, SubscriberState.PAUSED)
"""The states of a subscription that its reader wants."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEKLY = ("weekly",)
"""In place of days: one mail with the best of the week, on the day of its last announcement."""
PREFERENCES = ("timezone", "send_at", "days", "max_papers", "format")
"""What a reader can set on the preferences page, besides the rubric."""
OWN_PREFERENCES = ("days", "max_papers", "format")
"""Those that may differ between the subscriptions of one subscriber."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one address reads of one rubric, with all that its mail needs.

    `id` is opaque (32 hex digits) and stands in tokens. Address, name, zone and hour are the
    subscriber's, the same in all their subscriptions; `days`, `max_papers` and `format` are the
    subscription's own, or the subscriber's where it has none. `timezone` is a zone name, `send_at`
    local; None means the service's default. `days` are those of WEEKDAYS on which mail is wanted,
    or WEEKLY. `chosen` names the PREFERENCES that the reader set: a file does not change these.
    `subscriber_id` is empty until it is stored.
    """

    id: str
    email: str
    rubric: str
    name: str = ""
    timezone: str | None = None
    send_at: time | None = None
    days: tuple[str, ...] = WEEKDAYS
    max_papers: int | None = None
    format: Format = Format.FULL
    state: SubscriberState = SubscriberState.ACTIVE
    consent: str = ""
    since: datetime | None = None
    chosen: tuple[str, ...] = ()
    subscriber_id: str = ""


class DeliveryState(StrEnum):
    """What is known about one email. `store/claims.py` has the state diagram."""

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class EventKind(StrEnum):
    """Kinds of provider events; events of any other kind are dropped."""

    PROCESSED = "processed"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    DROPPED = "dropped"
    SOFT_BOUNCE = "soft bounce"
    REPORTED_BOUNCE = "reported bounce"
    """A bounce mail says that the address is gone. Anyone with a forwarded copy may forge one."""
    HARD_BOUNCE = "hard bounce"
    UNSUBSCRIBE = "unsubscribe"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One digest to one subscriber, unique. `id` is opaque; a provider gets no other id."""

    id: str
    digest_id: int
    subscription: Subscription
    state: DeliveryState
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Email:
    """One message to one recipient, complete. Header values are single lines."""

    to_email: str
    to_name: str
    from_email: str
    from_name: str
    reply_to: str
    subject: str
    html: str
    text: str
    message_id: str
    headers: tuple[tuple[str, str], ...] = ()
    delivery_id: str = ""
    date: datetime | None = None
    envelope_from: str = ""
    """Where reports about this mail come back to; the From address where it is empty."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """One recipient of a batch: what differs in their copy.

    `words` are by the tags that stand for them in the common text.
    """

    to_email: str
    to_name: str
    delivery_id: str
    headers: tuple[tuple[str, str], ...]
    words: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class BatchEmail:
    """One message to many readers, each of whom gets a copy.

    The provider sends it at `send_at`; until then `batch_id` can cancel it.
    """

    id: str
    from_email: str
    from_name: str
    reply_to: str
    subject: str
    html: str
    text: str
    readers: tuple[Addressee, ...]
    content_hash: str = ""
    batch_id: str = ""
    send_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """From address and name, and the operator's address.

    With `bounce_addresses` each digest has an envelope sender of its own.
    """

    email: str
    name: str
    operator: str = ""
    bounce_addresses: bool = False

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]
