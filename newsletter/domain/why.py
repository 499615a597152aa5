"""Why a paper is in a digest of a rubric, or is not (pure).

observe    inbound/why.py reads the database once, with store/why.py
decide     here: one RubricAnswer for each rubric
render     render/why.py: the answer in sentences
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain import announcements
from newsletter.domain.model import Day, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from newsletter.domain.model import Coverage, Digest, Paper, Pick, Rubric, Score, Unscored


class PaperResult(StrEnum):
    """What became of a paper under a rubric: an Outcome of the receipt, one of those into which
    `scored` divides, or why no digest covers the paper.
    """

    PICKED = "picked"
    NEAR_MISS = "near miss"
    BELOW_CUT_OFFS = "below the cut-offs"
    OVER_LIMIT = "over the limit of papers"
    RANKED_LOWER = "ranked lower"
    SCORES_DELETED = "scored, its scores are deleted"

    REFUSED = Outcome.REFUSED.value
    FAILED = Outcome.FAILED.value
    UNSCORED_BUDGET = Outcome.UNSCORED_BUDGET.value
    UNSCORED_DEADLINE = Outcome.UNSCORED_DEADLINE.value
    EXCLUDED = Outcome.EXCLUDED.value
    DUPLICATE = Outcome.DUPLICATE.value
    NOT_RECORDED = "not recorded"

    OTHER_CATEGORIES = "other categories"
    BEFORE_FIRST_ISSUE = "before the first issue"
    NO_ISSUE = "no issue of that date"
    NOT_IN_AN_ISSUE_YET = "not in an issue yet"
    NOT_ANNOUNCED_YET = "not announced yet"
    UNKNOWN = "unknown"


class CutOffs(NamedTuple):
    relevance: int
    novelty: int

    def met_by(self, relevance: int, novelty: int) -> bool:
        return relevance >= self.relevance and novelty >= self.novelty


NOTHING_MISSING = CutOffs(0, 0)


class LowerCutOffs(NamedTuple):
    """With `cut_offs` in place of those `now`, so many more `papers` would have been picked in the
    last `days` issues.
    """

    cut_offs: CutOffs
    now: CutOffs
    papers: int
    days: int


class ExcludedPapers(NamedTuple):
    """A word excluded so many `papers` in the last `days` issues."""

    word: str
    papers: int
    days: int


class CategoryVolume(NamedTuple):
    """So many `papers` on average are announced in a category; `days` were counted."""

    category: str
    papers: int
    days: int


Suggestion = LowerCutOffs | ExcludedPapers | CategoryVolume


class ScoredIssue(NamedTuple):
    """Scores of an issue's papers that were not picked: (relevance, novelty) each."""

    cut_offs: CutOffs
    room: int | None
    """How many more papers the rubric's limit leaves; None without a limit."""
    scores: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class CoveringIssue:
    """The digest that covers a paper, and what is stored of the paper.

    `unscored` is None for scored papers, and for those of digests older than this record. `score`
    merges both `readings`. `rank` is the paper's place in a local ranking, `ranked` how many were.
    """

    digest: Digest
    unscored: Unscored | None = None
    readings: tuple[Score, ...] = ()
    score: Score | None = None
    rank: int = 0
    ranked: int = 0


@dataclass(frozen=True, slots=True)
class RubricHistory:
    """What is stored of a rubric that concerns one paper.

    `rubric` is as its file is now, or as in its newest digest. `issue_of_date` is the digest of the
    date on which the paper was listed, where no digest is stored to cover it. Papers listed before
    `late_from` come into no further issue.
    """

    rubric: Rubric
    first_issue: date | None = None
    newest_issue: date | None = None
    late_from: date | None = None
    covering: CoveringIssue | None = None
    issue_of_date: Digest | None = None
    recent: tuple[ScoredIssue, ...] = ()
    excluded: ExcludedPapers | None = None
    volumes: tuple[CategoryVolume, ...] = ()


@dataclass(frozen=True, slots=True)
class LocatedPaper:
    """A paper, and the date of its first listing in each category; none where it is not stored."""

    paper: Paper
    listed: Mapping[str, date] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RubricAnswer:
    """What became of a paper under one rubric. Fields that do not concern the result are empty.

    `rubric` is frozen in the digest where one covers the paper. `date` is that of the issue, else
    that of the announcement. `outcome` is the receipt's: None where no digest covers the paper, or
    it is not recorded. `reason`: the excluding word, the duplicate's other id, a failure.
    `max_papers` and `subscribed` are the reader's.
    """

    rubric: Rubric
    result: PaperResult
    date: Day | None = None
    outcome: Outcome | None = None
    number: int = 0
    score: Score | None = None
    readings: tuple[Score, ...] = ()
    missing: CutOffs = NOTHING_MISSING
    """How far both scores are below the cut-offs."""
    reason: str = ""
    followed: str = ""
    late: bool = False
    also: tuple[str, ...] = ()
    rank: int = 0
    ranked: int = 0
    max_papers: int | None = None
    subscribed: Day | None = None
    suggestion: Suggestion | None = None


def decide(history: RubricHistory, located: LocatedPaper | None, now: datetime) -> RubricAnswer:
    """The answer for one rubric."""
    if located is None:
        return RubricAnswer(history.rubric, PaperResult.UNKNOWN)
    if history.covering:
        return _covered(history, history.covering, located.paper.id)
    return _uncovered(history, located, now)


def _covered(history: RubricHistory, issue: CoveringIssue, paper_id: str) -> RubricAnswer:
    digest = issue.digest
    for number, pick in enumerate(digest.picks, 1):
        if pick.paper.id == paper_id:
            return _picked(digest, pick, number, issue)
    outcome = recorded_outcome(digest.coverage, paper_id, issue.unscored)
    if outcome is None:
        return RubricAnswer(digest.rubric, PaperResult.NOT_RECORDED, digest.date)
    if outcome is not Outcome.SCORED:
        return RubricAnswer(
            digest.rubric,
            PaperResult(outcome.value),
            digest.date,
            outcome,
            reason=issue.unscored.reason if issue.unscored else "",
            suggestion=history.excluded if outcome is Outcome.EXCLUDED else None,
        )
    return _scored(history, issue, paper_id)


def recorded_outcome(
    coverage: Coverage, paper_id: str, unscored: Unscored | None
) -> Outcome | None:
    """The outcome of a paper that a digest covers; None where it was not recorded.

    In older digests it still follows where all papers that were not scored had the same outcome.
    """
    if paper_id not in coverage.unread:
        return Outcome.SCORED
    if unscored:
        return unscored.outcome
    others = [one for one, n in coverage.outcomes.items() if n and one is not Outcome.SCORED]
    return others[0] if len(others) == 1 else None


def _picked(digest: Digest, pick: Pick, number: int, issue: CoveringIssue) -> RubricAnswer:
    return RubricAnswer(
        digest.rubric,
        PaperResult.PICKED,
        digest.date,
        recorded_outcome(digest.coverage, pick.paper.id, issue.unscored),
        number=number,
        score=pick.score,
        readings=issue.readings,
        followed=pick.followed,
        late=pick.late,
        also=pick.also,
        rank=0 if digest.judged else number,
        ranked=0 if digest.judged else digest.coverage.scanned,
    )


def _scored(history: RubricHistory, issue: CoveringIssue, paper_id: str) -> RubricAnswer:
    digest = issue.digest
    near = next((one for one in digest.near_misses if one.paper.id == paper_id), None)
    score = near.score if near else issue.score
    if score is None:
        result = PaperResult.SCORES_DELETED
        return RubricAnswer(digest.rubric, result, digest.date, Outcome.SCORED)
    if not digest.judged:
        return RubricAnswer(
            digest.rubric,
            PaperResult.RANKED_LOWER,
            digest.date,
            Outcome.SCORED,
            score=score,
            rank=issue.rank,
            ranked=issue.ranked,
        )
    cut_offs = cut_offs_of(digest.rubric)
    relevance, novelty = score.relevance or 0, score.novelty or 0
    missing = CutOffs(max(0, cut_offs.relevance - relevance), max(0, cut_offs.novelty - novelty))
    if missing == NOTHING_MISSING:
        result = PaperResult.OVER_LIMIT
    else:
        result = PaperResult.NEAR_MISS if near else PaperResult.BELOW_CUT_OFFS
    return RubricAnswer(
        digest.rubric,
        result,
        digest.date,
        Outcome.SCORED,
        score=score,
        readings=issue.readings,
        missing=missing,
        also=near.also if near else (),
        suggestion=lower_cut_offs(history, relevance, novelty) if any(missing) else None,
    )


def cut_offs_of(rubric: Rubric) -> CutOffs:
    return CutOffs(rubric.relevance, rubric.novelty)


def lower_cut_offs(history: RubricHistory, relevance: int, novelty: int) -> LowerCutOffs | None:
    """The highest cut-offs, not above today's, that these scores reach, and what they would add."""
    if not history.recent:
        return None
    now = cut_offs_of(history.rubric)
    lowered = CutOffs(min(now.relevance, relevance), min(now.novelty, novelty))
    if lowered == now:
        return None  # The rubric was changed since: it would take the paper today.
    added = sum(_added(issue, lowered) for issue in history.recent)
    return LowerCutOffs(lowered, now, added, len(history.recent))


def _added(issue: ScoredIssue, lowered: CutOffs) -> int:
    wanted = CutOffs(*map(min, issue.cut_offs, lowered))
    added = sum(
        wanted.met_by(*scores) and not issue.cut_offs.met_by(*scores) for scores in issue.scores
    )
    return added if issue.room is None else min(added, issue.room)


def _uncovered(history: RubricHistory, located: LocatedPaper, now: datetime) -> RubricAnswer:
    """The answer for a paper that no stored record says a digest covers."""
    issue, paper = history.issue_of_date, located.paper
    if issue and paper.id in issue.coverage.papers:
        return _deleted(issue, paper.id)
    rubric = issue.rubric if issue else history.rubric
    if not set(rubric.categories) & set(paper.categories):
        day = issue.date if issue else None
        volume = next(iter(history.volumes), None)
        return RubricAnswer(rubric, PaperResult.OTHER_CATEGORIES, day, suggestion=volume)
    dates = [day for name, day in located.listed.items() if name in rubric.categories]
    day = min(dates) if dates else announced_on(paper.published)
    result = _result_without_issue(history, day, listed=bool(dates), now=now)
    return RubricAnswer(rubric, result, day)


def _result_without_issue(
    history: RubricHistory, day: date, *, listed: bool, now: datetime
) -> PaperResult:
    """Why no issue covers a paper of the rubric's categories that was announced on `day`."""
    if day > announcements.newest(now):
        return PaperResult.NOT_ANNOUNCED_YET
    if history.first_issue is None or day < history.first_issue:
        return PaperResult.BEFORE_FIRST_ISSUE
    last = history.newest_issue
    if listed and history.issue_of_date is None and last and day < last:
        return PaperResult.NO_ISSUE
    if listed and history.late_from and day < history.late_from:
        return PaperResult.NOT_RECORDED
    return PaperResult.NOT_IN_AN_ISSUE_YET


def _deleted(issue: Digest, paper_id: str) -> RubricAnswer:
    """The answer for a paper of an old digest of which only the digest itself is kept."""
    outcome = recorded_outcome(issue.coverage, paper_id, None)
    result = PaperResult.NOT_RECORDED
    if outcome is Outcome.SCORED:
        result = PaperResult.SCORES_DELETED
    elif outcome:
        result = PaperResult(outcome.value)
    return RubricAnswer(issue.rubric, result, issue.date, outcome)


def announced_on(submitted: datetime) -> date:
    """The date of the announcement in whose window a paper was submitted."""
    day = submitted.date()
    while not announcements.is_announced(day) or announcements.announcement(day).end <= submitted:
        day += announcements.DAY
    return day


def average_papers(category: str, counts: Sequence[int]) -> CategoryVolume | None:
    """The papers of a category a day, from the counts of its last announcements."""
    days = len(counts)
    return CategoryVolume(category, round(sum(counts) / days), days) if days else None


class Lookup(StrEnum):
    """How a paper was found, or why it was not."""

    STORED = "stored"
    ASKED = "asked"
    """The source has it; it is in no announcement that is stored here."""
    NOT_ASKED = "not asked"
    LIMIT = "limit"
    """The reader's look-ups of this day are used up."""
    NO_ANSWER = "no answer"
    NO_SUCH_ID = "no such id"
    NO_SUCH_TITLE = "no such title"
    SEVERAL = "several"
    """Several stored papers have titles that begin so."""
    NO_PAPER = "no paper"
    """The text names none."""


@dataclass(frozen=True, slots=True)
class WhyAnswer:
    """The answer to a question about one paper, for each of a reader's rubrics.

    `text` is what was asked, `paper_id` the id in it. `papers` are those to choose from.
    """

    text: str
    lookup: Lookup
    paper_id: str = ""
    paper: Paper | None = None
    papers: tuple[Paper, ...] = ()
    rubrics: tuple[RubricAnswer, ...] = ()
    scores_kept_days: int = 0
    problem: str = ""
