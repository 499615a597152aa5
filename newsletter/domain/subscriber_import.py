"""What a row of a subscribers file changes of a known reader (pure).

A column that is absent, or a cell that is empty, changes nothing. What the reader set on the
preferences page or by a reply stays, unless the operator says `--overwrite`. A row with a rubric
that the reader does not read adds a subscription.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from newsletter.domain.mail import PREFERENCES, WEEKDAYS, Format, SubscriberState, Subscription

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, time

    from newsletter.domain.subscriber_csv import SubscriberRow

FROM_FILE = "import"
"""The consent of a subscriber who was imported without one; a confirmation adds its day."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value that differs between what is stored and what a row says, as text."""

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.name} {self.old} -> {self.new}"


@dataclass(frozen=True, slots=True)
class Merged:
    """A known reader after a row was taken over.

    `kept` is what the row says otherwise than the reader chose, and that was not taken over.
    """

    person: Subscription
    changes: tuple[FieldChange, ...] = ()
    kept: tuple[FieldChange, ...] = ()


def merge(known: Subscription, row: SubscriberRow, consent: str, *, overwrite: bool) -> Merged:
    """What becomes of `known` by this row, imported with `consent` (empty: none)."""
    return merge_values(known, _given(row), consent, overwrite=overwrite)


def merge_values(
    known: Subscription, given: Mapping[str, Any], consent: str = "", *, overwrite: bool
) -> Merged:
    """What becomes of `known` by these values; None is the service's default."""
    different = {name: value for name, value in given.items() if value != getattr(known, name)}
    taken = {
        name: value for name, value in different.items() if overwrite or name not in known.chosen
    }
    waits = known.state is SubscriberState.PENDING and bool(consent)
    if waits:
        taken["state"] = SubscriberState.ACTIVE
    if consent and (waits or not known.consent):
        taken["consent"] = consent
    chosen = tuple(name for name in known.chosen if name not in taken)
    return Merged(
        person=replace(known, **taken, chosen=chosen),
        changes=_changes(known, taken),
        kept=_changes(known, {name: different[name] for name in different.keys() - taken.keys()}),
    )


def new_subscription(
    row: SubscriberRow, consent: str, subscription_id: str, now: datetime
) -> Subscription:
    """The subscription that a row makes: active with consent, else it waits for a confirmation."""
    return Subscription(
        id=subscription_id,
        email=row.email,
        since=now,
        state=SubscriberState.ACTIVE if consent else SubscriberState.PENDING,
        consent=consent or FROM_FILE,
        **_given(row),
    )


def _given(row: SubscriberRow) -> dict[str, Any]:
    """What a row says about its reader; the columns that it leaves open are not in it."""
    names = ("name", *PREFERENCES)
    said = {name: value for name in names if (value := getattr(row, name)) is not None}
    return {"rubric": row.rubric, **said}


def _changes(known: Subscription, values: dict[str, Any]) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(name, shown(name, getattr(known, name)), shown(name, values[name]))
        for name in sorted(values)
    )


def shown(name: str, value: str | time | int | tuple[str, ...] | None) -> str:
    """A stored value as a file would say it."""
    if value is None:
        return "default"
    if isinstance(value, tuple):
        return "daily" if value == WEEKDAYS else " ".join(value)
    if isinstance(value, Format | SubscriberState):
        return value.value
    if name == "send_at":
        return f"{value:%H:%M}"
    return str(value) or '""'
