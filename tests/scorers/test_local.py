from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.domain.model import Outcome
from newsletter.scorers.local import LocalScorer
from tests.fakes.scoring import limits, paper, papers, scored

if TYPE_CHECKING:
    from newsletter.store import Store


def test_it_ranks_and_judges_nothing(store: Store) -> None:
    result = scored(store, LocalScorer(), papers(30), limits(0))
    assert set(result.outcomes.values()) == {Outcome.SCORED}
    one = result.scores[paper(1).id]
    assert (one.relevance, one.novelty, one.comment, one.model) == (None, None, "", "local")
    assert one.similarity is not None
    assert 0 < one.similarity <= 1
    assert result.usage == ()


def test_the_same_day_ranks_the_same(store: Store) -> None:
    assert scored(store, LocalScorer(), papers(30)) == scored(store, LocalScorer(), papers(30))


def test_more_than_ninety_nine_papers_keep_their_own_scores(store: Store) -> None:
    day = papers(120)
    whole = scored(store, LocalScorer(), day)
    assert len(whole.scores) == 120
    assert all(whole.scores[p.id].paper_id == p.id for p in day)
