"""What arXiv really announced, day by day, and a service that lives through it.

The recording is a CSV of papers with the announcement date of each of their categories
(`corpus/OTHERS.md` beside it says where it comes from). The service is the real one from the fetch
to the frozen digest; nothing is scored or mailed. It began `AGE` before the recording.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.announcements import FetchRecord, announcement, following, is_announced
from newsletter.domain.model import DayKind
from newsletter.ingest.fetch import AnnouncementIncomplete, AnnouncementLate, fetch, poll_again
from newsletter.ingest.status import with_provenance
from newsletter.scoring.workload import new_listings
from newsletter.sources import ListingKind
from newsletter.store import digests
from newsletter.store import papers as shelf
from tests.fakes.arxiv_timeline import ArxivTimeline, Clock, Submission, TimelineSource
from tests.render.gallery import issues

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from newsletter.domain.model import Rubric, Unproven
    from newsletter.store import Store

AGE = timedelta(days=60)
LOOKBACK = timedelta(days=7)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NEW_FOR = timedelta(days=30)
"""An older paper of an unknown primary category is taken for a cross-list."""


class Recorded(NamedTuple):
    """One paper; `announced` is the date of each category in which a crawl saw it."""

    id: str
    submitted: datetime
    primary: str
    announced: Mapping[str, date]


class Span(NamedTuple):
    """A stretch of days in which all papers of some categories were recorded."""

    first: date
    last: date
    categories: tuple[str, ...]


SPANS = (
    Span(
        date(2025, 8, 25),
        date(2025, 10, 31),
        ("astro-ph.CO", "astro-ph.GA", "cs.AI", "cs.CL", "cs.CR", "cs.LG"),
    ),
    Span(date(2026, 4, 17), date(2026, 6, 5), ("hep-ex", "hep-lat", "hep-ph", "hep-th")),
)


def read(path: Path) -> list[Recorded]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        return [_recorded(row) for row in csv.DictReader(text)]


def _recorded(row: Mapping[str, str]) -> Recorded:
    pairs = [one.split(":") for one in row["announced"].split()]
    dates = {name: date.fromisoformat(day) for name, day in pairs}
    return Recorded(row["id"], datetime.fromisoformat(row["submitted"]), row["primary"], dates)


def submission(one: Recorded) -> Submission:
    """A recorded paper as the timeline takes it: in its first categories, then in the others."""
    first = min(one.announced.values())
    now = tuple(sorted(name for name, day in one.announced.items() if day == first))
    later = sorted((day, name) for name, day in one.announced.items() if day > first)
    aged = announcement(first).end - one.submitted > NEW_FOR
    crossed = one.primary not in now if one.primary else aged
    kind = ListingKind.CROSS if crossed else ListingKind.NEW
    return Submission(one.id, one.submitted, now, first, crosses=tuple(later), kind=kind)


class Frozen(NamedTuple):
    """A digest as far as it matters here."""

    papers: tuple[str, ...]
    unproven: tuple[Unproven, ...]


@dataclass
class Service:
    """A service over one span, with a rubric for each category and one for all of them."""

    store: Store
    span: Span
    papers: Sequence[Recorded]
    feedless: Iterable[date] = ()
    delay: timedelta = timedelta(0)
    lookback: timedelta = LOOKBACK
    digests: dict[str, dict[date, Frozen]] = field(default_factory=dict)
    counts: Counter[date] = field(default_factory=Counter)
    """Count requests of each announcement."""

    def __post_init__(self) -> None:
        self.clock = Clock(announcement(self.span.first).public_from)
        self.timeline = ArxivTimeline(self.clock)
        day = self.span.first
        while day <= self._end:
            self.timeline.delays[day] = self.delay
            day = following(day)
        self.timeline.feedless |= set(self.feedless)
        names = set(self.span.categories)
        self.papers = [
            one
            for one in self.papers
            if names & one.announced.keys() and min(one.announced.values()) >= self.span.first
        ]
        self.timeline.add(*map(submission, self.papers))
        self.source = TimelineSource(self.timeline)
        self.rubrics = [
            replace(issues.RUBRIC, slug=slug, categories=categories)
            for slug, categories in [
                *((name.lower().replace(".", "-"), (name,)) for name in self.span.categories),
                ("all", self.span.categories),
            ]
        ]
        self._begin()

    @property
    def _end(self) -> date:
        """One date more than is judged: what comes an announcement late is seen there."""
        return following(self.span.last)

    def _begin(self) -> None:
        """The announcements of before the recording, as fetched without any paper."""
        day = self.span.first - AGE
        with self.store.begin() as tx:
            while day < self.span.first:
                if is_announced(day):
                    at = announcement(day).public_from
                    records = [FetchRecord(name, day, at) for name in self.span.categories]
                    shelf.mark_fetched(tx, records)
                day += timedelta(days=1)

    def live(self) -> None:
        day = self.span.first
        while day <= self._end:
            self._live(day)
            day = following(day)

    def _live(self, day: date) -> None:
        """One announcement: looked at until it is whole, then hourly until the next one."""
        self.clock.now = max(self.clock.now, announcement(day).public_from)
        end = max(announcement(following(day)).public_from, self.clock.now + 25 * HOUR)
        if following(day) <= self._end:
            end = announcement(following(day)).public_from
        before = len(self.source.asked)
        waiting = list(self.rubrics)
        while waiting and self.clock.now < end:
            retry_at = self._fetch()
            with self.store.read() as tx:
                missing = shelf.unfetched(tx, self.span.categories, day)
            ready = [one for one in waiting if missing.isdisjoint(one.categories)]
            for rubric in ready:
                self._freeze(rubric, day)
                waiting.remove(rubric)
            if waiting:
                self.clock.now = max(retry_at, self.clock.now + MINUTE)
        while self.clock.now < end:
            self._look_again()
            self.clock.on(hours=1)
        self.counts[day] = sum(what == "count" for what, _ in self.source.asked[before:])

    def _fetch(self) -> datetime:
        """When to come again."""
        try:
            fetch(
                self.store,
                self.source,
                self.span.categories,
                None,
                self.clock(),
                lookback_days=self.lookback.days,
                progress=lambda *_: None,
                wait_until_complete=True,
            )
        except (AnnouncementIncomplete, AnnouncementLate) as wait:
            return wait.retry_at
        return self.clock()

    def _look_again(self) -> None:
        names = self.span.categories
        poll_again(self.store, self.source, names, self.clock(), progress=lambda *_: None)

    def _freeze(self, rubric: Rubric, day: date) -> None:
        found = new_listings(self.store, rubric, day)
        ids = tuple(one.paper.id for one in found)
        made = issues.digest(())
        made = replace(
            made,
            rubric=rubric,
            date=day,
            kind=DayKind.NORMAL if found else DayKind.NOTHING_ANNOUNCED,
            coverage=replace(made.coverage, papers=ids),
        )
        with self.store.begin() as tx:
            made = with_provenance(tx, made, self.lookback)
            digests.save(tx, made, self.clock())
        check = made.coverage.crosscheck
        said = check.unproven if check else ()
        self.digests.setdefault(rubric.slug, {})[day] = Frozen(ids, said)


@dataclass
class Comparison:
    """When the digests had the recorded papers, compared with the recording."""

    same_day: int = 0
    later: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    never: list[str] = field(default_factory=list)
    unsaid: list[str] = field(default_factory=list)
    """Papers that never came, and no receipt said that such may lack."""
    twice: list[str] = field(default_factory=list)

    @property
    def papers(self) -> int:
        return self.same_day + len(self.later) + len(self.early) + len(self.never)

    def add(self, other: Comparison) -> None:
        self.same_day += other.same_day
        for name in ("later", "early", "never", "unsaid", "twice"):
            getattr(self, name).extend(getattr(other, name))


def compare(service: Service) -> Comparison:
    """Compare the digests with the recording. The service knows nothing of days before its first:
    papers that moderation held until then are not counted as missing.
    """
    found = Comparison()
    for rubric in service.rubrics:
        made = service.digests[rubric.slug]
        came: dict[str, date] = {}
        for day, frozen in sorted(made.items()):
            for paper in frozen.papers:
                if paper in came:
                    found.twice.append(f"{paper} in {rubric.slug} on {came[paper]} and {day}")
                came.setdefault(paper, day)
        for one in service.papers:
            dates = [day for name, day in one.announced.items() if name in rubric.categories]
            if dates and service.span.first <= min(dates) <= service.span.last:
                _place(found, one, min(dates), came.get(one.id), rubric, service)
    return found


def _place(
    found: Comparison,
    one: Recorded,
    due: date,
    came: date | None,
    rubric: Rubric,
    service: Service,
) -> None:
    case = f"{one.id} of {due} in {rubric.slug}, submitted {one.submitted:%Y-%m-%d}"
    if came == due:
        found.same_day += 1
    elif came is None:
        found.never.append(case)
        if not _is_said(one, due, rubric, service):
            found.unsaid.append(case)
    else:
        (found.later if came > due else found.early).append(f"{case}: came {came}")


def _is_said(one: Recorded, due: date, rubric: Rubric, service: Service) -> bool:
    """Whether the receipt of a later digest says that such a paper may lack."""
    names = {name for name, day in one.announced.items() if day == due}
    return any(
        due in said.dates
        and one.submitted.astimezone(UTC).date() <= said.before
        and names & set(said.categories)
        for frozen in service.digests[rubric.slug].values()
        for said in frozen.unproven
    )
