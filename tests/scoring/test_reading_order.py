"""The reading order of a real day, compared with scikit-learn's; all days: `make bench-triage`."""

from __future__ import annotations

import pytest

from bench.harness import corpus
from bench.scenarios import triage

pytestmark = pytest.mark.skipif(not corpus.CORPUS.is_dir(), reason="needs the corpus")


def test_recall_and_log_odds_equal_those_of_scikit_learn() -> None:
    given = triage.lesson("2026-04-09", ["2025-07-02", "2025-10-31", "2026-02-16"])
    own, peer = triage.regression(given), triage.by_scikit_learn(given)
    # scikit-learn's solver stops a little before the minimum.
    assert own == pytest.approx(peer, abs=1e-3)
    assert triage.recalls(given, own) == pytest.approx(
        triage.recalls(given, peer), abs=triage.TOLERANCE
    )


def test_the_similarity_helps_while_one_day_is_scored() -> None:
    given = triage.lesson("2025-10-31", ["2025-09-25"])
    orders = (triage.by_similarity, triage.regression, triage.mixed)
    similar, learned, mixed = (triage.recalls(given, order(given))[0] for order in orders)
    assert similar < learned < mixed


def test_scores_under_another_text_of_the_rubric_teach_its_order() -> None:
    given = next(one for one in triage.edited() if one.rubric == corpus.rubric("2025-09-25"))
    assert given.rubric not in map(corpus.rubric, ("2025-07-02", "2025-09-23", "2026-04-09"))
    anew, learned = (
        triage.recalls(given, order(given))[0] for order in (triage.one_cosine, triage.mixed)
    )
    assert learned > anew + 0.15
