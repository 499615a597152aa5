"""The values of the newsletter. Frozen, without I/O; time and ids come from outside."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

NANOS_PER_DOLLAR = 1_000_000_000
READ_BYTES = 256 * 1024
"""Bytes that are kept of an inbound mail; the rest is never read."""

# A field called `date` hides the type from whoever resolves the annotations later (pydantic does).
Day = date


@dataclass(frozen=True, slots=True)
class Paper:
    """One arXiv submission. `id` has no version (`2509.16989`, `math/0309136`); times are UTC."""

    id: str
    version: int
    title: str
    authors: tuple[str, ...]
    abstract: str
    primary_category: str
    categories: tuple[str, ...]
    published: datetime
    updated: datetime
    comment: str = ""
    journal_ref: str = ""
    doi: str = ""

    @property
    def abs_url(self) -> str:
        return f"https://arxiv.org/abs/{self.id}"

    @property
    def pdf_url(self) -> str:
        return f"https://arxiv.org/pdf/{self.id}"

    @property
    def html_url(self) -> str:
        return f"https://arxiv.org/html/{self.id}"


@dataclass(frozen=True, slots=True)
class Announcement:
    """arXiv's mailing dated `date`: first versions submitted in [start, end), both UTC.

    `public_from` is when arXiv shows it: 20:00 US Eastern on the evening before `date`.
    """

    date: date
    start: datetime
    end: datetime
    public_from: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """A paper as part of an announcement; `late` when its window was an earlier one."""

    paper: Paper
    late: bool = False


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing a rubric looks for. `body` is Markdown, as the author wrote it."""

    number: int
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Rubric:
    """What a reader wants. The cut-offs are inclusive scores of 1 to 10."""

    slug: str
    title: str
    categories: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    preface: str = ""
    scoring: str = ""
    keywords: str = ""
    relevance: int = 7
    novelty: int = 7
    exclude: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    max_papers: int | None = None
    public: bool = False

    def is_met_by(self, relevance: int | None, novelty: int | None) -> bool:
        """Whether these scores reach both cut-offs. None, of an unread paper, counts as 0."""
        return (relevance or 0) >= self.relevance and (novelty or 0) >= self.novelty

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what reaches the model, and of nothing else.

        Cut-offs, categories, exclusions and the title may change without a new score being bought.
        """
        criteria = [[criterion.title, criterion.body] for criterion in self.criteria]
        read_by_model = [self.preface, criteria, self.scoring, self.keywords]
        return hashlib.sha256(json.dumps(read_by_model).encode()).hexdigest()

    def criterion_title(self, number: int) -> str:
        """The label of criterion `number`, or the empty string where there is none."""
        return next((c.title for c in self.criteria if c.number == number), "")


class Outcome(StrEnum):
    """What became of one announced paper under one rubric. Every paper has exactly one."""

    SCORED = "scored"
    REFUSED = "refused"
    FAILED = "failed"
    UNSCORED_BUDGET = "unscored: budget"
    UNSCORED_DEADLINE = "unscored: deadline"
    EXCLUDED = "unscored: excluded by the rubric"
    DUPLICATE = "duplicate"


class Unscored(NamedTuple):
    """Why an announced paper has no score.

    `reason`: the word that excluded it, the id of which it is a duplicate, or why it failed.
    """

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """A rubric's judgement of a paper.

    `relevance` and `novelty` are 1 to 10, or None where nothing judged them (the local ranking
    judges neither); `fine` (0 to 9) orders papers of equal scores; `criterion` is 0 for none;
    `spread` holds lowest and highest of (relevance, novelty) where two readings disagreed;
    `similarity` (0 to 1) is set by the local ranking only.
    """

    paper_id: str
    model: str
    relevance: int | None
    novelty: int | None
    fine: int = 0
    criterion: int = 0
    comment: str = ""
    relevance_spread: tuple[int, int] | None = None
    novelty_spread: tuple[int, int] | None = None
    similarity: float | None = None

    @property
    def total(self) -> int:
        return (self.relevance or 0) + (self.novelty or 0)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one model cost. Tokens by kind; money in integer nano-dollars (1e-9 USD)."""

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0
    input_nanos: int = 0
    output_nanos: int = 0
    uncertain_nanos: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Both of one model."""
        figures = (field.name for field in fields(self) if field.name != "model")
        return Usage(self.model, *(getattr(self, name) + getattr(other, name) for name in figures))

    def __sub__(self, other: Usage) -> Usage:
        """What came to it since `other`; both of one model."""
        figures = (field.name for field in fields(self) if field.name != "model")
        return Usage(self.model, *(getattr(self, name) - getattr(other, name) for name in figures))

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cache_write_tokens + self.cache_read_tokens

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    @property
    def total_nanos(self) -> int:
        return self.input_nanos + self.output_nanos


class DayKind(StrEnum):
    """A day is exactly one of these; only NORMAL and NOTHING_MET are mailed by default."""

    NORMAL = "normal"
    NOTHING_MET = "nothing met the bar"
    NOTHING_ANNOUNCED = "arXiv announced nothing"
    BATCH_LATE = "batch late"
    SCORING_FAILED = "scoring failed"


@dataclass(frozen=True, slots=True)
class Pick:
    """A paper chosen for the reader. `score` is None only for a followed author's unread paper.

    `also` are other ids of the same paper: identical title and authors, announced on the same day.
    `order_key` is set where the order was learned from votes: a higher one stands first.
    """

    paper: Paper
    score: Score | None
    followed: str = ""
    late: bool = False
    also: tuple[str, ...] = ()
    order_key: float | None = None


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A paper just below the line, and the reason in words (`novelty 6, your cut-off is 7`).

    `also` as of a pick.
    """

    paper: Paper
    score: Score
    reason: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unproven:
    """Announcements (`dates`) of which arXiv's own list was never read in these categories.

    What was submitted before `before`, and announced or cross-listed there on those dates, is not
    known.
    """

    categories: tuple[str, ...]
    dates: tuple[Day, ...]
    before: Day


@dataclass(frozen=True, slots=True)
class Crosscheck:
    """How an announcement was verified. The field names are keys of stored digests.

    `state`: `feed_check.FeedState`. `named`, by category: how many of the papers in arXiv's feed
    the API has, and how many the feed lists. `apart` counts the other listed papers by
    `feed_check.MismatchReason`. `whole`, by category: the `completeness.CompletedBy`. `missed` are
    dates without an announcement, whose papers are in this one. `unproven` is what missed feeds of
    earlier announcements leave unverified.
    """

    state: str
    named: dict[str, tuple[int, int]] = field(default_factory=dict)
    apart: dict[str, int] = field(default_factory=dict)
    whole: dict[str, str] = field(default_factory=dict)
    missed: tuple[Day, ...] = ()
    unproven: tuple[Unproven, ...] = ()


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A paper that a rubric's readers were sent on `sent`, and its author's words since."""

    paper_id: str
    title: str
    sent: Day
    said: str = ""


class NewsKind(StrEnum):
    """What became of a mailed paper."""

    WITHDRAWN = "withdrawn"
    RETITLED = "retitled"
    PUBLISHED = "published"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class PaperNews:
    """News of a paper that a rubric's readers were sent on `sent`, under `title`.

    `said` is the new title, the journal reference or the authors' words; `doi` that of the
    publication. Of withdrawn papers there is a Withdrawal instead.
    """

    paper_id: str
    title: str
    sent: Day
    kind: NewsKind
    said: str
    doi: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The receipt: announced = the sum over all outcomes. `late` papers are among the announced.

    `by_category` counts each paper once; `papers` are the ids of all announced, `unread` of those
    among them that were not scored, for whatever reason. `crosscheck` is None where there was
    nothing to compare with: a past date, or the sample.
    """

    announced: int
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    by_category: dict[str, int] = field(default_factory=dict)
    late: int = 0
    unread: tuple[str, ...] = ()
    papers: tuple[str, ...] = ()
    crosscheck: Crosscheck | None = None

    def count(self, outcome: Outcome) -> int:
        return self.outcomes.get(outcome, 0)

    @property
    def scanned(self) -> int:
        """Papers whose abstract was read (or, locally, ranked)."""
        return self.count(Outcome.SCORED)

    @property
    def unscored(self) -> int:
        return sum(n for outcome, n in self.outcomes.items() if outcome.startswith("unscored"))

    @property
    def adds_up(self) -> bool:
        return self.announced == sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class Digest:
    """One rubric's issue for one announcement date. Made once, frozen, ids in reading order.

    `judged` is False when the papers were ranked locally and no model read them. `beyond` counts
    the papers that reached the cut-offs but not the rubric's `max_papers`. `votes` is the number of
    votes that the order was learned from; 0 if it was not. `since` is the first
    date of an issue that sums up several, None for one of a single date. `withdrawn` are papers of
    earlier issues, `news` the other news of such papers.
    """

    rubric: Rubric
    date: Day
    kind: DayKind
    picks: tuple[Pick, ...]
    near_misses: tuple[NearMiss, ...]
    coverage: Coverage
    usage: tuple[Usage, ...]
    judged: bool = True
    prompt: str = ""
    beyond: int = 0
    since: Day | None = None
    withdrawn: tuple[Withdrawal, ...] = ()
    news: tuple[PaperNews, ...] = ()
    votes: int = 0

    @property
    def not_compared(self) -> bool:
        """Whether the local ranking found no word that the rubric shares with any of the papers."""
        nothing = self.kind is DayKind.NOTHING_MET and not self.judged
        return nothing and self.coverage.scanned > 0

    @property
    def first_date(self) -> Day:
        return self.since or self.date
