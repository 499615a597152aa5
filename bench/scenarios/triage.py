"""How much of a day's picks lies in the first part of the day's order: `make bench-prior`.

Leave one day out: each day of the corpus is ordered by what the other days teach. Beside it stands
the order by the rubric's words alone. Recall is the share of the picks among the first so many
per cent of the day's papers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.harness import corpus
from newsletter.domain.similarity import similarities
from newsletter.scoring.triage import likelihoods

if TYPE_CHECKING:
    from newsletter.domain.model import Paper

SHARES = (0.20, 0.35, 0.40, 0.50)
TARGET_SHARE, TARGET = 0.40, 0.94


def recall(papers: list[Paper], values: list[float], picked: set[str], share: float) -> float:
    ranked = sorted(zip(values, papers, strict=True), key=lambda pair: (-pair[0], pair[1].id))
    first = {paper.id for _, paper in ranked[: round(share * len(papers))]}
    return len(first & picked) / len(picked)


def show(name: str, rows: list[list[float]]) -> list[float]:
    means = [sum(column) / len(column) for column in zip(*rows, strict=True)]
    worst = [min(column) for column in zip(*rows, strict=True)]
    cells = "  ".join(
        f"@{share:.0%} {mean:.3f} (worst day {low:.2f})"
        for share, mean, low in zip(SHARES, means, worst, strict=True)
    )
    print(f"{name:<34} {cells}")
    return means


def main() -> int:
    corpus.require()
    days = {day: corpus.papers(day) for day in corpus.DAYS}
    picked = {day: set(corpus.labels(day)) for day in corpus.DAYS}
    by_words, learned, spent = [], [], []
    for day, papers in days.items():
        past = [paper for other, there in days.items() if other != day for paper in there]
        wanted = {k for other in corpus.DAYS if other != day for k in picked[other]}
        began = time.process_time()
        learnt = likelihoods(corpus.rubric(day), papers, past, wanted)
        spent.append(time.process_time() - began)
        plain = similarities(corpus.rubric(day), papers)
        by_words.append([recall(papers, plain, picked[day], share) for share in SHARES])
        learned.append([recall(papers, learnt, picked[day], share) for share in SHARES])
    total = sum(len(papers) for papers in days.values())
    print(f"{len(days)} days, {total} papers, {sum(map(len, picked.values()))} picked")
    show("TF-IDF cosine with the rubric", by_words)
    means = show("logistic regression on other days", learned)
    print(f"learning and ordering a day: {max(spent):.1f} s of processor time at most")
    reached = means[SHARES.index(TARGET_SHARE)]
    print(f"@{TARGET_SHARE:.0%}: {reached:.3f}, wanted {TARGET}")
    return 0 if reached >= TARGET else 1
