"""Votes and reading lists of subscriptions.

A vote and a saved paper are one row each for a subscription and a paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, func, select

from newsletter.domain.mail import SubscriberState
from newsletter.domain.votes import GivenVote, SavedPaper, ScoredVote, Vote
from newsletter.store import digests
from newsletter.store.tables import (
    delivery,
    digest,
    digest_paper,
    paper,
    saved_paper,
    score,
    subscriber,
    subscription,
    vote,
)
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

POOLED = 20
"""Votes of one reader that count where a rubric has several readers: the newest."""
MAX_POOLED = 1000
"""Votes of one rubric that the order is learned from: the newest."""
MAX_UNVOTED = 200
"""Papers without a vote that the order is learned from: those of the newest digests."""
MAX_LISTED = 1000
READING = and_(
    subscription.c.state == SubscriberState.ACTIVE.value,
    subscriber.c.state.in_((SubscriberState.ACTIVE.value, SubscriberState.PAUSED.value)),
)
"""Condition: the votes of a subscription are accepted and counted."""
_SUBSCRIPTION = subscription.c.id == vote.c.subscription_id
_OF_VOTES = vote.join(subscription, _SUBSCRIPTION).join(
    subscriber, subscriber.c.id == subscription.c.subscriber_id
)
"""Votes with their subscriptions."""


def paper_of_pick(tx: Connection, delivery_id: str, number: int) -> str | None:
    """The id of the paper that stands under `number` (from 1) in the mail of a delivery."""
    query = select(delivery.c.digest_id).where(delivery.c.id == delivery_id)
    digest_id = tx.scalar(query)
    found = digests.by_id(tx, digest_id) if digest_id is not None else None
    if found is None or not 1 <= number <= len(found.picks):
        return None
    return found.picks[number - 1].paper.id


def own_rubric(tx: Connection, subscription_id: str) -> str | None:
    """The rubric of a subscription whose votes are accepted; None for a reader who left."""
    known = (
        select(subscription.c.rubric)
        .join_from(subscription, subscriber)
        .where(subscription.c.id == subscription_id, READING)
    )
    return tx.scalar(known)


def rubric_of(tx: Connection, subscription_id: str, paper_id: str) -> str | None:
    """The rubric in whose digests a subscription may vote about a paper; None if in none.

    The subscription's own rubric, or one of which it was mailed a digest before a move.
    """
    own = own_rubric(tx, subscription_id)
    if own is None:
        return None
    mailed = (
        select(digest.c.rubric)
        .join_from(delivery, digest, delivery.c.digest_id == digest.c.id)
        .join(subscription, subscription.c.subscriber_id == delivery.c.subscriber_id)
        .where(
            subscription.c.id == subscription_id,
            delivery.c.subscription_id == subscription_id,
        )
    )
    covers = digest_paper.c.paper_id == paper_id
    query = select(digest_paper.c.rubric).where(digest_paper.c.rubric == own, covers)
    if tx.scalar(query) is not None:
        return own
    query = select(digest_paper.c.rubric).where(digest_paper.c.rubric.in_(mailed), covers)
    return tx.scalars(query.order_by(digest_paper.c.rubric).limit(1)).first()


def cast(
    tx: Connection, subscription_id: str, paper_id: str, given: Vote, now: datetime
) -> str | None:
    """Store a vote, in place of an earlier one about the same paper; return its rubric.

    None, and nothing is stored, for a reader who left, and for a paper of none of their digests.
    """
    rubric = _locked_rubric(tx, subscription_id, paper_id)
    if rubric is None:
        return None
    row = {"rubric": rubric, "vote": given.value, "at": now}
    fresh = insert(tx, vote).values(subscription_id=subscription_id, paper_id=paper_id, **row)
    key = ["subscription_id", "paper_id"]
    tx.execute(fresh.on_conflict_do_update(index_elements=key, set_=row))
    return rubric


def save(tx: Connection, subscription_id: str, paper_id: str, now: datetime) -> str | None:
    """Put a paper on the reading list, and vote `more` unless there is a vote; as `cast`."""
    rubric = _locked_rubric(tx, subscription_id, paper_id)
    if rubric is None:
        return None
    row = {"subscription_id": subscription_id, "paper_id": paper_id, "rubric": rubric, "at": now}
    tx.execute(insert(tx, saved_paper).values(row).on_conflict_do_nothing())
    more = {**row, "vote": Vote.MORE.value}
    tx.execute(insert(tx, vote).values(more).on_conflict_do_nothing())
    return rubric


def _locked_rubric(tx: Connection, subscription_id: str, paper_id: str) -> str | None:
    """As `rubric_of`. On PostgreSQL no erasure of the reader runs until this transaction ends."""
    mine = select(subscription.c.id).where(subscription.c.id == subscription_id)
    tx.execute(mine.with_for_update())
    return rubric_of(tx, subscription_id, paper_id)


def undo(tx: Connection, subscription_id: str, paper_id: str) -> None:
    """Delete one vote."""
    mine = (vote.c.subscription_id == subscription_id) & (vote.c.paper_id == paper_id)
    tx.execute(delete(vote).where(mine))


def forget_all(tx: Connection, subscription_id: str) -> None:
    """Delete all votes of a subscription. Its reading list stays."""
    tx.execute(delete(vote).where(vote.c.subscription_id == subscription_id))


def unsave(tx: Connection, subscription_ids: Sequence[str], paper_id: str) -> None:
    """Take a paper off the reading list of a reader's subscriptions. Its vote stays."""
    of_list = saved_paper.c.subscription_id.in_(subscription_ids)
    tx.execute(delete(saved_paper).where(of_list, saved_paper.c.paper_id == paper_id))


def erase(tx: Connection, subscription_id: str) -> None:
    """Delete all votes and the reading list."""
    forget_all(tx, subscription_id)
    tx.execute(delete(saved_paper).where(saved_paper.c.subscription_id == subscription_id))


def of_paper(tx: Connection, subscription_id: str, paper_id: str) -> tuple[Vote | None, bool]:
    """The vote about a paper, and whether it is on the reading list."""
    mine = (vote.c.subscription_id == subscription_id) & (vote.c.paper_id == paper_id)
    given = tx.scalar(select(vote.c.vote).where(mine))
    of_list = saved_paper.c.subscription_id == subscription_id
    saved = select(saved_paper.c.at).where(of_list, saved_paper.c.paper_id == paper_id)
    return Vote(given) if given else None, tx.scalar(saved) is not None


def given_by(tx: Connection, subscription_ids: Sequence[str]) -> list[GivenVote]:
    """The votes of a reader's subscriptions, the newest first."""
    query = (
        select(
            vote.c.subscription_id,
            vote.c.paper_id,
            paper.c.title,
            vote.c.rubric,
            vote.c.vote,
            vote.c.at,
        )
        .join_from(vote, paper, paper.c.id == vote.c.paper_id)
        .where(vote.c.subscription_id.in_(subscription_ids))
        .order_by(vote.c.at.desc(), vote.c.paper_id, vote.c.subscription_id)
    )
    return [
        GivenVote(row.subscription_id, row.paper_id, row.title, row.rubric, Vote(row.vote), row.at)
        for row in tx.execute(query)
    ]


def count_of(tx: Connection, subscriber_id: str) -> int:
    """How many votes a subscriber gave, in all their subscriptions."""
    query = select(func.count()).select_from(vote.join(subscription, _SUBSCRIPTION))
    return int(tx.execute(query.where(subscription.c.subscriber_id == subscriber_id)).scalar_one())


def reading_list(tx: Connection, subscription_ids: Sequence[str]) -> list[SavedPaper]:
    """The saved papers of a reader's subscriptions, each once, the newest first."""
    first = func.min(saved_paper.c.at).label("at")
    query = (
        select(saved_paper.c.paper_id, first)
        .where(saved_paper.c.subscription_id.in_(subscription_ids))
        .group_by(saved_paper.c.paper_id)
        .order_by(first.desc(), saved_paper.c.paper_id)
        .limit(MAX_LISTED)
    )
    return [SavedPaper(*row) for row in tx.execute(query)]


def pooled(tx: Connection, rubric: str) -> list[tuple[str, Vote]]:
    """The votes that a rubric's order is learned from: paper and vote, the oldest first.

    Of a rubric with several readers who vote, the newest 20 of each. Those who left do not count.
    """
    # A reader who moved to another rubric reads this one no longer.
    of_rubric = and_(vote.c.rubric == rubric, subscription.c.rubric == rubric, READING)
    voters = select(func.count(vote.c.subscription_id.distinct())).select_from(_OF_VOTES)
    each = POOLED if tx.execute(voters.where(of_rubric)).scalar_one() > 1 else MAX_POOLED
    place = func.row_number().over(
        partition_by=vote.c.subscription_id, order_by=(vote.c.at.desc(), vote.c.paper_id)
    )
    columns = (vote.c.paper_id, vote.c.vote, vote.c.at, vote.c.subscription_id)
    ranked = select(*columns, place.label("place")).select_from(_OF_VOTES)
    newest = ranked.where(of_rubric).subquery()
    query = select(newest.c.paper_id, newest.c.vote).where(newest.c.place <= each)
    order = (newest.c.at.desc(), newest.c.paper_id, newest.c.subscription_id)
    rows = tx.execute(query.order_by(*order).limit(MAX_POOLED)).all()
    return [(row.paper_id, Vote(row.vote)) for row in reversed(rows)]


def unvoted(tx: Connection, rubric: str, voted: Collection[str]) -> list[str]:
    """The other picks of a rubric's digests that showed these papers, the newest digest first."""
    shown = select(digest_paper.c.digest_id).where(
        digest_paper.c.rubric == rubric, digest_paper.c.paper_id.in_(voted)
    )
    query = (
        select(digest_paper.c.paper_id)
        .where(
            digest_paper.c.digest_id.in_(shown),
            digest_paper.c.picked,
            digest_paper.c.paper_id.not_in(voted),
        )
        .order_by(digest_paper.c.digest_id.desc(), digest_paper.c.paper_id)
    )
    return list(tx.scalars(query.limit(MAX_UNVOTED)))


def voted_on(tx: Connection, rubrics: Collection[str]) -> list[str]:
    """Those of the rubrics that have votes."""
    query = select(vote.c.rubric).where(vote.c.rubric.in_(rubrics)).distinct()
    return sorted(tx.scalars(query))


def scored(tx: Connection, rubric: str, fingerprint: str) -> list[ScoredVote]:
    """The votes about a rubric's papers, with the criterion of the last reading of each."""
    last = (
        select(score.c.criterion)
        .where(score.c.paper_id == vote.c.paper_id, score.c.fingerprint == fingerprint)
        .order_by(score.c.reading.desc(), score.c.scorer)
        .limit(1)
        .scalar_subquery()
    )
    query = select(vote.c.vote, func.coalesce(last, 0)).where(vote.c.rubric == rubric)
    newest = query.order_by(vote.c.at.desc(), vote.c.subscription_id, vote.c.paper_id)
    return [ScoredVote(Vote(row[0]), row[1]) for row in tx.execute(newest.limit(MAX_POOLED))]
