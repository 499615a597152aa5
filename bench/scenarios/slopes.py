"""What one more paper, rubric and reader costs, measured; and what a large service costs by that.

Mornings of several sizes are run; each quantity is fitted by least squares to

    a + b papers + c rubrics + d rubrics x papers      for what scoring costs
    a + b rubrics + c readers                          for what mailing costs

and the fits are extended to 500 rubrics / 20,000 readers and 10,000 / 1,000,000. What is extended
is arithmetic: it says nothing of limits that are met only there.

    python -m bench slopes [--latency 0.0] [--database URL --on postgresql]
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from bench.harness.report import arguments
from bench.scenarios.daily_run import SETUPS, measure

SIZES = (
    # papers, rubrics, readers
    *((64, 4, 200), (128, 4, 200), (256, 4, 200)),
    *((64, 8, 200), (64, 16, 200), (128, 8, 400), (128, 16, 800)),
    *((64, 4, 800), (64, 4, 1600), (64, 16, 1600)),
)
LARGE = ((1000, 20, 500), (1000, 500, 20_000), (1000, 10_000, 1_000_000))
SCORING = (
    *("scoring calls", "dollars", "tokens in, full price", "tokens in, cache written"),
    *("tokens in, from cache", "tokens out", "score and make, s of processor"),
    *("rows of call", "rows of score"),
)
MAILING = ("mail calls", "mail, s of processor", "rows of delivery")


def fit(rows: list[list[float]], values: list[float]) -> tuple[Any, float]:
    """The coefficients, and the share of the variance that they explain."""
    known = np.array(values)
    found, *_ = np.linalg.lstsq(np.array(rows), known, rcond=None)
    left = known - np.array(rows) @ found
    spread = ((known - known.mean()) ** 2).sum()
    return found, float(1 - (left**2).sum() / spread) if spread else 1.0


def scoring(papers: int, rubrics: int, _readers: int) -> list[float]:
    return [1, papers, rubrics, rubrics * papers]


def mailing(_papers: int, rubrics: int, readers: int) -> list[float]:
    return [1, rubrics, readers]


def show(title: str, names: tuple[str, ...], features: Any, found: list[dict[str, Any]]) -> None:  # noqa: ANN401 - one of the two above
    terms = ("a paper", "a rubric", "a rubric's paper")
    if features is mailing:
        terms = ("a rubric", "a reader")
    ahead = [f"{r:,} / {n:,}" for _, r, n in LARGE]
    print(f"\n| {title} |", " | ".join((*terms, "explained", *ahead)), "|")
    print("|---|" + "---:|" * (len(terms) + 1 + len(ahead)))
    rows = [features(*size) for size in SIZES]
    for name in names:
        slopes, explained = fit(rows, [float(one[name]) for one in found])
        far = [float(np.dot(slopes, features(*size))) for size in LARGE]
        cells = [*(f"{one:.4g}" for one in slopes[1:]), f"{explained:.3f}"]
        print(f"| {name} |", " | ".join((*cells, *(f"{one:,.4g}" for one in far))), "|")


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--on", default="sqlite", choices=SETUPS)
    parser.add_argument("--database", default=os.environ.get("NEWSLETTER_TEST_DATABASE_URL", ""))
    given = parser.parse_args()
    given.python, given.mail_latency, given.tokens_per_second = [sys.executable], None, None
    found, whole = [], True
    for papers, rubrics, readers in SIZES:
        given.papers = papers
        figures, all_mailed = measure(given.on, rubrics, readers, given)
        found.append(figures)
        whole &= all_mailed
    print(f"{len(SIZES)} daily runs on {given.on}, {LARGE[0][0]:,} papers where it is extended")
    show("scoring", SCORING, scoring, found)
    show("mailing", MAILING, mailing, found)
    return 0 if whole else 1
