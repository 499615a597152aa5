"""How long the rows of single mails are kept, so that the largest table stops growing.

A digest is mailed for 60 days after it was made, and its rows go after 90: so nobody who lost his
row can be mailed it again. What still asks for them in between are events, complaints by share
(30 days) and the operator's page (30 days).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from newsletter.store.tables import delivery, digest, mail_group

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import BindParameter, ColumnElement, Connection

MAILED = timedelta(days=60)
KEPT = timedelta(days=90)
PAGE = 5000
"""Rows that one transaction deletes: no lock is held for long."""


def still_mailed(
    digest_id: BindParameter[int], made_after: BindParameter[datetime]
) -> ColumnElement[bool]:
    """Whether a digest was made after a moment: `MAILED` ago, where its mail is planned."""
    made = select(digest.c.id).where(digest.c.id == digest_id, digest.c.at > made_after)
    return made.exists()


def outlived(tx: Connection, now: datetime) -> list[int]:
    """The digests whose rows are to go."""
    rows = select(delivery.c.id).where(delivery.c.digest_id == digest.c.id)
    old = select(digest.c.id).where(digest.c.at < now - KEPT, rows.exists())
    return list(tx.scalars(old.order_by(digest.c.id)))


def forget_page(tx: Connection, digest_id: int) -> bool:
    """Drop a page of a digest's rows; whether more may be left."""
    page = select(delivery.c.id).where(delivery.c.digest_id == digest_id).limit(PAGE)
    gone = tx.execute(delete(delivery).where(delivery.c.id.in_(page))).rowcount
    if gone < PAGE:
        tx.execute(delete(mail_group).where(mail_group.c.digest_id == digest_id))
    return gone == PAGE
