"""Scores of papers under a rubric. Written once, never overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from newsletter.domain.model import Outcome, Score
from newsletter.domain.paging import paged
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.store import reader_rubrics
from newsletter.store.tables import call as calls
from newsletter.store.tables import paper as papers
from newsletter.store.tables import score as scores
from newsletter.store.upsert import insert_new

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from newsletter.store.ledger import Account


_KNOWN = select(scores).where(
    scores.c.fingerprint == bindparam("fingerprint"),
    scores.c.scorer == bindparam("scorer"),
    scores.c.paper_id.in_(bindparam("ids", expanding=True)),
)

KnownScores = dict[int, dict[str, Score | Outcome]]
"""By reading (1, 2), by paper id: its score, or why there will be none."""


def keep(
    tx: Connection, account: Account, reading: int, found: Iterable[Score], call_id: str | None
) -> None:
    """Store scores. The first score of a paper is never replaced."""
    rows = [
        {
            **_key(account, reading, score.paper_id),
            "outcome": Outcome.SCORED,
            "model": score.model,
            "relevance": score.relevance,
            "novelty": score.novelty,
            "fine": score.fine,
            "criterion": score.criterion,
            "comment": score.comment,
            "similarity": score.similarity,
            "call_id": call_id,
        }
        for score in found
    ]
    insert_new(tx, scores, rows)


def keep_outcome(
    tx: Connection, account: Account, reading: int, paper_id: str, outcome: Outcome, model: str
) -> None:
    """Store why a paper gets no score, so that it is not asked about again."""
    key = _key(account, reading, paper_id)
    insert_new(tx, scores, [{**key, "outcome": outcome, "model": model}])


def known(tx: Connection, account: Account, ids: Sequence[str]) -> KnownScores:
    found: KnownScores = {1: {}, 2: {}}
    mine = {"fingerprint": account.fingerprint, "scorer": account.scorer}
    for page in paged(ids):
        for row in tx.execute(_KNOWN, {**mine, "ids": page}):
            judged = row.outcome == Outcome.SCORED
            found[row.reading][row.paper_id] = (
                Score(
                    paper_id=row.paper_id,
                    model=row.model,
                    relevance=row.relevance,
                    novelty=row.novelty,
                    fine=row.fine,
                    criterion=row.criterion,
                    comment=row.comment,
                    similarity=row.similarity,
                )
                if judged
                else Outcome(row.outcome)
            )
    return found


def training_papers(
    tx: Connection, account: Account, relevance: int, novelty: int, most: int
) -> dict[str, bool]:
    """Papers scored for this rubric before, oldest first: whether each reached the cut-offs.

    Also under earlier texts of the rubric and by other models. Of several scores of a paper that of
    the account's text and scorer counts.
    """
    own = (scores.c.fingerprint == account.fingerprint) & (scores.c.scorer == account.scorer)
    rows = tx.execute(
        select(papers.c.id, scores.c.relevance, scores.c.novelty, own.label("own"))
        .join(scores, scores.c.paper_id == papers.c.id)
        .where(
            scores.c.fingerprint.in_(_fingerprints(tx, account)),
            scores.c.reading == 1,
            scores.c.relevance.is_not(None),
        )
        .order_by(
            *(papers.c.published.desc(), papers.c.id, own.desc()),
            *(scores.c.fingerprint, scores.c.scorer),
        )
        .limit(most)
    ).all()
    met = [row.relevance >= relevance and (row.novelty or 0) >= novelty for row in rows]
    # Of long ago only picks are kept (`retention.py`): they would bias it towards old ones.
    last = max((place for place, hit in enumerate(met) if not hit), default=len(rows))
    first: dict[str, bool] = {}
    for row, hit in list(zip(rows, met, strict=True))[: last + 1]:
        first.setdefault(row.id, hit)
    return dict(reversed(first.items()))


def _fingerprints(tx: Connection, account: Account) -> list[str]:
    """The account's own, and those of the rubric's earlier calls.

    Of a reader rubric also those of its earlier texts: a copy of another rubric has no calls.
    """
    asked = select(calls.c.fingerprint).where(calls.c.rubric == account.rubric).distinct()
    found = {account.fingerprint, *tx.scalars(asked)}
    if is_reader_rubric(account.rubric):
        found |= reader_rubrics.fingerprints(tx, account.rubric)
    return sorted(found)


def _key(account: Account, reading: int, paper_id: str) -> dict[str, object]:
    return {
        "fingerprint": account.fingerprint,
        "scorer": account.scorer,
        "paper_id": paper_id,
        "reading": reading,
    }
