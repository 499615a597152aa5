from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from newsletter.domain import logistic_regression
from newsletter.domain.tfidf import SparseMatrix

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# scikit-learn takes a second to load: each process of the suite would, only to collect this file.


def examples(
    height: int, width: int, seed: int, *, noise: float
) -> tuple[csr_matrix, SparseMatrix, np.ndarray]:
    """Sparse rows of length 1, as TF-IDF gives them; a fifth is positive."""
    from scipy.sparse import csr_matrix

    random = np.random.default_rng(seed)
    dense = np.where(random.random((height, width)) < 0.1, random.random((height, width)), 0.0)
    norms = np.linalg.norm(dense, axis=1)
    dense = dense / np.where(norms == 0, 1.0, norms)[:, None]
    scores = dense @ random.normal(size=width) + noise * random.normal(size=height)
    labels = scores > np.quantile(scores, 0.8)
    sparse = csr_matrix(dense)
    own = SparseMatrix(sparse.indptr.astype(np.intp), sparse.indices, sparse.data, width)
    return sparse, own, labels


def minimum(sparse: csr_matrix, labels: np.ndarray, strength: float) -> np.ndarray:
    """Probabilities by scikit-learn, with a penalty on the intercept and hardly any tolerance."""
    from scipy.sparse import hstack
    from sklearn.linear_model import LogisticRegression

    with_intercept = hstack([sparse, np.ones((sparse.shape[0], 1))]).tocsr()
    peer = LogisticRegression(
        C=strength,
        class_weight="balanced",
        solver="newton-cg",
        fit_intercept=False,
        tol=1e-12,
        max_iter=1000,
    )
    return peer.fit(with_intercept, labels).predict_proba(with_intercept)[:, 1]


@pytest.mark.parametrize("strength", [0.01, 3.0, 1000.0])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_probabilities_equal_those_of_scikit_learn(strength: float, noise: float) -> None:
    sparse, own, labels = examples(300, 60, 5, noise=noise)
    found = logistic_regression.fit(own, labels.tolist(), strength).probabilities(own)
    assert found == pytest.approx(minimum(sparse, labels, strength), abs=1e-9)


def test_probabilities_are_near_those_of_liblinear() -> None:
    from sklearn.linear_model import LogisticRegression

    sparse, own, labels = examples(300, 60, 7, noise=0.3)
    peer = LogisticRegression(C=3.0, class_weight="balanced", solver="liblinear")
    expected = peer.fit(sparse, labels).predict_proba(sparse)[:, 1]
    found = logistic_regression.fit(own, labels.tolist(), 3.0).probabilities(own)
    assert found == pytest.approx(expected, abs=1e-3)


def test_examples_without_features_are_told_apart_by_nothing() -> None:
    nothing = SparseMatrix(np.zeros(4, dtype=np.intp), np.zeros(0, dtype=np.intp), np.zeros(0), 0)
    found = logistic_regression.fit(nothing, [True, False, False], 3.0).probabilities(nothing)
    assert found == pytest.approx([0.5] * 3)
