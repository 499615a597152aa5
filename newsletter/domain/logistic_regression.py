"""Logistic regression with an L2 penalty, by Newton's method with conjugate gradients (pure).

The same minimum as scikit-learn's `LogisticRegression(class_weight="balanced")` with the solver
liblinear, which penalizes the intercept too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from newsletter.domain.tfidf import Floats, SparseMatrix

TOLERANCE = 1e-9
"""Norm of the gradient at the end. The Hessian is at least the identity matrix, so the distance to
the minimum is at most this."""
MAX_STEPS = 100
MAX_CONJUGATE_STEPS = 500
SUFFICIENT_DECREASE = 1e-4
ROUNDING = 1e-12
"""Relative error of the loss, which is a sum over all examples."""


@dataclass(frozen=True, slots=True)
class Coefficients:
    """One for each column; the last is the intercept."""

    values: Floats

    def log_odds(self, features: SparseMatrix) -> Floats:
        return features.dot(self.values[:-1]) + float(self.values[-1])

    def probabilities(self, features: SparseMatrix) -> Floats:
        return _sigmoid(self.log_odds(features))


def fit(features: SparseMatrix, labels: Sequence[bool], strength: float) -> Coefficients:
    """Coefficients for examples of both labels, which together weigh the same.

    `strength` is that of the examples against the penalty (scikit-learn's C).
    """
    problem = _problem(features, np.array(labels, dtype=bool), strength)
    point = problem.point(np.zeros(features.width + 1), np.zeros(features.height))
    for _ in range(MAX_STEPS):
        if _norm(point.gradient) <= TOLERANCE:
            break
        step, margins = _newton_step(problem, point)
        point = _line_search(problem, point, step, margins)
    return Coefficients(point.coefficients)


class _Point(NamedTuple):
    """Coefficients, the scores of the examples under them, and the loss there."""

    coefficients: Floats
    scores: Floats
    loss: float
    gradient: Floats
    curvature: Floats


class _Problem(NamedTuple):
    features: SparseMatrix
    transposed: SparseMatrix
    signs: Floats
    weights: Floats

    def scores(self, coefficients: Floats) -> Floats:
        return self.features.dot(coefficients[:-1]) + float(coefficients[-1])

    def backwards(self, examples: Floats) -> Floats:
        """Sum of the examples' features, each times its value."""
        return np.append(self.transposed.dot(examples), examples.sum())

    def point(self, coefficients: Floats, scores: Floats) -> _Point:
        signed = self.signs * scores
        wrong = _sigmoid(-signed)
        losses = self.weights * np.logaddexp(0.0, -signed)
        return _Point(
            coefficients,
            scores,
            _inner(coefficients, coefficients) / 2 + float(losses.sum()),
            coefficients - self.backwards(self.weights * self.signs * wrong),
            self.weights * wrong * (1.0 - wrong),
        )


def _problem(features: SparseMatrix, labels: NDArray[np.bool_], strength: float) -> _Problem:
    positive = int(labels.sum())
    balanced = np.where(labels, len(labels) / 2 / positive, len(labels) / 2 / (~labels).sum())
    signs = np.where(labels, 1.0, -1.0)
    return _Problem(features, features.transposed(), signs, strength * balanced)


def _newton_step(problem: _Problem, point: _Point) -> tuple[Floats, Floats]:
    """The step to the minimum of the quadratic model, and the change of the scores by it.

    Preconditioned by the diagonal of the Hessian; as exact as the gradient is small.
    """
    across = problem.transposed
    squares = across.row_sums(across.values**2 * point.curvature[across.columns])
    diagonal = 1.0 + np.append(squares, point.curvature.sum())
    step, change = np.zeros_like(point.gradient), np.zeros_like(point.scores)
    residual = -point.gradient
    scaled = residual / diagonal
    direction, size = scaled, _inner(residual, scaled)
    enough = size * min(0.3, _norm(point.gradient) / 10) ** 2
    for _ in range(MAX_CONJUGATE_STEPS):
        along = problem.scores(direction)
        product = direction + problem.backwards(point.curvature * along)
        length = size / _inner(direction, product)
        step, change = step + length * direction, change + length * along
        residual = residual - length * product
        scaled = residual / diagonal
        before, size = size, _inner(residual, scaled)
        if size <= enough:
            break
        direction = scaled + size / before * direction
    return step, change


def _line_search(problem: _Problem, point: _Point, step: Floats, change: Floats) -> _Point:
    """Halve the step until the loss decreases enough."""
    slope = _inner(point.gradient, step)
    length = 1.0
    while True:
        there = problem.point(point.coefficients + length * step, point.scores + length * change)
        allowed = SUFFICIENT_DECREASE * length * slope + ROUNDING * point.loss
        if there.loss <= point.loss + allowed:
            return there
        length /= 2


def _sigmoid(scores: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -scores))


def _inner(one: Floats, other: Floats) -> float:
    """The inner product. `one @ other` would wake BLAS threads, which cost more than the sum."""
    return float((one * other).sum())


def _norm(vector: Floats) -> float:
    return math.sqrt(_inner(vector, vector))
