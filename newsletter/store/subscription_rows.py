"""Rows of subscriptions with their subscribers: as a `Subscription`, and as SQL conditions."""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, and_, cast, func, select

from newsletter.domain.mail import (
    OWN_PREFERENCES,
    PREFERENCES,
    Format,
    SubscriberState,
    Subscription,
    state_of,
)
from newsletter.store.tables import subscriber, subscription, suppression

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Row, Select

ACTIVE = SubscriberState.ACTIVE.value
SUBSCRIPTIONS = subscription.join(subscriber)
"""Subscriptions with their subscribers."""
MAILABLE = SUBSCRIPTIONS.outerjoin(suppression, suppression.c.email_hash == subscriber.c.email_hash)
MAY_BE_MAILED = and_(
    subscription.c.state == ACTIVE,
    subscriber.c.state == ACTIVE,
    suppression.c.email_hash.is_(None),
)
DAYS = func.coalesce(cast(subscription.c.days, Text), cast(subscriber.c.days, Text))
"""A short JSON list of names, none of which is part of another."""
FORMAT: ColumnElement[str] = func.coalesce(subscription.c.format, subscriber.c.format)
MAX_PAPERS: ColumnElement[int | None] = func.nullif(
    func.coalesce(subscription.c.max_papers, subscriber.c.max_papers), 0
)
COLUMNS = (
    *(subscription.c[name] for name in ("id", "subscriber_id", "rubric", "consent", "since")),
    *(subscriber.c[name] for name in ("email", "email_key", "name", "timezone", "send_at")),
    *(subscriber.c[name] for name in ("days", "max_papers", "format", "state", "state_reason")),
    subscriber.c.chosen,
    subscription.c.state.label("own_state"),
    *(subscription.c[name].label(f"own_{name}") for name in (*OWN_PREFERENCES, "chosen")),
)
"""What `of_row` reads."""


def of_row(row: Row[Any]) -> Subscription:
    """The subscription in a row of `COLUMNS`."""
    own = {name for name in OWN_PREFERENCES if getattr(row, f"own_{name}") is not None}
    chosen = {*row.own_chosen, *(name for name in row.chosen if name not in own)}
    return Subscription(
        id=row.id,
        subscriber_id=row.subscriber_id,
        email=row.email,
        rubric=row.rubric,
        name=row.name,
        timezone=row.timezone,
        send_at=time.fromisoformat(row.send_at) if row.send_at else None,
        days=tuple(row.own_days if "days" in own else row.days),
        max_papers=(row.own_max_papers if "max_papers" in own else row.max_papers) or None,
        format=Format(row.own_format if "format" in own else row.format),
        state=state_of(row.own_state, row.state),
        consent=row.consent,
        since=row.since,
        chosen=tuple(name for name in PREFERENCES if name in chosen),
    )


def query_rows() -> Select[Any]:
    """All subscriptions, as `of_row` reads them."""
    return select(*COLUMNS).select_from(SUBSCRIPTIONS)
