"""arXiv through time: what its API shows and its feed names at any moment of a clock.

    timeline = ArxivTimeline(clock)
    timeline.add(Submission("2609.00001", submitted, ("cs.LG",)))
    with FakeArxiv(timeline.find, feed=timeline.feed) as fake: ...     over HTTP
    TimelineSource(timeline)                                           in memory, for a whole year

A submission is announced in the mailing whose window it is in, or in the one it names (a hold).
The API shows it from that mailing's hour on; `timeline.delays[day]` makes a whole batch late, `lag`
one paper. On the dates in `timeline.holidays` nothing is announced although our calendar says so:
those papers are announced with the next batch. The feed is rebuilt at midnight Eastern of each
mailing; `timeline.stale` names categories and dates on which it stays as it was,
`timeline.feedless` dates without it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from newsletter.domain import announcements
from newsletter.domain.announcements import EASTERN, announcement, following, is_announced, previous
from newsletter.sources import MAX_IDS, ListedPaper, ListingKind
from tests.fakes.arxiv import paper_of, row
from tests.fakes.arxiv_query import Parameters, bare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from newsletter.domain.model import Paper


@dataclass(frozen=True)
class Version:
    """A later version, announced on `day`, with what is new in it."""

    day: date
    number: int
    changes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Submission:
    """`crosses` are later categories and the dates they are announced on; `kind` is what the feed
    calls it at first (a paper that is new in no category of ours is a cross-list).
    """

    id: str
    submitted: datetime
    categories: tuple[str, ...]
    announced: date | None = None
    lag: timedelta = timedelta(0)
    crosses: tuple[tuple[date, str], ...] = ()
    versions: tuple[Version, ...] = ()
    notes: tuple[tuple[date, Mapping[str, str]], ...] = ()
    """Metadata that changes on a date without a new version: no feed names it."""
    words: Mapping[str, str] = field(default_factory=dict)
    kind: ListingKind = ListingKind.NEW


def withdrawal(day: date, number: int = 2) -> Version:
    """What an author's withdrawal looks like."""
    said = "This paper has been withdrawn by the author due to an error in Lemma 2"
    return Version(day, number, {"comment": said, "abstract": f"{said}."})


class ArxivTimeline:
    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.submissions: list[Submission] = []
        self.by_id: dict[str, Submission] = {}
        self.delays: dict[date, timedelta] = {}
        self.holidays: set[date] = set()
        self.stale: set[tuple[date, str]] = set()
        self.feedless: set[date] = set()
        self.mailings: dict[date, list[tuple[Submission, ListingKind, int]]] = defaultdict(list)

    def add(self, *submissions: Submission) -> None:
        """Put papers in; holidays and delays must be known before."""
        for one in submissions:
            self.submissions.append(one)
            self.by_id[one.id] = one
            self.mailings[self.mailing(one)].append((one, one.kind, 1))
            for day, _ in one.crosses:
                self.mailings[self._real(day)].append((one, ListingKind.CROSS, 1))
            for version in one.versions:
                day = self._real(version.day)
                self.mailings[day].append((one, ListingKind.REPLACE, version.number))
        self.submissions.sort(key=lambda one: one.submitted)

    def mailing(self, one: Submission) -> date:
        """The date of the announcement that a paper is in."""
        if one.announced:
            return self._real(one.announced)
        day = one.submitted.astimezone(EASTERN).date()
        while not is_announced(day) or announcement(day).end <= one.submitted:
            day = following(day)
        return self._real(day)

    def _real(self, day: date) -> date:
        while day in self.holidays:
            day = following(day)
        return day

    def public(self, day: date) -> datetime:
        """When the API shows the announcement of `day`."""
        return announcement(day).public_from + self.delays.get(day, timedelta(0))

    def row(self, one: Submission) -> dict[str, Any]:
        """A paper as the API shows it now."""
        now = self.clock()
        later = [name for day, name in one.crosses if self.public(self._real(day)) <= now]
        shown = row(one.id, one.submitted, (*one.categories, *later), **one.words)
        shown["id"] = f"{one.id}v1"
        for version in one.versions:
            if (at := self.public(self._real(version.day))) <= now:
                shown |= {"id": f"{one.id}v{version.number}", **version.changes}
                shown["updated"] = f"{at - timedelta(hours=8):%Y-%m-%dT%H:%M:%SZ}"
        for day, changes in one.notes:
            if self.public(day) <= now:
                shown |= changes
        return shown

    def is_shown(self, one: Submission) -> bool:
        return self.public(self.mailing(one)) + one.lag <= self.clock()

    def between(self, start: datetime, end: datetime) -> list[dict[str, Any]]:
        """What the API shows of the papers submitted in [start, end)."""
        first = bisect_left(self.submissions, start, key=lambda one: one.submitted)
        last = bisect_left(self.submissions, end, key=lambda one: one.submitted)
        return [self.row(one) for one in self.submissions[first:last] if self.is_shown(one)]

    def named_ids(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        known = (self.by_id[name] for name in ids if name in self.by_id)
        return [self.row(one) for one in known if self.is_shown(one)]

    def find(self, asked: Parameters) -> list[dict[str, Any]]:
        """For `FakeArxiv`: the rows that may answer a query."""
        if asked.ids:
            return self.named_ids([bare(name) for name in asked.ids])
        assert asked.query is not None
        assert asked.query.bounds is not None
        start, end = (
            datetime.strptime(f"{minute}+0000", "%Y%m%d%H%M%z") for minute in asked.query.bounds
        )
        return self.between(start, end + timedelta(minutes=1))

    def feed(self, categories: Sequence[str]) -> list[dict[str, Any]] | None:
        """What the feed of these categories says now; None where there is none."""
        day = self.clock().astimezone(EASTERN).date()
        if day in self.feedless:
            return None
        lines: list[dict[str, Any]] = []
        for name in categories:
            of = previous(day) if (day, name) in self.stale else day
            lines += [each for each in self._lines(of, name) if each not in lines]
        return lines

    def _lines(self, day: date, category: str) -> list[dict[str, Any]]:
        """A mailing in one category; none at weekends and on holidays."""
        found = []
        for one, kind, version in self.mailings.get(day, []):
            crossed = [name for when, name in one.crosses if self._real(when) <= day]
            names = (*one.categories, *crossed)
            first = one.categories if day == self.mailing(one) else ()
            if category in names and (
                kind is not ListingKind.CROSS or category in (*crossed, *first)
            ):
                said = row(one.id, one.submitted, names, **one.words)
                said |= {"kind": str(kind), "version": version}
                found.append(said)
        return found


class TimelineSource:
    """The timeline as a source, without HTTP: what `Arxiv` answers, a thousand times as fast."""

    def __init__(self, timeline: ArxivTimeline) -> None:
        self.timeline = timeline
        self.asked: list[tuple[str, datetime]] = []
        self._papers: dict[tuple[str, tuple[str, ...]], Paper] = {}

    def newest(self, now: datetime) -> date:
        return announcements.newest(now)

    def submitted(self, categories, start, end, progress) -> list[Paper]:
        self.asked.append(("submitted", self.timeline.clock()))
        wanted = set(categories)
        rows = self.timeline.between(start, end)
        found = sorted(map(self._paper, rows), key=lambda paper: paper.id)
        kept = [paper for paper in found if wanted & set(paper.categories)]
        progress(len(kept), len(kept))
        return kept

    def _paper(self, shown: Mapping[str, Any]) -> Paper:
        """A row as a paper, made once for each version and set of categories."""
        noted = (shown["comment"], shown.get("journal_ref"), shown.get("doi"))
        key = shown["id"], (*shown["categories"], *map(str, noted))
        if key not in self._papers:
            self._papers[key] = paper_of(shown)
        return self._papers[key]

    def listing(self, categories) -> list[ListedPaper] | None:
        self.asked.append(("named", self.timeline.clock()))
        lines = self.timeline.feed(categories)
        if lines is None:
            return None
        return [
            ListedPaper(
                each["id"], each["version"], ListingKind(each["kind"]), tuple(each["categories"])
            )
            for each in lines
        ]

    def by_id(self, ids) -> list[Paper]:
        self.asked.append(("by_id", self.timeline.clock()))
        return sorted(map(self._paper, self.timeline.named_ids(ids)), key=lambda paper: paper.id)

    def metadata(self, ids) -> list[Paper]:
        assert len(ids) <= MAX_IDS
        self.asked.append(("metadata", self.timeline.clock()))
        return sorted(map(self._paper, self.timeline.named_ids(ids)), key=lambda paper: paper.id)

    def count(self, categories, start, end) -> int:
        self.asked.append(("count", self.timeline.clock()))
        wanted = set(categories)
        return sum(
            bool(wanted & set(each["categories"])) for each in self.timeline.between(start, end)
        )

    def shows_any(self, start, end) -> bool:
        self.asked.append(("shows_any", self.timeline.clock()))
        return bool(self.timeline.between(start, end))


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def on(self, hours: float = 0, minutes: float = 0) -> datetime:
        self.now += timedelta(hours=hours, minutes=minutes)
        return self.now


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
