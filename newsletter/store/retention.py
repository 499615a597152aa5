"""Retention of mail rows and scores: how long they are kept.

A digest is mailed for 60 days after it was made, and its rows are deleted after 90: so nobody whose
row was deleted can be mailed it again. In between, events, the complaint share (30 days) and the
operator's page (30 days) read them.

What a digest did not pick goes later, by a setting: its scores, that it was covered, and the raw
answers of the calls. A digest is made once, so its papers are not asked about again. What stays is
what was paid and counted, the digest, and all of papers that no digest covers.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, or_, select, update

from newsletter.store.ledger import CallState
from newsletter.store.tables import call, delivery, digest, digest_paper, mail_group, score

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import BindParameter, ColumnElement, Connection

MAILED = timedelta(days=60)
KEPT = timedelta(days=90)
PAGE = 5000
"""Rows that one transaction deletes: no lock is held for long."""
PAPERS, DIGESTS = 1000, 500
"""Papers that one transaction forgets, and digests that are found at once."""


def still_mailed(
    digest_id: BindParameter[int], made_after: BindParameter[datetime]
) -> ColumnElement[bool]:
    """Whether a digest was made after a moment: `MAILED` ago, where its mail is planned."""
    made = select(digest.c.id).where(digest.c.id == digest_id, digest.c.at > made_after)
    return made.exists()


def expired_digests(tx: Connection, now: datetime) -> list[int]:
    """The digests whose rows are to go."""
    rows = select(delivery.c.id).where(delivery.c.digest_id == digest.c.id)
    old = select(digest.c.id).where(digest.c.at < now - KEPT, rows.exists())
    return list(tx.scalars(old.order_by(digest.c.at, digest.c.id)))


def delete_page(tx: Connection, digest_id: int) -> bool:
    """Drop a page of a digest's rows; whether more may be left."""
    page = select(delivery.c.id).where(delivery.c.digest_id == digest_id).limit(PAGE)
    gone = tx.execute(delete(delivery).where(delivery.c.id.in_(page))).rowcount
    if gone < PAGE:
        tx.execute(delete(mail_group).where(mail_group.c.digest_id == digest_id))
    return gone == PAGE


def scored_until(tx: Connection, before: datetime, after: int = 0) -> list[int]:
    """The next digests, `after` one, that were made before then and of which single scores are
    kept.
    """
    unpicked = select(digest_paper.c.paper_id).where(_unpicked(digest.c.id))
    raw = select(call.c.id).where(_READ, _of_day(digest.c.rubric, digest.c.date))
    old = select(digest.c.id).where(
        digest.c.id > after,
        digest.c.at < before,
        digest.c.since == digest.c.date,
        or_(unpicked.exists(), raw.exists()),
    )
    return list(tx.scalars(old.order_by(digest.c.id).limit(DIGESTS)))


def delete_scores_page(tx: Connection, digest_id: int) -> bool:
    """Drop a page of what a digest did not pick, and in the end the raw answers; whether more may
    be left.
    """
    rubric, day = tx.execute(
        select(digest.c.rubric, digest.c.date).where(digest.c.id == digest_id)
    ).one()
    page = list(
        tx.scalars(select(digest_paper.c.paper_id).where(_unpicked(digest_id)).limit(PAPERS))
    )
    asked = select(call.c.fingerprint, call.c.scorer).where(_of_day(rubric, day)).distinct()
    for fingerprint, scorer in tx.execute(asked).all():
        mine = (score.c.fingerprint == fingerprint) & (score.c.scorer == scorer)
        tx.execute(delete(score).where(mine, score.c.paper_id.in_(page)))
    covered = (digest_paper.c.rubric == rubric) & digest_paper.c.paper_id.in_(page)
    tx.execute(delete(digest_paper).where(covered))
    if len(page) < PAPERS:
        tx.execute(update(call).where(_READ, _of_day(rubric, day)).values(raw=None))
    return len(page) == PAPERS


_READ = call.c.raw.is_not(None) & (call.c.state != CallState.ANSWERED)
"""Answers that are not parsed again."""


def _unpicked(digest_id: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a number or a column
    return and_(digest_paper.c.digest_id == digest_id, ~digest_paper.c.picked)


def _of_day(rubric: Any, day: Any) -> ColumnElement[bool]:  # noqa: ANN401 - values or columns
    return and_(call.c.rubric == rubric, call.c.date == day)
