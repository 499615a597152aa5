"""Mail that came back is news of a delivery, as the provider's events are: the same edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from newsletter.store import departures, events
from newsletter.store.tables import delivery, event

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from newsletter.store.events import Event


def recipient(tx: Connection, delivery_id: str) -> str:
    """To whom a mail of ours went; empty where there is none of that id, or it is forgotten."""
    if not delivery_id:
        return ""
    return tx.scalar(select(delivery.c.email).where(delivery.c.id == delivery_id)) or ""


def tell(tx: Connection, news: Event, now: datetime, same: timedelta) -> bool:
    """Draw the consequences once, though a report comes twice, or by the webhook as well.

    News without a delivery is the same as what was told of that address within `same`.
    """
    if news.delivery_id:
        known = select(func.count()).where(
            event.c.delivery_id == news.delivery_id, event.c.kind == news.kind
        )
        told = bool(tx.scalar(known))
    elif news.kind not in events.BOUNCES:
        told = False
    else:
        told = departures.has_bounced(tx, news.email, news.at, same)
    return not told and events.apply(tx, [news], now) == 1
