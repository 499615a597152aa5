"""Compose a digest from scores: picks, their order, near misses and the receipt (pure)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.authors import followed_author
from newsletter.domain.learned_order import POINTS, LearnedOrder, ranks
from newsletter.domain.model import Coverage, DayKind, Digest, NearMiss, Outcome, Pick
from newsletter.domain.reader_rubrics import is_reader_rubric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from newsletter.domain.model import Listing, Paper, Rubric, Score, Usage

NEAR_MISSES = 5
NEAR = 3
"""How far below the cut-offs, both scores added, a paper is still a near miss on a normal day."""
LOCAL_PICKS = 10
USUAL_SHARE = 0.1
"""Of the papers read, how many are picked where a rubric has no past: one in eleven on the corpus.
"""
USUAL_WEIGHT = 10
"""For how many papers of the past that assumption counts."""


def compose(
    rubric: Rubric,
    day: date,
    listings: Sequence[Listing],
    scores: Mapping[str, Score],
    outcomes: Mapping[str, Outcome],
    usage: Sequence[Usage],
    *,
    judged: bool,
    prompt: str,
    usual: float = USUAL_SHARE,
    also: Mapping[str, tuple[str, ...]] | None = None,
    learned: LearnedOrder | None = None,
) -> Digest:
    """The digest of one day. A paper without an outcome counts as failed.

    `usual` is the share of picks among the papers read that this rubric has on other days, `also`
    has the other ids of a paper. `learned` is the order learned from votes: it reorders the picks,
    and chooses them where no model scores. Duplicates are only counted, also those by followed
    authors.
    """
    coverage = _coverage(rubric, listings, outcomes)
    candidates = _candidates(rubric, listings, scores, outcomes, also or {})
    reordered = learned is not None and learned.weight > 0
    if learned and reordered and not judged:
        candidates = _keyed(candidates, learned, judged=False)
    met = [pick for pick in candidates if _meets(rubric, pick.score, judged=judged)]
    picks, beyond = _kept(rubric, candidates, met, judged=judged)
    if learned and reordered and judged:
        picks = tuple(sorted(_keyed(picks, learned, judged=True), key=_reading_order))
    kind = _kind(rubric, coverage, met, picks, usual)
    misses = _near_misses(rubric, candidates, met, kind) if judged else ()
    return Digest(
        rubric=rubric,
        date=day,
        kind=kind,
        picks=picks,
        near_misses=misses,
        coverage=coverage,
        usage=tuple(usage),
        judged=judged,
        prompt=prompt,
        beyond=beyond,
        votes=learned.votes if learned and reordered else 0,
    )


def _candidates(
    rubric: Rubric,
    listings: Sequence[Listing],
    scores: Mapping[str, Score],
    outcomes: Mapping[str, Outcome],
    also: Mapping[str, tuple[str, ...]],
) -> list[Pick]:
    """The papers of the day without duplicates; those that were read with their scores."""
    found = []
    for listing in listings:
        key = listing.paper.id
        outcome = outcomes.get(key)
        score = scores.get(key) if outcome == Outcome.SCORED else None
        if outcome != Outcome.DUPLICATE:
            found.append(_pick(rubric, listing, score, also.get(key, ())))
    return found


def _keyed(picks: Iterable[Pick], learned: LearnedOrder, *, judged: bool) -> list[Pick]:
    """The picks with their order keys; unread papers have none.

    In a local ranking the rank by similarity takes the place of the scores.
    """
    given = list(picks)
    likes = learned.ranks(pick.paper.id for pick in given if pick.score)
    similarity = ranks({p.paper.id: p.score.similarity or 0.0 for p in given if p.score})
    unit = POINTS if judged else 1.0
    keys = {
        pick.paper.id: (_points(pick.score) if judged else similarity[pick.paper.id])
        + unit * learned.weight * likes[pick.paper.id]
        for pick in given
        if pick.score
    }
    return [
        replace(pick, order_key=round(keys[pick.paper.id], 6)) if pick.score else pick
        for pick in given
    ]


def merge_digests(parts: Sequence[Digest]) -> Digest:
    """Several digests of one rubric, the oldest first, as one: their best picks, by order key.

    Each paper is in one of them only, so their receipts add up. What is over the newest rubric's
    `max_papers` is counted, as on a single day. What was withdrawn meanwhile is no pick any more.
    """
    last, first_date = parts[-1], parts[0].first_date
    withdrawn = {one.paper_id: one for part in parts for one in part.withdrawn}
    picks_of_all = (pick for part in parts for pick in part.picks)
    every = sorted((pick for pick in picks_of_all if pick.paper.id not in withdrawn), key=_order)
    limit = last.rubric.max_papers
    picks = tuple(sorted(_best(every, limit), key=_reading_order))
    return replace(
        last,
        since=first_date,
        kind=DayKind.NORMAL if picks else DayKind.NOTHING_MET,
        picks=picks,
        near_misses=_nearest(parts),
        coverage=_added(parts),
        usage=_paid(parts),
        judged=any(part.judged for part in parts),
        beyond=sum(part.beyond for part in parts) + len(every) - len(picks),
        withdrawn=tuple(one for one in withdrawn.values() if one.sent < first_date),
        votes=max(part.votes for part in parts),
        news=tuple(one for part in parts for one in part.news if one.paper_id not in withdrawn),
    )


def _best(ordered: list[Pick], limit: int | None) -> tuple[Pick, ...]:
    """The picks within the limit; followed authors go before all others."""
    if limit is None or len(ordered) <= limit:
        return tuple(ordered)
    room = limit - sum(bool(pick.followed) for pick in ordered)
    others = [pick for pick in ordered if not pick.followed][: max(0, room)]
    return tuple(sorted([pick for pick in ordered if pick.followed] + others, key=_order))


def _nearest(parts: Sequence[Digest]) -> tuple[NearMiss, ...]:
    rubric = parts[-1].rubric
    every = [miss for part in parts for miss in part.near_misses]
    every.sort(key=lambda m: (_gap(rubric, m.score), _order(Pick(m.paper, m.score))))
    return tuple(every[:NEAR_MISSES])


def _added(parts: Sequence[Digest]) -> Coverage:
    outcomes: Counter[Outcome] = Counter()
    categories: Counter[str] = Counter()
    for part in parts:
        outcomes.update(part.coverage.outcomes)
        categories.update(part.coverage.by_category)
    return Coverage(
        announced=sum(part.coverage.announced for part in parts),
        outcomes=dict(outcomes),
        by_category=dict(sorted(categories.items(), key=lambda pair: (-pair[1], pair[0]))),
        late=sum(part.coverage.late for part in parts),
        unread=tuple(sorted(paper for part in parts for paper in part.coverage.unread)),
        papers=tuple(sorted(paper for part in parts for paper in part.coverage.papers)),
    )


def _paid(parts: Sequence[Digest]) -> tuple[Usage, ...]:
    """One line for each model; its figures are the sums over the days."""
    spent: dict[str, Usage] = {}
    for usage in (usage for part in parts for usage in part.usage):
        known = spent.get(usage.model)
        spent[usage.model] = known + usage if known else usage
    return tuple(spent.values())


def _pick(
    rubric: Rubric, listing: Listing, score: Score | None, also: tuple[str, ...] = ()
) -> Pick:
    return Pick(listing.paper, score, followed_author(rubric, listing.paper), listing.late, also)


def _meets(rubric: Rubric, score: Score | None, *, judged: bool) -> bool:
    """Whether a paper meets the cut-offs; locally, whether it is similar to the rubric."""
    if score is None:
        return False
    if not judged:
        return (score.similarity or 0) > 0
    return rubric.is_met_by(score.relevance, score.novelty)


def closest(rubric: Rubric, scores: Mapping[str, Score]) -> set[str]:
    """The ids that a ranking on this machine picks, which has no cut-offs to meet."""
    like = [score for score in scores.values() if _meets(rubric, score, judged=False)]
    like.sort(key=lambda score: (-(score.similarity or 0), score.paper_id))
    return {score.paper_id for score in like[: rubric.max_papers or LOCAL_PICKS]}


def _kept(
    rubric: Rubric, candidates: list[Pick], met: list[Pick], *, judged: bool
) -> tuple[tuple[Pick, ...], int]:
    """The picks in reading order, and how many reached the cut-offs beyond the reader's limit.

    Followed authors take their places first; the rest of the limit goes to the best.
    """
    limit = rubric.max_papers if judged else rubric.max_papers or LOCAL_PICKS
    followed = [pick for pick in candidates if pick.followed]
    # Only without a model do the candidates have order keys here: votes choose among them.
    others = sorted((pick for pick in met if not pick.followed), key=_reading_order)
    kept = others if limit is None else others[: max(0, limit - len(followed))]
    # A ranking has no cut-offs, so no paper beyond the limit has reached them.
    beyond = len(others) - len(kept) if judged else 0
    return tuple(sorted(followed + kept, key=_reading_order)), beyond


def _order(pick: Pick) -> tuple[float, int, int, int, float, str]:
    """Relevance + novelty, then relevance, then fine rank, then id; unread papers last."""
    score = pick.score
    if score is None:
        return (1, 0, 0, 0, 0.0, pick.paper.id)
    similarity = score.similarity or 0.0
    return (0, -score.total, -(score.relevance or 0), -score.fine, -similarity, pick.paper.id)


def _reading_order(pick: Pick) -> tuple[object, ...]:
    """By order key, the highest first; then as `_order`. A pick without a key has its points."""
    key = _points(pick.score) if pick.order_key is None else pick.order_key
    return (pick.score is None, -key, *_order(pick))


def _points(score: Score | None) -> float:
    """Relevance + novelty, with less than one point for what orders papers of the same sum.

    Without a model 1, the rank of the most similar paper.
    """
    if score is None:
        return 0.0
    if score.relevance is None:
        return 1.0
    return score.total + (10 * score.relevance + score.fine) / 110


def usual_share(past: Iterable[tuple[int, int]]) -> float:
    """The share of picks among the papers read, from (picks, read) of a rubric's past days."""
    days = list(past)
    picks = sum(picks for picks, _ in days) + USUAL_SHARE * USUAL_WEIGHT
    return min(1.0, picks / (sum(read for _, read in days) + USUAL_WEIGHT))


def _kind(
    rubric: Rubric, coverage: Coverage, met: list[Pick], picks: tuple[Pick, ...], usual: float
) -> DayKind:
    """The kind of the day.

    Papers that the small budget of a reader rubric leaves unread are no failure.
    """
    if not coverage.announced:
        return DayKind.NOTHING_ANNOUNCED
    left_out = coverage.count(Outcome.EXCLUDED) + coverage.count(Outcome.DUPLICATE)
    wanted = coverage.announced - left_out
    lost = wanted - coverage.scanned - coverage.count(Outcome.REFUSED)
    if is_reader_rubric(rubric.slug):
        lost -= coverage.count(Outcome.UNSCORED_BUDGET)
    if wanted and not met and (not coverage.scanned or _could_hold_a_pick(lost, wanted, usual)):
        return DayKind.SCORING_FAILED
    return DayKind.NORMAL if picks else DayKind.NOTHING_MET


def _could_hold_a_pick(lost: int, wanted: int, usual: float) -> bool:
    """Whether nothing may have reached the cut-offs because papers were not read.

    This is so if they are as many as such a day usually has picks, or if so many papers usually
    hold a pick. Refused papers do not count: the model answered, and a rerun changes nothing.
    """
    return lost > 0 and (lost >= usual * wanted or lost * usual >= 1)


def _coverage(
    rubric: Rubric, listings: Sequence[Listing], outcomes: Mapping[str, Outcome]
) -> Coverage:
    found = {
        listing.paper.id: outcomes.get(listing.paper.id, Outcome.FAILED) for listing in listings
    }
    categories = Counter(_category(rubric, listing.paper) for listing in listings)
    return Coverage(
        announced=len(found),
        outcomes=dict(Counter(found.values())),
        by_category=dict(sorted(categories.items(), key=lambda pair: (-pair[1], pair[0]))),
        late=sum(listing.late for listing in listings),
        unread=tuple(sorted(k for k, outcome in found.items() if outcome != Outcome.SCORED)),
        papers=tuple(sorted(found)),
    )


def _category(rubric: Rubric, paper: Paper) -> str:
    """The one category a paper is counted under, so that the counts add up to the announced."""
    if paper.primary_category in rubric.categories:
        return paper.primary_category
    listed = (name for name in rubric.categories if name in paper.categories)
    return next(listed, paper.primary_category)


def _near_misses(
    rubric: Rubric, candidates: list[Pick], met: list[Pick], kind: DayKind
) -> tuple[NearMiss, ...]:
    kept = {pick.paper.id for pick in met}
    rest = [p for p in candidates if p.score and not p.followed and p.paper.id not in kept]
    rest.sort(key=lambda pick: (_gap(rubric, pick.score), _order(pick)))
    if kind == DayKind.NORMAL:
        rest = [pick for pick in rest if _gap(rubric, pick.score) <= NEAR]
    return tuple(
        NearMiss(pick.paper, pick.score, _reason(rubric, pick.score), pick.also)
        for pick in rest[:NEAR_MISSES]
        if pick.score
    )


def _gap(rubric: Rubric, score: Score | None) -> int:
    relevance, novelty = (score.relevance or 0, score.novelty or 0) if score else (0, 0)
    return max(0, rubric.relevance - relevance) + max(0, rubric.novelty - novelty)


def _reason(rubric: Rubric, score: Score) -> str:
    sides = [
        ("relevance", score.relevance or 0, rubric.relevance),
        ("novelty", score.novelty or 0, rubric.novelty),
    ]
    below = [(name, value, cutoff) for name, value, cutoff in sides if value < cutoff]
    return " and ".join(
        f"{name} {value}, your cut-off is {cutoff}" for name, value, cutoff in below
    )


MAILED_KINDS = (DayKind.NORMAL, DayKind.NOTHING_MET)
HELD_KINDS = (DayKind.BATCH_LATE, DayKind.SCORING_FAILED)


class StoredDigest(NamedTuple):
    """A stored digest of one date."""

    id: int
    date: date
    kind: DayKind
    at: datetime
