"""A year of the service: arXiv's calendar with its troubles, readers all over the world, and a
clock that stands until it is moved.

The service is the real one, up to its doors: its own scheduler's jobs, its database, arXiv over
HTTP on loopback. Only the model, the templates and the mail provider are small and quick here.
"""

from __future__ import annotations

import random
import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import insert

from newsletter import bootstrap
from newsletter.domain.announcements import announcement, following, is_announced
from newsletter.domain.mail import WEEKDAYS, WEEKLY, Subscription
from newsletter.domain.model import Rubric, Score, Usage
from newsletter.jobs import housekeeping
from newsletter.jobs.daily import read_day
from newsletter.jobs.leader import LeaderElection
from newsletter.jobs.scheduler import DailyScheduler
from newsletter.render import Rendered
from newsletter.scorers import CallResponse, ScoredPapers, ScoringCall
from newsletter.settings import Settings
from newsletter.store import reader_rubrics, subscribers, subscriptions
from newsletter.store.tables import reader_rubric, reader_rubric_version
from tests.fakes.arxiv import FakeArxiv, empty_page
from tests.fakes.arxiv_timeline import (
    ArxivTimeline,
    Clock,
    Submission,
    TimelineSource,
    Version,
    withdrawal,
)
from tests.simulations.replies import Replies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from newsletter.domain.mail import Email
    from newsletter.domain.model import Digest

ZONES = (
    "America/Los_Angeles",
    "America/New_York",
    "UTC",
    "Europe/Berlin",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Pacific/Auckland",
)
RUBRICS = {
    "models": ("cs.LG", "cs.AI"),
    "words": ("cs.CL",),
    "numbers": ("math.ST", "cs.LG"),
}
OWN = {"own-abcdefghijkl": ("cs.AI", "math.ST")}
"""A rubric that a reader wrote."""
CATEGORIES = ("cs.LG", "cs.AI", "cs.CL", "math.ST")
WHO_REPLY = ("asker", "parter", "voter")
SUBJECTS = ("Frogs in warm ponds", "Planets on wide orbits")
ASKS = (
    (2, "reply", "weekly"),
    (3, "reply", "help"),
    *((5, "reply", "help"),) * 7,
    (10, "reply", "daily"),
    (12, "reply", "pause 2 weeks"),
    (29, "reply", "pause 2 weeks"),
    (33, "reply", "resume"),
)
"""Days of a cycle, and what a reader then writes. Seven questions on one day: five are answered."""
JOINED = timedelta(days=20)
GRID = timedelta(minutes=5)
PHASE = timedelta(minutes=2)
FILLED_IN = timedelta(minutes=12)
"""So long after its hour a slow batch is there: after the first look, and before the second."""


ACCEPTED = {"comment": "Accepted at a conference"}


def subject_of(number: int) -> str:
    """Neither the scores nor a category depend on it: only votes can."""
    return SUBJECTS[number // 12 % 2]


def is_accepted(number: int) -> bool:
    """Whether the authors of that paper add a note two announcements later."""
    return number % 12 == 0 and number % 25 != 0 and number % 300 != 0


class FakeScorer:
    """Finds every third paper relevant, by its number: the same on every reading.

    With a clock it is another model each week, so that little is to be learnt from the past.
    """

    judges = True
    sizes = (100_000,)
    second_pass_sizes = ()
    second_opinion = False
    batcher = None

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock

    @property
    def name(self) -> str:
        return f"fake/{self._clock():%G-%V}" if self._clock else "fake/1"

    def prompt(self, rubric: Rubric) -> str:
        return rubric.title

    def call(self, request, at: datetime) -> ScoringCall:
        return ScoringCall(request, "fake", {}, 0, at)

    def weigh(self, call: ScoringCall) -> Usage | None:
        del call
        return None

    def ask(self, call: ScoringCall) -> CallResponse:
        del call
        return CallResponse(b"{}", Usage("fake", 10, 1))

    def read(self, request, model: str, raw: bytes) -> ScoredPapers:
        del raw
        return ScoredPapers({one.id: _judged(one.id, model) for one in request.papers})


def _judged(paper_id: str, model: str) -> Score:
    number = int(paper_id.partition(".")[2])
    good = 8 if number % 3 == 0 else 3
    return Score(paper_id, model, good, good, number % 10, 1, "why")


class Plain:
    """Renders a digest as the dates it holds and the ids of its picks."""

    def digest(self, digest: Digest, nav, fmt, max_papers=None) -> Rendered:
        del nav, fmt
        ids = " ".join(pick.paper.id for pick in digest.picks[:max_papers])
        said = f"{digest.rubric.slug} {digest.first_date} {digest.date} {ids}"
        return Rendered(said, said, said)

    def mail(self, template: str, **values: object) -> tuple[str, str, str]:
        """An answer to a reply: its subject, HTML and text."""
        said = f"{template} {values.get('title', '')}"
        return said, said, said


@dataclass(frozen=True)
class Mail:
    """One mail as its reader has it."""

    at: datetime
    rubric: str
    first: date
    last: date
    papers: tuple[str, ...]
    message_id: str


@dataclass
class Post:
    """A provider that takes everything, and notes when. `answers` are those to replies."""

    clock: Clock
    boxes: dict[str, list[Mail]] = field(default_factory=dict)
    answers: list[Email] = field(default_factory=list)

    def send(self, email: Email) -> str:
        if not email.delivery_id:
            self.answers.append(email)
            return email.message_id
        rubric, first, last, *papers = email.text.split()
        dates = date.fromisoformat(first), date.fromisoformat(last)
        mail = Mail(self.clock(), rubric, *dates, tuple(papers), email.message_id)
        self.boxes.setdefault(email.to_email.partition("@")[0], []).append(mail)
        return f"taken-{email.delivery_id}"


@dataclass(frozen=True)
class Reader:
    """A subscription. `changes` are wishes or acts by moment; `address` is that of the subscriber
    where they read several rubrics; they read this one from `since` until `until`.
    """

    name: str
    rubric: str
    zone: str = "UTC"
    hour: time = time(7, 0)
    days: tuple[str, ...] = WEEKDAYS
    changes: tuple[tuple[datetime, str, Mapping[str, object]], ...] = ()
    address: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def email(self) -> str:
        return f"{self.address or self.name}@example.org"

    @property
    def daily(self) -> bool:
        return self.days == WEEKDAYS and not self.changes

    @property
    def replies(self) -> bool:
        """Whether what they want is told by replies alone. `_who_reply` has them all."""
        return self.address in WHO_REPLY

    @property
    def chooses(self) -> bool:
        """Whether mail comes on some weekdays only."""
        return self.days not in (WEEKDAYS, WEEKLY) and not self.changes


@dataclass
class Year:
    """From `first` to `last`; `troubles` are the dates on which arXiv does not do as usual."""

    first: date
    last: date
    seed: int = 1
    papers_a_day: int = 24
    clock: Clock = field(init=False)
    timeline: ArxivTimeline = field(init=False)
    post: Post = field(init=False)
    readers: list[Reader] = field(default_factory=list)
    troubles: dict[str, date] = field(default_factory=dict)
    empty_pages: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a simulation
        self.clock = Clock(datetime.combine(self.first, time(12), UTC) - JOINED)
        self.timeline = ArxivTimeline(self.clock)
        self.post = Post(self.clock)
        self._fill()
        self._settle()

    @property
    def days(self) -> list[date]:
        """The dates our calendar gives an announcement."""
        found, day = [], following(self.first - timedelta(days=1))
        while day <= self.last:
            found.append(day)
            day = following(day)
        return found

    @property
    def real_days(self) -> list[date]:
        return [day for day in self.days if day not in self.timeline.holidays]

    @property
    def spoils(self) -> bool:
        """Whether arXiv answers with an empty first page now."""
        now = self.clock()
        return any(at <= now < at + timedelta(minutes=20) for at in self.empty_pages)

    def _pick(self, name: str, weekday: int, share: float) -> date:
        """A date of that weekday about so far into the year."""
        days = [day for day in self.days if day.weekday() == weekday]
        self.troubles[name] = found = days[min(int(share * len(days)), len(days) - 2)]
        return found

    def _fill(self) -> None:
        """A year's papers; each trouble on a date of its own."""
        self.timeline.holidays.add(self._pick("a holiday nobody knew of", 2, 0.2))
        self.timeline.delays[self._pick("a batch six hours late", 3, 0.35)] = timedelta(hours=6)
        for name in ("cs.LG", "math.ST"):
            self.timeline.stale.add((self._pick("a stale feed", 1, 0.5), name))
        self.timeline.feedless.add(self._pick("no feed", 0, 0.6))
        slow = self._pick("a batch that fills in slowly", 4, 0.8)
        late = self._pick("an empty first page", 3, 0.7)
        self.empty_pages = [announcement(late).public_from]
        number = 0
        day = following(self.first - timedelta(days=15))
        while day <= self.last:
            window = announcement(day)
            step = (window.end - window.start) / self.papers_a_day
            for place in range(self.papers_a_day):
                number += 1
                one = self._paper(number, window.start + step * (place + 0.5), day)
                slowly = day == slow and number % 2 and one.announced is None
                self.timeline.add(replace(one, lag=FILLED_IN) if slowly else one)
            day = following(day)

    def _paper(self, number: int, submitted: datetime, day: date) -> Submission:
        """Every 20th is cross-listed a day later, every 25th held for nine days, every 30th
        replaced, every 300th withdrawn; every 12th is accepted without a new version.
        """
        submitted = submitted.replace(second=0, microsecond=0)
        home = CATEGORIES[number % len(CATEGORIES)]
        held = day + timedelta(days=9)
        while not is_announced(held):
            held += timedelta(days=1)
        later = following(following(day))
        crosses = ((following(day), self._other(home)),) if number % 20 == 0 else ()
        versions = (Version(later, 2, {"abstract": "Anew."}),) if number % 30 == 0 else ()
        if number % 300 == 0:
            versions = (withdrawal(later),)
        return Submission(
            f"{submitted:%y%m}.{number:05d}",
            submitted,
            (home,),
            announced=held if number % 25 == 0 else None,
            crosses=crosses if number % 25 else (),
            versions=versions if number % 25 else (),
            notes=((later, ACCEPTED),) if is_accepted(number) else (),
            words={"title": f"{subject_of(number)}, part {number}"},
        )

    def _other(self, home: str) -> str:
        return self.random.choice([name for name in CATEGORIES if name != home])

    def _settle(self) -> None:
        """A daily reader or two in each zone, and those with wishes of their own."""
        slugs = list(RUBRICS)
        for place, zone in enumerate(ZONES):
            for rubric in sorted({slugs[place % 3], slugs[place // 3]}):
                name = f"{zone.rpartition('/')[2].lower()}-{rubric}"
                self.readers.append(Reader(name, rubric, zone))
        # Egypt's clocks change at midnight before a Friday, when there is mail.
        for hour in (time(0, 30), time(23, 30)):
            self.readers.append(Reader(f"cairo-{hour:%H%M}", "models", "Africa/Cairo", hour))
        self.readers.append(Reader("owl", "words", "America/New_York", time(2, 30)))
        for zone in ZONES[2::4]:
            name = zone.rpartition("/")[2].lower()
            self.readers.append(Reader(f"weekly-{name}", "models", zone, days=WEEKLY))
            self.readers.append(Reader(f"twice-{name}", "words", zone, days=("mon", "thu")))
        # Where Monday's announcement is read on Tuesday; and what is read when none is made.
        for name, zone, days in (
            ("mondays", "Asia/Tokyo", ("mon",)),
            ("some", "Pacific/Auckland", ("mon", "tue", "fri")),
            ("weekends", "Asia/Kathmandu", ("sat", "sun")),
            ("sundays", "Pacific/Honolulu", ("sun",)),
        ):
            self.readers.append(Reader(name, "words", zone, days=days))
        self.readers.append(Reader("weekly-numbers", "numbers", "Asia/Tokyo", days=WEEKLY))
        self.readers += [self._mover(), self._pauser("short", 5), self._pauser("longer", 12)]
        self.readers.append(self._waverer())
        self.readers += self._readers_of_two()
        self.readers += self._who_reply()
        self.readers += [
            Reader("writer-reads", "words", address="writer"),
            Reader("writer-writes", *OWN, address="writer"),
        ]

    def _moments(self, every: int) -> list[datetime]:
        noon = datetime.combine(self.first, time(12, 3), UTC)
        span = (self.last - self.first).days
        return [noon + timedelta(days=n) for n in range(every, span, every)]

    def _mover(self) -> Reader:
        """Travels and gets up at another hour every now and then."""
        changes = [
            (at, "save", {"timezone": ZONES[n % 8], "send_at": time(7 + n % 2, 0)})
            for n, at in enumerate(self._moments(13), 1)
        ]
        return Reader("mover", "models", changes=tuple(changes))

    def _pauser(self, name: str, days: int) -> Reader:
        changes = []
        for at in self._moments(45 if self._long else 14):
            changes.append((at, "pause", {}))
            changes.append((at + timedelta(days=days), "resume", {}))
        return Reader(f"pauser-{name}", "words", changes=tuple(changes))

    def _waverer(self) -> Reader:
        """Daily, weekly, some days, in turn."""
        turns = (WEEKLY, ("tue", "fri"), WEEKDAYS)
        changes = [(at, "save", {"days": turns[n % 3]}) for n, at in enumerate(self._moments(16))]
        return Reader("waverer", "numbers", changes=tuple(changes))

    def _readers_of_two(self) -> list[Reader]:
        """Addresses with two rubrics: of two cadences; one is left; one is added later."""
        middle = self._moments((self.last - self.first).days // 2)[0]
        pairs = (
            (Reader("two-daily", "models"), Reader("two-weekly", "words", days=WEEKLY)),
            (Reader("leaver-stays", "words"), Reader("leaver-leaves", "numbers", until=middle)),
            (Reader("adder-reads", "numbers"), Reader("adder-adds", "models", since=middle)),
        )
        return [
            replace(one, zone="Europe/Berlin", address=one.name.partition("-")[0])
            for pair in pairs
            for one in pair
        ]

    def _who_reply(self) -> list[Reader]:
        """Readers of two rubrics who ask for things by replies to one, and one who votes."""
        asks = self._said(37, ASKS)
        machine = self._said(37, ((4, "away", "weekly"), (25, "away", "unsubscribe")))
        middle = (self.last - self.first).days // 2
        parts = self._said(10_000, ((middle, "reply", "unsubscribe"),))
        votes = [
            (at, "vote", {"way": ("reply", "words", "link")[n % 3]})
            for n, at in enumerate(self._moments(1)[1:])
        ]
        found = (
            Reader("asker-asks", "words", changes=asks),
            Reader("asker-reads", "models", changes=machine),
            Reader("parter-parts", "models", changes=parts),
            Reader("parter-stays", "numbers"),
            Reader("voter-votes", "numbers", changes=tuple(votes)),
        )
        return [
            replace(one, zone="Europe/Berlin", address=one.name.partition("-")[0]) for one in found
        ]

    def _said(self, every: int, asks) -> tuple[tuple[datetime, str, Mapping[str, object]], ...]:
        """What is written on some days of each so many."""
        noon = datetime.combine(self.first, time(12, 3), UTC)
        span = (self.last - self.first).days
        return tuple(
            (noon + timedelta(days=start + day), act, {"said": said})
            for start in range(0, span, every)
            for day, act, said in asks
            if start + day < span
        )

    def is_wanted(self, paper: str) -> bool:
        """Whether those who vote want more like it."""
        return self.timeline.by_id[paper].words["title"].startswith(SUBJECTS[0])

    def box(self, reader: Reader) -> list[Mail]:
        """The mails of one subscription."""
        mails = self.post.boxes.get(reader.email.partition("@")[0], [])
        return [mail for mail in mails if not reader.address or mail.rubric == reader.rubric]

    @property
    def _long(self) -> bool:
        return (self.last - self.first).days > 100


class Spoilt(TimelineSource):
    """arXiv in memory, with the year's empty first pages."""

    def __init__(self, year: Year) -> None:
        super().__init__(year.timeline)
        self.year = year

    def submitted(self, categories, start, end, progress) -> list:
        return [] if self.year.spoils else super().submitted(categories, start, end, progress)


class Service:
    """The program over one year's world. May be made anew over the same folder."""

    def __init__(
        self,
        year: Year,
        folder: Path,
        fake: FakeArxiv | None = None,
        owner: str = "",
        database: str = "",
    ) -> None:
        """`database` is the URL of a migrated one; without it a SQLite file is made."""
        self.year = year
        self.clock = year.clock
        settings = Settings(
            _env_file=None,
            database_url=database or f"sqlite:///{folder / 'year.db'}",
            **({"arxiv_api_url": fake.url, "arxiv_rss_url": fake.rss_url} if fake else {}),
            arxiv_delay_seconds=0,
            scorer="local",
            # The clock stands while a morning is made: no call may wait for another one.
            scoring_concurrency=1,
            mailer="outbox",
            outbox_dir=folder / "outbox",
            rubrics_dir=folder / "rubrics",
            reader_rubrics=1,
            from_email="digest@example.org",
        )
        (folder / "rubrics").mkdir(exist_ok=True)
        _write_rubrics(folder / "rubrics")
        app = bootstrap.build_app(settings)
        self.app = replace(
            app,
            source=app.source if fake else Spoilt(year),
            clock=year.clock,
            scorer=FakeScorer(year.clock),
            mailer=year.post,
            renderer=Plain(),
        )
        self.daily_scheduler = DailyScheduler(
            self.app, LeaderElection(self.app.store, year.clock, owner=owner)
        )
        self.wakes = 0
        self.replies = Replies(self)
        self.whole: date | None = None

    def add_readers(self) -> None:
        """All readers subscribe."""
        for reader in self.year.readers:
            if not reader.since:
                self._subscribe(reader)

    def _subscribe(self, reader: Reader) -> None:
        given = Subscription(
            # The id of zeros is that of test mails.
            f"{self.year.readers.index(reader) + 1:032x}",
            reader.email,
            reader.rubric,
            timezone=reader.zone,
            send_at=reader.hour,
            days=reader.days,
        )
        with self.app.store.begin() as tx:
            known = subscriptions.find(tx, reader.email)
            if known is None:
                subscriptions.insert_new(tx, given, self.clock())
                return
            if reader.rubric in OWN:
                _save_own(tx, known.subscriber_id, reader.rubric, self.clock())
            added = subscriptions.add(tx, known.subscriber_id, reader.rubric, self.clock())
            subscriptions.set_preferences(tx, added, {"days": reader.days}, self.clock())

    def change(self, name: str, act: str, wishes: Mapping[str, object]) -> None:
        reader = next(one for one in self.year.readers if one.name == name)
        if act == "add":
            self._subscribe(reader)
            return
        if act in ("reply", "away"):
            self.replies.write(reader, str(wishes["said"]), machine=act == "away")
            return
        if act == "vote":
            self.replies.vote(reader, str(wishes["way"]))
            return
        with self.app.store.begin() as tx:
            found = subscriptions.of_address(tx, reader.email)
            known = next(one for one in found if one.rubric == reader.rubric)
            if act == "leave":
                subscriptions.leave(tx, known.id, "one-click", self.clock())
            elif act == "save":
                subscriptions.change(tx, known, replace(known, **wishes), self.clock())
            else:
                acts = {"pause": subscribers.pause, "resume": subscribers.resume}
                acts[act](tx, known.subscriber_id, "page", self.clock())

    def wake(self) -> None:
        """One wake-up: `make` serves too, and looks for what came late."""
        self.wakes += 1
        housekeeping.end_pauses(self.app, self.clock())
        self.daily_scheduler.build()
        housekeeping.run_hourly(self.app)

    def night(self) -> None:
        housekeeping.run_nightly(self.app)

    def lacking(self) -> bool:
        """Whether something announced is not made yet. What is made stays made."""
        day = self.app.source.newest(self.clock())
        if day != self.whole and not read_day(self.app, day).missing:
            self.whole = day
        return day != self.whole

    def close(self) -> None:
        self.app.store.close()


def _write_rubrics(folder: Path) -> None:
    for slug, categories in RUBRICS.items():
        (folder / f"{slug}.md").write_text(_markdown(slug, categories), encoding="utf-8")


def _markdown(slug: str, categories: tuple[str, ...]) -> str:
    head = f"---\ntitle: {slug}\ncategories: [{', '.join(categories)}]\n---\n"
    return f"{head}\n## Criteria\n\n1. On {slug}\n"


def _save_own(tx: Connection, subscriber_id: str, slug: str, now: datetime) -> None:
    """As a confirmed link does, with a slug that is the same in every run."""
    version = {"slug": slug, "version": 1, "text": _markdown(slug, OWN[slug]), "saved_at": now}
    tx.execute(insert(reader_rubric).values(slug=slug, subscriber_id=subscriber_id, created_at=now))
    tx.execute(insert(reader_rubric_version).values(**version, state="waiting"))
    reader_rubrics.confirm(tx, slug, 1, now)


@contextmanager
def arxiv_of(year: Year) -> Iterator[FakeArxiv]:
    """The year's arXiv over HTTP; at some hours its first page is empty."""
    with FakeArxiv(year.timeline.find, feed=year.timeline.feed) as fake:
        spoil = empty_page(0)

        def fault(request, reply):
            return spoil(request, reply) if year.spoils and _asks_for_papers(request) else reply

        fake.always = fault
        yield fake


def _asks_for_papers(request) -> bool:
    return bool(re.search("submittedDate", request.params.get("search_query", "")))


def events_of(year: Year) -> list[tuple[datetime, str, str, Mapping[str, object]]]:
    """What readers do, in the order of time."""
    found = [(at, one.name, act, how) for one in year.readers for at, act, how in one.changes]
    found += [(one.since, one.name, "add", {}) for one in year.readers if one.since]
    found += [(one.until, one.name, "leave", {}) for one in year.readers if one.until]
    return sorted(found, key=lambda event: event[0])
