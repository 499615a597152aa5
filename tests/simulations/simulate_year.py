"""A simulated year: every paper in one digest of each rubric, every reader served once and in time.

Run by `make simulate-year`; a short stretch of it is in the test suite. What is expected is worked
out here from arXiv's own calendar and from clocks on walls, not by the program's functions.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time as stopwatch
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from newsletter.domain.announcements import announcement, following
from newsletter.domain.mail import WEEKDAYS, WEEKLY
from newsletter.store import Store, digests
from tests.fakes.database import own_database
from tests.simulations.check_replies import check_answers, check_asked, check_votes
from tests.simulations.wall_clock import SOON, due_by_clock, wall_clock
from tests.simulations.year import (
    GRID,
    OWN,
    PHASE,
    RUBRICS,
    Mail,
    Reader,
    Service,
    Year,
    arxiv_of,
    events_of,
    is_accepted,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FIRST = date(2025, 10, 1)
OVERLAP = timedelta(days=7)
WEEKEND = (5, 6)
POLL = timedelta(minutes=15)
WEEK = timedelta(days=7)
NEWS_WITHIN = timedelta(days=2)
MADE_WITHIN = timedelta(hours=3)
"""After arXiv shows a batch. A day whose feed is stale is waited for."""


@dataclass
class Findings:
    """What was checked, and what was wrong."""

    checked: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def check(self, what: str, case: str, *, holds: bool) -> None:
        self.checked[what] += 1
        if not holds:
            self.wrong.append(f"{what}: {case}")


def simulate(
    year: Year,
    folder: Path,
    *,
    every_wake: bool = False,
    http: bool = False,
    database: str = "",
) -> Service:
    """Live through the year, waking where something may be due; or at every five minutes."""
    with arxiv_of(year) if http else nullcontext() as fake:
        service = Service(year, folder, fake, database=database)
        service.add_readers()
        live(year, service, every_wake=every_wake)
        return service


def live(year: Year, service: Service, *, every_wake: bool) -> None:
    hours = _moments(year)
    todo = events_of(year)
    year.clock.now = announcement(year.days[0]).public_from
    # The input ends there: what is announced after it has only cross-lists and versions.
    end = announcement(following(year.last)).public_from
    night = year.clock.now
    while year.clock.now < end:
        while todo and todo[0][0] <= year.clock.now:
            _, name, act, how = todo.pop(0)
            service.change(name, act, how)
        service.wake()
        if year.clock.now >= night:
            service.night()
            night += timedelta(days=7)
        year.clock.now = _next(year.clock.now, hours, service, every_wake=every_wake)


def _next(now: datetime, hours: list[datetime], service: Service, *, every_wake: bool) -> datetime:
    """The first wake-up of the five-minute grid at or after which anything may be due."""
    if every_wake:
        return _on_grid(now + GRID)
    while hours and hours[0] <= now:
        hours.pop(0)
    coming = hours[0] if hours else now + timedelta(days=1)
    if service.lacking():
        coming = min(coming, now + POLL)
    return max(now + GRID, _on_grid(coming))


def _on_grid(moment: datetime) -> datetime:
    past = (moment - PHASE).timestamp() % GRID.total_seconds()
    return moment if not past else moment + GRID - timedelta(seconds=past)


def _moments(year: Year) -> list[datetime]:
    """When an announcement appears, a reader acts, or the hour of any reader may come."""
    found = {at for at, *_ in events_of(year)}
    day = year.first - timedelta(days=1)
    while day <= year.last + timedelta(days=2):
        eastern = ZoneInfo("America/New_York")
        public = datetime.combine(day - timedelta(days=1), time(20), eastern).astimezone(UTC)
        if day.weekday() not in WEEKEND:
            found.add(public)
            for wish in _wishes(year, public):
                found |= _around(wish[0], due_by_clock(*wish, public))
        day += timedelta(days=1)
    return sorted(found)


def _around(zone: str, due: datetime) -> set[datetime]:
    """A moment, and where clocks have just changed one before it: a mail may not be early."""
    offsets = {(due - timedelta(days=n)).astimezone(ZoneInfo(zone)).utcoffset() for n in (0, 4)}
    return {due} if len(offsets) == 1 else {due - timedelta(minutes=50), due}


def _wishes(year: Year, moment: datetime) -> set[tuple[str, time, tuple[str, ...]]]:
    """The zones, hours and weekdays that somebody has in the week after a moment."""
    found = set()
    for one in year.readers:
        now = {"timezone": one.zone, "send_at": one.hour, "days": one.days}
        for at, _, how in one.changes:
            if at <= moment:
                now |= how
            elif at < moment + timedelta(days=8):
                found.add(_wish(now | how))
        found.add(_wish(now))
    return found


def _wish(how: Mapping[str, Any]) -> tuple[str, time, tuple[str, ...]]:
    days = WEEKDAYS if how["days"] == WEEKLY else how["days"]
    return how["timezone"], how["send_at"], days


# What is expected


def check(year: Year, service: Service) -> Findings:
    found = Findings()
    made = _made(service)
    _check_papers(year, service, found)
    _check_days(year, made, found)
    _check_news(year, service, found)
    for reader in year.readers:
        box = year.box(reader)
        days = made[reader.rubric]
        _check_once(reader, box, found)
        if reader.daily:
            _check_daily(year, reader, box, days, found)
        elif reader.chooses:
            _check_chosen(year, reader, box, days, found)
        elif reader.days == WEEKLY:
            _check_weekly(year, reader, box, days, found)
        if reader.replies:
            check_asked(year, reader, box, days, found)
        _check_complete(reader, box, days, found)
    check_answers(service, found)
    check_votes(service, made, found)
    return found


@dataclass(frozen=True)
class Made:
    """A digest of one day: when it was frozen, and its picks."""

    at: datetime
    picks: tuple[str, ...]
    papers: tuple[str, ...]


def _made(service: Service) -> dict[str, dict[date, Made]]:
    found: dict[str, dict[date, Made]] = {}
    with service.app.store.read() as tx:
        # Nobody pays for a rubric that nobody reads.
        for slug in sorted({reader.rubric for reader in service.year.readers}):
            found[slug] = {}
            at = {one.date: one.at for one in digests.saved_since(tx, slug, date(2000, 1, 1))}
            for digest in digests.between(tx, slug, date(2000, 1, 1), service.year.last):
                picks = tuple(pick.paper.id for pick in digest.picks)
                made = Made(at[digest.date], picks, digest.coverage.papers)
                found[slug][digest.date] = made
    return found


def _check_papers(year: Year, service: Service, found: Findings) -> None:
    """Every paper announced in a rubric's categories is in exactly one of its digests, and what was
    neither held nor cross-listed later is in that of its day.
    """
    made = _made(service)
    began, last = announcement(year.days[0]).start, year.days[-1]
    for slug, days in made.items():
        categories = (RUBRICS | OWN)[slug]
        seen = Counter(paper for day in days.values() for paper in day.papers)
        for one in year.timeline.submissions:
            mailing = year.timeline.mailing(one)
            names = {*one.categories, *(name for day, name in one.crosses if day < last)}
            ours = names & set(categories) and one.submitted >= began
            if not ours or not year.first <= mailing < last:
                continue
            times = seen[one.id]
            found.check(
                "a paper is in one digest of a rubric",
                f"{one.id} of {mailing} is in {times} digests of {slug}",
                holds=times == 1,
            )
            if one.announced is None and set(one.categories) & set(categories):
                found.check(
                    "a paper is in the digest of its day",
                    f"{one.id} of {mailing}, {slug}",
                    holds=mailing in days and one.id in days[mailing].papers,
                )


def _check_news(year: Year, service: Service, found: Findings) -> None:
    """Each accepted paper is told once in each rubric that mailed it: in the digest after the first
    weekly question at which arXiv says so, which may be one after a weekend.
    """
    for slug, days in _made(service).items():
        with service.app.store.read() as tx:
            told = [
                (one.paper_id, digest.date)
                for digest in digests.between(tx, slug, date(2000, 1, 1), year.last)
                for one in digest.news
            ]
        times = Counter(paper for paper, _ in told)
        for day, made in days.items():
            for paper in filter(_accepted, made.picks):
                asked = day + WEEK
                while asked < year.timeline.by_id[paper].notes[0][0]:
                    asked += WEEK
                case = f"{paper} of {day}, {slug}: told {times[paper]} times"
                found.check("news is told once at most", case, holds=times[paper] <= 1)
                if any(other >= asked + NEWS_WITHIN for other in days):
                    found.check("news is told", case, holds=times[paper] == 1)
        for paper, day in told:
            note = year.timeline.by_id[paper].notes
            case = f"{paper}, {slug}: told on {day}"
            found.check("only true news is told", case, holds=bool(note) and note[0][0] <= day)


def _accepted(paper: str) -> bool:
    return is_accepted(int(paper.partition(".")[2]))


def _check_days(year: Year, made: dict[str, dict[date, Made]], found: Findings) -> None:
    for slug, days in made.items():
        for day in year.real_days:
            shown = year.timeline.public(day)
            at = days[day].at if day in days else None
            found.check(
                "a digest is made soon after arXiv shows the batch",
                f"{slug} of {day}, shown at {shown:%d %H:%M}, was made at {at}",
                holds=at is not None and shown <= at <= shown + MADE_WITHIN,
            )


def _check_once(reader: Reader, box: list[Mail], found: Findings) -> None:
    times = Counter(paper for mail in box for paper in mail.papers)
    for paper, number in times.items():
        case = f"{reader.name} was sent {paper} {number} times"
        found.check("a reader is sent a paper once", case, holds=number == 1)


def _check_daily(
    year: Year, reader: Reader, box: list[Mail], days: dict[date, Made], found: Findings
) -> None:
    """One mail for each announcement, at the promised hour or once its batch was there."""
    by_day: dict[date, list[Mail]] = {}
    for mail in box:
        by_day.setdefault(mail.last, []).append(mail)
    for day in year.real_days:
        mails = by_day.pop(day, [])
        public = year.timeline.public(day) - year.timeline.delays.get(day, timedelta(0))
        due = wall_clock(reader.zone, reader.hour, public)
        if day not in days:
            continue
        wanted = max(due, days[day].at)
        case = f"{reader.name}, {day}: {len(mails)} mails"
        if (reader.since and wanted < reader.since) or (reader.until and wanted > reader.until):
            found.check("no mail before joining or after leaving", case, holds=not mails)
            continue
        if reader.until and wanted + SOON > reader.until:
            continue
        found.check("one mail for an announcement", case, holds=len(mails) == 1)
        for mail in mails:
            case = f"{reader.name}, {day}: at {mail.at}, due {due}, made {days[day].at}"
            on_time = wanted <= mail.at <= wanted + SOON and mail.first == day
            found.check("a mail comes at its hour", case, holds=on_time)
    case = f"{reader.name}: {sorted(by_day)}"
    found.check("no mail but for an announcement", case, holds=not by_day)


def _check_chosen(
    year: Year, reader: Reader, box: list[Mail], days: dict[date, Made], found: Findings
) -> None:
    """One mail on a weekday asked for, with all that was announced since the one before."""
    groups: dict[datetime, list[date]] = {}
    for day in year.days:
        public = year.timeline.public(day) - year.timeline.delays.get(day, timedelta(0))
        due = due_by_clock(reader.zone, reader.hour, reader.days, public)
        groups.setdefault(due, []).append(day)
    end = announcement(following(year.last)).public_from
    for due, dates in groups.items():
        real = [day for day in dates if day not in year.timeline.holidays]
        if due >= end or not real or dates[-1] not in days:
            continue
        wanted = max(due, days[dates[-1]].at)
        mails = [mail for mail in box if mail.last in dates]
        case = f"{reader.name}, {real[0]} to {real[-1]}: {len(mails)} mails"
        found.check("one mail on a weekday asked for", case, holds=len(mails) == 1)
        for mail in mails:
            case = f"{reader.name}, {mail.first} to {mail.last}: at {mail.at}, due {due}"
            on_time = wanted <= mail.at <= wanted + SOON
            # A reader's first mail holds one day.
            whole = mail.last == real[-1] and (mail is box[0] or mail.first == real[0])
            found.check("such a mail comes at its hour", case, holds=on_time and whole)


def _check_weekly(
    year: Year, reader: Reader, box: list[Mail], days: dict[date, Made], found: Findings
) -> None:
    """One mail for each week, with all its picks, at the hour after its last announcement."""
    weeks: dict[tuple[int, int], list[date]] = {}
    for day in year.days:
        weeks.setdefault(day.isocalendar()[:2], []).append(day)
    for week, dates in weeks.items():
        last = dates[-1]
        if following(last).isocalendar()[:2] == week or last not in days:
            continue
        mails = [mail for mail in box if mail.last in dates]
        case = f"{reader.name}, week to {last}: {len(mails)} mails"
        found.check("one mail for a week", case, holds=len(mails) == 1)
        due = wall_clock(reader.zone, reader.hour, year.timeline.public(last))
        wanted = max(due, days[last].at)
        for mail in mails:
            picks = {paper for day in dates if day in days for paper in days[day].picks}
            case = f"{reader.name}, week to {last}: at {mail.at}, due {due}"
            found.check("a week's mail has its best", case, holds=set(mail.papers) <= picks)
            found.check(
                "a week's mail comes at its hour",
                case,
                holds=wanted <= mail.at <= wanted + SOON,
            )


def _check_complete(
    reader: Reader, box: list[Mail], days: dict[date, Made], found: Findings
) -> None:
    """From the first mail to the last no pick is left out, whatever was paused or changed."""
    if not box:
        found.check("a reader is served", reader.name, holds=False)
        return
    mailed = {paper for mail in box for paper in mail.papers}
    for day, made in days.items():
        if box[0].first <= day <= max(mail.last for mail in box):
            missing = set(made.picks) - mailed
            case = f"{reader.name}, {day}: without {sorted(missing)[:3]}"
            found.check("no pick is kept from a reader", case, holds=_is_excused(missing))


def _is_excused(missing: set[str]) -> bool:
    """A withdrawn paper may be left out of a mail that sums up its day."""
    return all(int(paper.partition(".")[2]) % 300 == 0 for paper in missing)


@dataclass(frozen=True)
class Stretch:
    """What is lived through by one service, from the first day to the last."""

    first: date
    last: date
    seed: int
    every_wake: bool
    http: bool
    database: str


@dataclass
class Lived:
    """What came of one stretch, or of all."""

    dates: set[date] = field(default_factory=set)
    troubles: list[tuple[date, str]] = field(default_factory=list)
    readers: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    found: Findings = field(default_factory=Findings)
    seconds: float = 0.0

    def add(self, other: Lived) -> None:
        self.dates |= other.dates
        self.troubles += other.troubles
        self.readers = max(self.readers, other.readers)
        self.counts += other.counts
        self.found.checked += other.found.checked
        self.found.wrong += other.found.wrong
        self.seconds += other.seconds


def stretches(first: date, days: int, lives: int) -> list[tuple[date, date]]:
    """So many days shared out among services that live side by side, each on from a week before the
    last one ends: so what waits over the border is seen by one of them.
    """
    length = -(-days // lives)
    starts = [first + timedelta(days=length * n) for n in range(lives)]
    ends = [*starts[1:], first + timedelta(days=days)]
    return [
        (start - OVERLAP if number else start, end)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


@contextmanager
def _migrated(server: str) -> Iterator[str]:
    """The URL of a new database of that server."""
    with own_database(server) as url:
        store = Store(url)
        store.migrate()
        store.close()
        yield url


def live_through(stretch: Stretch) -> Lived:
    year = Year(stretch.first, stretch.last, stretch.seed)
    with (
        tempfile.TemporaryDirectory(dir=_quick_place()) as folder,
        _migrated(stretch.database) if stretch.database else nullcontext("") as database,
    ):
        service = simulate(
            year,
            Path(folder),
            every_wake=stretch.every_wake,
            http=stretch.http,
            database=database,
        )
        found = check(year, service)
        service.close()
    mails = sum(map(len, year.post.boxes.values()))
    counts = Counter(papers=len(year.timeline.submissions), mails=mails, wakes=service.wakes)
    troubles = [(day, name) for name, day in year.troubles.items()]
    took = stopwatch.process_time()
    readers = len({one.email for one in year.readers})
    return Lived(set(year.real_days), troubles, readers, counts, found, took)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lives", type=int, default=2, help="stretches lived side by side")
    parser.add_argument("--every-wake", action="store_true", help="wake at every five minutes")
    parser.add_argument("--http", action="store_true", help="arXiv over HTTP, not in memory")
    parser.add_argument("--database", default="", metavar="URL", help="a PostgreSQL server")
    given = parser.parse_args()
    parts = [
        Stretch(first, last, given.seed + number, given.every_wake, given.http, given.database)
        for number, (first, last) in enumerate(stretches(FIRST, given.days, given.lives))
    ]
    started = stopwatch.monotonic()
    whole = Lived()
    with ProcessPoolExecutor(len(parts), get_context("spawn")) as pool:
        for lived in pool.map(live_through, parts):
            whole.add(lived)
    _print(parts, whole, stopwatch.monotonic() - started)
    return 1 if whole.found.wrong else 0


def _quick_place() -> str | None:
    memory = Path("/dev/shm")  # noqa: S108 - a place in memory, where there is one
    return str(memory) if memory.is_dir() else None


def _print(parts: Sequence[Stretch], whole: Lived, seconds: float) -> None:
    for part in parts:
        print(f"{part.first} to {part.last}")
    print(f"{len(whole.dates)} announcements, {whole.counts['papers']:,} papers, ", end="")
    print(f"{whole.readers} readers, {whole.counts['mails']:,} mails, ", end="")
    print(f"{whole.counts['wakes']:,} wake-ups")
    for day, name in sorted(whole.troubles):
        print(f"  {day}  {name}")
    wrong = whole.found.wrong
    for what, number in whole.found.checked.items():
        faults = sum(case.startswith(what) for case in wrong)
        print(f"{number:8,} x {what}{f': {faults} WRONG' if faults else ''}")
    for case in wrong[:40]:
        print("WRONG", case)
    print("all holds" if not wrong else f"{len(wrong)} wrong", end="")
    print(f", {seconds:.0f} s, {whole.seconds:.0f} s of processor time")


if __name__ == "__main__":
    sys.exit(main())
