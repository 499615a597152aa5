"""What readers' votes do to the order of the mail, on the corpus of real days.

A simulated reader wants one or two of twelve subjects: a paper has a subject if its title and
abstract name it twice. On four weeks of other days the reader votes about papers of the mail, as
far as there are any one half "more like this" and one half "less like this". Then the mail of the
day is ordered. The gain of a paper in nDCG@10 is relevance + novelty - 13 if the reader wants its
subject, else 0. The reader's wish decides nothing but the votes and the gains.

Rows: no votes; 3, 5, 10 and 20 votes a week; the same numbers of votes drawn by lot, with the gate
(mean of eight draws) and without; up to 3 and 10 votes a week for more and none for less, where the
other papers of the mails count as not wanted; the same drawn by lot; five readers who want
different subjects, pooled (the newest 20 votes of each).
Without a key: the reader wants what the reference picked, and votes about all ten papers of each of
seven mails.
"""

from __future__ import annotations

import math
import random
import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from bench.harness import corpus
from bench.harness.report import arguments, show
from newsletter.domain.digest import LOCAL_PICKS
from newsletter.domain.learned_order import (
    POINTS,
    LearnedOrder,
    learn,
    moved_forward,
    ranks,
)
from newsletter.domain.similarity import count_words, similarities
from newsletter.domain.tfidf import WordCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from newsletter.domain.model import Paper

SUBJECTS = {
    "language models": r"language model|\bllm",
    "efficiency": r"quantiz|prun|spars|low.rank|compress|kv cache|speedup|memory",
    "theory": r"theorem|prove|\bbound|convergence|guarantee|minimax",
    "generation": r"diffusion|flow matching|score.based|generative model|\bgan",
    "reinforcement": r"reinforcement|policy|reward|\brl\b|agent",
    "vision": r"image|vision|visual|video",
    "graphs": r"graph|gnn|node",
    "interpretability": r"interpretab|mechanistic|probing|sparse autoencoder|circuit|explain",
    "attention": r"attention|transformer",
    "experts": r"mixture.of.experts|\bmoe|expert|routing",
    "optimization": r"optimizer|sgd|adam|gradient|curvature|hessian|loss landscape",
    "representations": r"contrastive|self.supervised|representation learning|embedding",
}
NAMES = list(SUBJECTS)
TASTES = [*((name,) for name in NAMES), *((NAMES[n], NAMES[(n + 5) % 12]) for n in range(12))]
WEEKS = 4
WEEKLY_VOTES = (3, 5, 10, 20)
POOLED = 20
DISCOUNTS = [1 / math.log2(place + 2) for place in range(10)]
WANTED = {"no votes": 0.39, "3 a week": 0.49, "5 a week": 0.57, "10 a week": 0.63}
WANTED |= {"20 a week": 0.74}
LIKES = (3, 10)
DRAWS = 8
TOLERANCE = 0.03
NOISE_COST = 0.02


class Mail(NamedTuple):
    """A day of the corpus: all papers, and the points of those that the reference picked."""

    papers: list[Paper]
    points: dict[str, float]


@cache
def mail(day: str) -> Mail:
    papers = corpus.papers(day)
    labels = corpus.labels(day)
    points = {
        one.id: labels[one.id]["relevance"] * 1.01 + labels[one.id]["novelty"]
        for one in papers
        if one.id in labels
    }
    return Mail(papers, points)


@cache
def words() -> WordCounts:
    counts = WordCounts()
    for day in corpus.DAYS:
        count_words(counts, mail(day).papers)
    return counts


@cache
def wants(taste: tuple[str, ...], paper: Paper) -> bool:
    text = f"{paper.title} {paper.abstract}".lower()
    return any(len(re.findall(SUBJECTS[name], text)) > 1 for name in taste)


def voted(taste: tuple[str, ...], day: str, weekly: int, lot: random.Random) -> list[Paper]:
    """The papers that a reader votes about, the oldest first."""
    chosen: list[Paper] = []
    for seen in weeks(day, lot):
        liked = [paper for paper in seen if wants(taste, paper)]
        rest = [paper for paper in seen if not wants(taste, paper)]
        more = min(len(liked), max((weekly + 1) // 2, weekly - len(rest)))
        mine = liked[:more] + rest[: weekly - more]
        lot.shuffle(mine)
        chosen += mine
    return chosen


def weeks(day: str, lot: random.Random) -> Iterator[list[Paper]]:
    """The papers of four weeks of mails, the oldest week first: the picks of the other days."""
    others = [one for one in corpus.DAYS if one != day]
    lot.shuffle(others)
    pool = [paper for one in others for paper in picks(one)]
    for week in range(WEEKS):
        seen = pool[week * len(pool) // WEEKS : (week + 1) * len(pool) // WEEKS]
        lot.shuffle(seen)
        yield seen


def liked_alone(
    taste: tuple[str, ...], day: str, weekly: int, lot: random.Random, *, noise: bool
) -> tuple[list[Paper], list[Paper]]:
    """What a reader votes for who never votes for less, and the other papers of those mails."""
    chosen: list[Paper] = []
    others: list[Paper] = []
    for seen in weeks(day, lot):
        liked = [paper for paper in seen if wants(taste, paper)][:weekly]
        mine = lot.sample(seen, len(liked)) if noise else liked
        chosen += mine
        others += [paper for paper in seen if paper not in mine]
    return chosen, others


def picks(day: str) -> list[Paper]:
    return [paper for paper in mail(day).papers if paper.id in mail(day).points]


def ndcg(taste: tuple[str, ...], day: str, learned: LearnedOrder) -> float | None:
    """nDCG@10 of the mail's order; None if the reader wants none of its papers."""
    points, shown = mail(day).points, picks(day)
    liked = learned.ranks(paper.id for paper in shown)
    key = {one.id: points[one.id] + POINTS * learned.weight * liked[one.id] for one in shown}
    shown.sort(key=lambda one: (-key[one.id], one.id))
    gains = [wants(taste, one) * (int(points[one.id]) - 13) for one in shown]
    best = _discounted(sorted(gains, reverse=True))
    return _discounted(gains) / best if best else None


def _discounted(gains: Iterable[float]) -> float:
    return sum(gain * discount for gain, discount in zip(gains, DISCOUNTS, strict=False))


def row(weekly: int, *, noise: bool = False, gate: bool = True, draw: str = "") -> float:
    """Mean over tastes and days. With `noise` each vote is drawn by lot."""
    results = []
    for taste in TASTES:
        for day in corpus.DAYS:
            lot = random.Random(f"{taste} {day} {weekly}{draw}")  # noqa: S311 - a simulation
            votes = [
                (paper, lot.random() < 0.5 if noise else wants(taste, paper))  # noqa: PLR2004
                for paper in (voted(taste, day, weekly, lot) if weekly else [])
            ]
            papers = mail(day).papers
            learned = learn(votes, papers, words(), trust=None if gate else 1.0)
            results.append(ndcg(taste, day, learned))
    return mean(results)


def by_lot(weekly: int) -> float:
    return mean([row(weekly, noise=True, draw=f" {one or ''}".rstrip()) for one in range(DRAWS)])


def likes_row(weekly: int, *, noise: bool = False, draw: int = 0) -> float:
    """As `row`, of readers who vote for more alone."""
    results = []
    for taste in TASTES:
        for day in corpus.DAYS:
            lot = random.Random(f"{taste} {day} {weekly} {draw}")  # noqa: S311 - a simulation
            liked, others = liked_alone(taste, day, weekly, lot, noise=noise)
            votes = [(paper, True) for paper in liked]
            learned = learn(votes, mail(day).papers, words(), unvoted=others)
            results.append(ndcg(taste, day, learned))
    return mean(results)


def pooled(weekly: int) -> tuple[float, float]:
    """Five readers with different wishes share an order: without votes, and with."""
    without, with_votes = [], []
    for start in range(12):
        readers = [(NAMES[(start + step * 2) % 12],) for step in range(5)]
        for day in corpus.DAYS:
            votes = []
            for taste in readers:
                lot = random.Random(f"{taste} {day} {weekly}")  # noqa: S311 - a simulation
                papers = voted(taste, day, weekly, lot)[-POOLED:]
                votes += [(paper, wants(taste, paper)) for paper in papers]
            learned = learn(votes, mail(day).papers, words())
            without += [ndcg(taste, day, LearnedOrder()) for taste in readers]
            with_votes += [ndcg(taste, day, learned) for taste in readers]
    return mean(without), mean(with_votes)


def mean(results: Sequence[float | None]) -> float:
    found = [one for one in results if one is not None]
    return sum(found) / len(found)


def keyless() -> dict[str, float]:
    """Without a model: the first fifth of the reading order, and the ten of each mail."""
    found: dict[str, list[float]] = {}
    for day in corpus.DAYS:
        lot = random.Random(day)  # noqa: S311 - a simulation
        others = [one for one in corpus.DAYS if one != day]
        lot.shuffle(others)
        votes: list[tuple[Paper, bool]] = []
        for other in others:
            ten = ordered(other, learn(votes, mail(other).papers, words()))[:LOCAL_PICKS]
            votes += [(paper, paper.id in mail(other).points) for paper in ten]
        for name, learned in (
            ("no votes", LearnedOrder()),
            (f"{len(votes)} votes", learn(votes, mail(day).papers, words())),
        ):
            papers = ordered(day, LearnedOrder())
            first = moved_forward(papers, learned)[: round(len(papers) / 5)]
            ten = ordered(day, learned)[:LOCAL_PICKS]
            found.setdefault(f"R@20 %, {name}", []).append(hits(first, day) / len(picks(day)))
            found.setdefault(f"of the ten, {name}", []).append(hits(ten, day) / LOCAL_PICKS)
    return {name: mean(values) for name, values in found.items()}


def hits(papers: Iterable[Paper], day: str) -> int:
    return sum(paper.id in mail(day).points for paper in papers)


def ordered(day: str, learned: LearnedOrder) -> list[Paper]:
    """The papers of a day as a digest without a model orders them."""
    papers = mail(day).papers
    like = similarities(corpus.rubric(day), papers, words())
    rank = ranks({paper.id: value for paper, value in zip(papers, like, strict=True)})
    liked = learned.ranks(rank)
    key = {name: value + learned.weight * liked[name] for name, value in rank.items()}
    return sorted(papers, key=lambda paper: (-key[paper.id], paper.id))


def main() -> int:
    options = arguments(__doc__, as_json=True).parse_args()
    corpus.require()
    order = {"no votes": row(0)} | {f"{n} a week": row(n) for n in WEEKLY_VOTES}
    noise = {f"{n} a week": by_lot(n) for n in WEEKLY_VOTES}
    ungated = {f"{n} a week": row(n, noise=True, gate=False) for n in WEEKLY_VOTES}
    likes = {f"up to {n} a week": likes_row(n) for n in LIKES}
    likes_noise = {
        f"up to {n} a week": mean([likes_row(n, noise=True, draw=one) for one in range(DRAWS)])
        for n in LIKES
    }
    apart = dict(zip(("no votes", "10 a week"), pooled(10), strict=True))
    without = order["no votes"]
    lost, ungated_lost, likes_lost = (
        {name: 1 - value / without for name, value in found.items()}
        for found in (noise, ungated, likes_noise)
    )
    figures = {
        "nDCG@10": order,
        "expected": WANTED,
        "votes by lot": noise,
        "lost": lost,
        "lost without the gate": ungated_lost,
        "for more alone": likes,
        "for more alone, by lot": likes_noise,
        "lost, for more alone": likes_lost,
        "five opposed readers": apart,
        "without a key": keyless(),
    }
    rounded = {
        title: {name: round(value, 3) for name, value in found.items()}
        for title, found in figures.items()
    }
    show(rounded, as_json=options.json)
    near = all(abs(order[name] - value) <= TOLERANCE for name, value in WANTED.items())
    cheap = max(*lost.values(), *likes_lost.values()) <= NOISE_COST
    return 0 if near and cheap and apart["10 a week"] >= apart["no votes"] else 1
