"""The reading order of a real day, compared with scikit-learn's; all days: `make bench-prior`."""

from __future__ import annotations

import pytest

from bench.harness import corpus
from bench.scenarios import triage

pytestmark = pytest.mark.skipif(not corpus.CORPUS.is_dir(), reason="needs the corpus")


def test_recall_and_likelihoods_equal_those_of_scikit_learn() -> None:
    given = triage.lesson("2026-04-09", ["2025-07-02", "2025-10-31", "2026-02-16"])
    own, peer = triage.learned(given), triage.learned_by_scikit_learn(given)
    # scikit-learn's solver stops a little before the minimum.
    assert own == pytest.approx(peer, abs=1e-4)
    assert triage.recalls(given, own) == pytest.approx(
        triage.recalls(given, peer), abs=triage.TOLERANCE
    )
