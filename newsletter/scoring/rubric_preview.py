"""Preview of a rubric: what it would have picked on the last stored days, before it counts.

    by words     on this machine, at once, from what is stored; writes nothing
    by a model   stored scores of this text; `read_more` buys further ones, likeliest papers first

Both are compared with what the reader's digests of these days picked. Calls are charged to the
reader and today, not to the rubric: what was bought for a preview is a stored score like any other,
so the rubric's first days cost so much less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.digest import compose
from newsletter.domain.model import Listing, Outcome, Score
from newsletter.scoring.replay import StoredDay, stored_scores
from newsletter.scoring.run import score, sort_by_likelihood
from newsletter.store import digests, papers, scores, votes
from newsletter.store.ledger import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import date, datetime, timedelta

    from sqlalchemy import Connection

    from newsletter.domain.model import Digest, Paper, Rubric
    from newsletter.scorers import Scorer
    from newsletter.scoring.run import RubricScores, ScoringLimits
    from newsletter.scoring.stored_days import DayCache, KnownDay
    from newsletter.scoring.triage import Triage
    from newsletter.store import Store

DAYS = 5
BY_WORDS = "words"


class PickedPaper(NamedTuple):
    """A paper with the titles of the rubrics that picked it."""

    paper: Paper
    titles: tuple[str, ...]


PickedBefore = dict["date", dict[str, PickedPaper]]
"""By date and paper id. A date without a digest is not there."""


class Mark(StrEnum):
    GAINED = "gained"
    LOST = "lost"
    KEPT = "kept"
    NOT_PICKED = "not picked"

    @property
    def sign(self) -> str:
        return {"gained": "+", "lost": "-", "kept": "="}.get(self.value, "")


CHANGES = (Mark.GAINED, Mark.LOST, Mark.KEPT)


class PreviewPaper(NamedTuple):
    """`note` says why a paper is not picked, or what a pick was given."""

    mark: Mark
    paper: Paper
    liked: bool
    note: str = ""
    picked_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PreviewDay:
    """`compared` is False for a day without a digest to compare with. `unread` are papers that
    digests picked and this text was not asked about yet: neither lost nor kept.
    """

    date: date
    papers: tuple[PreviewPaper, ...]
    announced: int
    read: int
    to_read: int
    compared: bool
    unread: tuple[Paper, ...] = ()

    def count(self, mark: Mark) -> int:
        return sum(one.mark is mark for one in self.papers)


@dataclass(frozen=True, slots=True)
class RubricPreview:
    """The newest day first. `found` and `missed` are the liked papers of these days; `elsewhere`
    counts those of other days, or without an arXiv id.
    """

    judged: bool
    days: tuple[PreviewDay, ...]
    found: tuple[PreviewPaper, ...]
    missed: tuple[PreviewPaper, ...]
    elsewhere: int

    def count(self, mark: Mark) -> int:
        return sum(day.count(mark) for day in self.days)

    @property
    def read(self) -> int:
        return sum(day.read for day in self.days)

    @property
    def to_read(self) -> int:
        return sum(day.to_read for day in self.days)


@dataclass(frozen=True, slots=True)
class PreviewInput:
    """What a preview is made from. `unfetched` are categories of which no paper is stored."""

    days: tuple[KnownDay, ...]
    unfetched: tuple[str, ...]
    picked: PickedBefore
    liked: frozenset[str]


def read_input(
    tx: Connection, cache: DayCache, rubric: Rubric, slugs: Sequence[str], liked: Collection[str]
) -> PreviewInput:
    """The last stored days of the rubric's categories, and the picks of these rubrics' digests."""
    dates = papers.dates(tx, rubric.categories, DAYS)
    picked: PickedBefore = {}
    for slug in slugs if dates else ():
        for digest in digests.between(tx, slug, min(dates), max(dates)):
            _add_picks(picked.setdefault(digest.date, {}), digest)
    listed = {day: papers.listed_ids(tx, rubric.categories, day) for day in dates}
    every = {key for ids in listed.values() for key in ids}
    days = []
    for day, ids in listed.items():
        # A paper that arrived late was picked on a later day than the one it is listed under.
        late = (one.paper for key, one in picked.get(day, {}).items() if key not in every)
        own = [paper for paper in late if set(paper.categories) & set(rubric.categories)]
        days.append(cache.day(tx, day, ids, own))
    unfetched = tuple(name for name in rubric.categories if not _is_fetched(tx, name, dates))
    return PreviewInput(tuple(days), unfetched, picked, frozenset(liked))


def _is_fetched(tx: Connection, category: str, dates: Sequence[date]) -> bool:
    """Whether the category was fetched on these dates; a small one may have had no papers."""
    if not dates:
        return False
    listed = papers.dates(tx, (category,), 1)
    if listed and listed[0] >= min(dates):
        return True
    return any(one.date in dates for one in papers.fetches(tx, (category,), min(dates)))


def _add_picks(picked: dict[str, PickedPaper], digest: Digest) -> None:
    for pick in digest.picks:
        before = picked.get(pick.paper.id)
        titles = before.titles if before else ()
        picked[pick.paper.id] = PickedPaper(pick.paper, (*titles, digest.rubric.title))


def liked_ids(tx: Connection, subscription_ids: Sequence[str]) -> set[str]:
    """The papers that a reader voted `more` for or saved."""
    more = {one.paper_id for one in votes.given_by(tx, subscription_ids) if one.vote.wants_more}
    return more | {one.paper_id for one in votes.reading_list(tx, subscription_ids)}


def preview_by_words(rubric: Rubric, given: PreviewInput) -> RubricPreview:
    """Rank each day on this machine, as a service without a model does."""
    days = []
    for day in given.days:
        found = day.triage(rubric)
        scores = day.words.similarities(rubric, found.to_read)
        ranked = {
            paper.id: Score(paper.id, BY_WORDS, None, None, similarity=similarity)
            for paper, similarity in zip(found.to_read, scores, strict=True)
        }
        days.append(_Scored(day, found, ranked))
    return _preview(rubric, given, days, judged=False)


def preview_by_model(
    store: Store, scorer: Scorer, rubric: Rubric, given: PreviewInput
) -> RubricPreview:
    """Compare by the stored scores of this text. Makes no call."""
    days = [
        _Scored(
            day,
            day.triage(rubric),
            stored_scores(store, scorer, rubric, StoredDay(day.date, day.papers)),
        )
        for day in given.days
    ]
    return _preview(rubric, given, days, judged=True)


def read_more(
    store: Store,
    scorer: Scorer,
    rubric: Rubric,
    given: PreviewInput,
    account: str,
    limits: ScoringLimits,
    reading_time: timedelta,
    *,
    clock: Callable[[], datetime],
) -> RubricScores:
    """Score papers of the stored days with the model; stored scores are used again.

    What the reader likes and what their digests picked comes first, then the likeliest papers. No
    call begins after `reading_time`, counted from when the papers are in order. Charged to
    `account` and today: `limits.budget_nanos` is for all that it is charged with today. Raises
    ScoringFailed.
    """
    today = clock().date()
    wanted = given.liked | {key for of_day in given.picked.values() for key in of_day}
    to_read = papers_to_read(rubric, given)
    likeliest = sort_by_likelihood(store, scorer, rubric, today, to_read)
    ordered = sorted(likeliest, key=lambda paper: paper.id not in wanted)
    charged = replace(rubric, slug=account)
    timed = replace(limits, deadline=clock() + reading_time)
    return score(store, scorer, charged, today, ordered, timed, clock=clock)


def papers_to_read(rubric: Rubric, given: PreviewInput) -> list[Paper]:
    """The papers of the stored days, each once, without those that the rubric excludes."""
    found = (one for day in given.days for one in day.triage(rubric).to_read)
    return list({paper.id: paper for paper in found}.values())


def has_scores(tx: Connection, scorer: Scorer, rubric: Rubric, given: PreviewInput) -> bool:
    """Whether any paper of the stored days was scored by this text."""
    ids = [paper.id for day in given.days for paper in day.papers]
    account = Account(rubric.slug, rubric.fingerprint, scorer.name, given.days[0].date, "")
    return bool(scores.known(tx, account, ids)[1])


class _Scored(NamedTuple):
    """A day with the scores of the papers that were read."""

    day: KnownDay
    triage: Triage
    scores: Mapping[str, Score]


def _preview(
    rubric: Rubric, given: PreviewInput, scored: Sequence[_Scored], *, judged: bool
) -> RubricPreview:
    compared = [_ComparedDay(rubric, one, given, judged=judged) for one in scored]
    liked = [paper for one in compared for paper in one.liked()]
    found = tuple(one for one in liked if one.mark in (Mark.GAINED, Mark.KEPT))
    missed = tuple(one for one in liked if one.mark not in (Mark.GAINED, Mark.KEPT))
    elsewhere = len(given.liked - {one.paper.id for one in liked})
    return RubricPreview(judged, tuple(one.day() for one in compared), found, missed, elsewhere)


def _picks(rubric: Rubric, one: _Scored, *, judged: bool) -> list[str]:
    """The ids that a digest of the day would have picked, in its order."""
    outcomes = dict.fromkeys((paper.id for paper in one.day.papers), Outcome.UNSCORED_BUDGET)
    outcomes |= dict.fromkeys(one.scores, Outcome.SCORED) | one.triage.left_out
    listings = [Listing(paper) for paper in one.day.papers]
    digest = compose(
        rubric, one.day.date, listings, one.scores, outcomes, (), judged=judged, prompt=""
    )
    return [pick.paper.id for pick in digest.picks]


class _ComparedDay:
    """One day: what this text picks, beside what digests picked."""

    def __init__(
        self, rubric: Rubric, scored: _Scored, given: PreviewInput, *, judged: bool
    ) -> None:
        self._rubric = rubric
        self._scored = scored
        self._given = given
        self._judged = judged
        self._picks = _picks(rubric, scored, judged=judged)
        self._before = given.picked.get(scored.day.date, {})
        self._papers = {key: one.paper for key, one in self._before.items()}
        self._papers |= {paper.id: paper for paper in scored.day.papers}
        self._to_read = {paper.id for paper in scored.triage.to_read}
        ranked = sorted(scored.scores.values(), key=lambda s: (-(s.similarity or 0), s.paper_id))
        self._places = {one.paper_id: place for place, one in enumerate(ranked, 1)}

    def day(self) -> PreviewDay:
        gone = [key for key in self._before if key not in self._picks]
        unread = {key for key in gone if key in self._to_read - self._scored.scores.keys()}
        shown = [*self._picks, *(key for key in gone if key not in unread)]
        return PreviewDay(
            date=self._scored.day.date,
            papers=tuple(self._marked(self._papers[key]) for key in shown),
            announced=len(self._scored.day.papers),
            read=len(self._scored.scores),
            to_read=len(self._to_read),
            compared=self._scored.day.date in self._given.picked,
            unread=tuple(self._papers[key] for key in gone if key in unread),
        )

    def liked(self) -> list[PreviewPaper]:
        own = (one for one in self._scored.day.papers if one.id in self._given.liked)
        return [self._marked(paper) for paper in own]

    def _marked(self, paper: Paper) -> PreviewPaper:
        before = self._before.get(paper.id)
        mark = Mark.LOST if before else Mark.NOT_PICKED
        if paper.id in self._picks:
            mark = Mark.KEPT if before else Mark.GAINED
        liked = paper.id in self._given.liked
        return PreviewPaper(
            mark, paper, liked, self._note(paper.id), before.titles if before else ()
        )

    def _note(self, paper_id: str) -> str:
        """The paper's scores or place, or why it was not read."""
        found = self._scored.scores.get(paper_id)
        if found is None:
            return self._unscored(paper_id)
        if not self._judged:
            return f"place {self._places[paper_id]} of {len(self._places)}"
        said = f"relevance {found.relevance}, novelty {found.novelty}"
        if paper_id in self._picks:
            return said
        rubric = self._rubric
        if rubric.is_met_by(found.relevance, found.novelty):
            return f"{said}: beyond your limit of {rubric.max_papers} papers"
        return f"{said}; your cut-offs are {rubric.relevance} and {rubric.novelty}"

    def _unscored(self, paper_id: str) -> str:
        reason = self._scored.triage.reasons.get(paper_id, "")
        match self._scored.triage.left_out.get(paper_id):
            case Outcome.EXCLUDED:
                return f"excluded by “{reason}”"
            case Outcome.DUPLICATE:
                return f"the same paper as {reason}"
        return "not read yet" if paper_id in self._to_read else "in none of your categories"
