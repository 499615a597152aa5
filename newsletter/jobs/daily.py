"""The morning: fetch, triage, score, digest, render, deliver.

    fetch    what arXiv announced, once for every rubric
    triage   the papers a rubric wants read, the likeliest first
    score    what is not scored yet
    digest   the picks in order, the near misses, the receipt; frozen
    render   once for each format and length the rubric's readers chose
    deliver  one email to each reader who has none of this digest

From triage on it is cut into units of work (`jobs/tasks.py`), which the engine places
(`jobs/engine.py`).
Whoever runs it twice, or kills it half-way and runs it again, gets the same morning once.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from newsletter import logs, process
from newsletter.delivery import planner
from newsletter.delivery.sender import Tally
from newsletter.domain.mail import DeliveryState
from newsletter.domain.send_times import first_due
from newsletter.errors import safely
from newsletter.ingest.fetch import BatchGrowing, Fetched, fetch
from newsletter.ingest.status import is_whole
from newsletter.jobs import tasks
from newsletter.jobs.instrumentation import note_issues, step
from newsletter.process import draining
from newsletter.rubric_folder import reread, why_missing
from newsletter.scoring.workload import fresh
from newsletter.store import claims, deliveries, digests, monitoring, subscribers
from newsletter.store.tasks import Ending, Kind, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

    from newsletter.context import Report, Room
    from newsletter.delivery.planner import Owed
    from newsletter.domain.model import Digest, Rubric

log = logging.getLogger(__name__)


class Issue(NamedTuple):
    """What became of one rubric: its digest and its mails, or the trouble in words.

    `sent` are the mails of this run, `already` those that other runs had sent. `announced` counts
    the papers of a digest that could not be made.
    """

    rubric: Rubric
    digest: Digest | None = None
    tally: Tally = Tally()
    trouble: str = ""
    digest_id: int | None = None
    announced: int = 0

    @property
    def sent(self) -> int:
        return self.tally.sent

    @property
    def already(self) -> int:
        return self.tally.accepted - self.tally.sent


class Held(NamedTuple):
    """Readers whose rubric is not there or can't be read, and why."""

    slug: str
    readers: int
    reason: str


class Edition(NamedTuple):
    date: date
    issues: tuple[Issue, ...]
    held: tuple[Held, ...] = ()

    @property
    def troubled(self) -> bool:
        return bool(self.held) or any(issue.trouble for issue in self.issues)


def run_edition(room: Room, day: date | None, only: str | None, report: Report) -> Edition:
    """One announcement for every rubric that has readers, or for `only`, whether it has or not.

    Everyone is mailed whose weekday it is. One rubric's trouble is its own. Raises what stops all
    of them: SourceError, BatchLate, BatchGrowing, StoreError, Stopped.
    """
    rubrics = wanted(room, only)
    waiting = () if only else held(room)
    if not rubrics:
        return Edition(day or room.source.newest(room.clock()), (), waiting)
    date_of = fetch_for(room, rubrics, day, report).date
    made = make_issues(room, rubrics, date_of, report, by=None)
    return Edition(date_of, tuple(mail_issues(room, made, report)), waiting)


def make_edition(room: Room, report: Report) -> Edition:
    """The newest announcement for every rubric that has readers, frozen and not mailed.

    Whose mail is due first says by when the scores are wanted. Raises as `run_edition` does, and
    BatchGrowing while no rubric's categories are whole.
    """
    rubrics = wanted(room, None)
    if not rubrics:
        return Edition(room.source.newest(room.clock()), (), held(room))
    date_of, rubrics = whole_today(room, rubrics, report)
    by = first_wanted(room, rubrics, date_of)
    return Edition(date_of, tuple(make_issues(room, rubrics, date_of, report, by)), held(room))


def first_wanted(room: Room, rubrics: Iterable[Rubric], day: date) -> datetime | None:
    """When the first reader of what is not made yet is due; None where nobody is."""
    open_ones = unmade(room, rubrics, day)
    with room.store.read() as tx:
        readers = [one for rubric in open_ones for one in monitoring.wishes(tx, rubric.slug)]
    return first_due(day, readers, room.settings.zone, room.settings.send_at)


def unmade(room: Room, rubrics: Iterable[Rubric], day: date) -> list[Rubric]:
    with room.store.read() as tx:
        made = digests.made_on(tx, day)
    return [rubric for rubric in rubrics if rubric.slug not in made]


def wanted(room: Room, only: str | None) -> list[Rubric]:
    """The rubrics a morning is for, as their files are now. Nobody pays for one nobody reads."""
    reread(room.rubrics)
    if only is not None:
        return [room.rubrics[only]]
    with room.store.read() as tx:
        read = subscribers.readers(tx).keys()
    return [rubric for slug, rubric in sorted(room.rubrics.items()) if slug in read]


def held(room: Room) -> tuple[Held, ...]:
    """Who waits for a rubric that is not there or can't be read. All others are served."""
    with room.store.read() as tx:
        read = subscribers.readers(tx)
    lacking = sorted(read.keys() - room.rubrics.keys())
    return tuple(Held(slug, read[slug], why_missing(room.rubrics, slug)) for slug in lacking)


def whole_today(room: Room, rubrics: list[Rubric], report: Report) -> tuple[date, list[Rubric]]:
    """The newest announcement, and the rubrics for which all of it is there."""
    try:
        return fetch_for(room, rubrics, None, report, settle=True).date, rubrics
    except BatchGrowing as growing:
        whole = [one for one in rubrics if is_whole(room.store, one.categories, growing.date)]
        if not whole:
            raise
        return growing.date, whole


def fetch_for(
    room: Room,
    rubrics: list[Rubric],
    day: date | None,
    report: Report,
    *,
    settle: bool = False,
) -> Fetched:
    with step(room, "fetch", day, keep=True) as line:
        done = fetch(
            room.store,
            room.source,
            sorted({category for rubric in rubrics for category in rubric.categories}),
            day,
            room.clock(),
            lookback_days=room.settings.lookback_days,
            progress=lambda done, total: report("Fetching", done, total),
            settle=settle,
        )
        line.update(idle=done.already, edition=done.date, papers=done.papers, late=done.late)
    return done


def make_issues(
    room: Room, rubrics: list[Rubric], day: date, report: Report, by: datetime | None
) -> list[Issue]:
    """Each rubric's digest, made and frozen, or why it could not be."""
    with step(room, "score", day, keep=True) as line:
        # What fails for all is met again, and told, where each rubric's digest is made.
        line["idle"] = not place(room, tasks.groups(unmade(room, rubrics, day), day, by), report)
        open_ones = [Unit(Kind.DIGEST, day, (one.slug,), by) for one in unmade(room, rubrics, day)]
        placed = zip(open_ones, place(room, open_ones, report), strict=True)
        endings = {unit.ids[0]: ending for unit, ending in placed}
    made = [_issue(room, rubric, day, endings.get(rubric.slug, Ending())) for rubric in rubrics]
    note_issues(room, day, [(one.rubric.slug, one.digest, one.trouble) for one in made])
    return made


def _issue(room: Room, rubric: Rubric, day: date, ending: Ending) -> Issue:
    if ending.trouble:
        announced = len(fresh(room, rubric, day))
        return Issue(rubric, ending.digest, trouble=ending.trouble, announced=announced)
    if ending.digest:
        return Issue(rubric, ending.digest, digest_id=ending.digest_id)
    with room.store.read() as tx:
        stored = digests.load(tx, rubric.slug, day)
    if stored is None:
        return Issue(rubric, trouble="its digest was made and is not there; run again")
    return Issue(rubric, stored[1], digest_id=stored[0])


def mail_issues(room: Room, made: Iterable[Issue], report: Report) -> list[Issue]:
    """Send everyone what he is owed up to that date; what is done already is only counted."""
    issues = list(made)
    owed = {issue.rubric.slug: _owed(room, issue) for issue in issues}
    tallies = mail(room, [one for found in owed.values() for one in found], report)
    return [
        _mailed(issue, [tallies[one.digest_id] for one in owed[issue.rubric.slug]])
        for issue in issues
    ]


def _owed(room: Room, issue: Issue) -> list[Owed]:
    """The digests that readers of the rubric wait for now that this issue is there."""
    if issue.digest is None or issue.digest_id is None:
        return []
    return planner.owe_all(room.store, issue.rubric.slug, issue.digest.date, room.clock())


def _mailed(issue: Issue, tallies: Sequence[Tally]) -> Issue:
    if not tallies:
        return issue
    counts: Counter[str] = Counter()
    for tally in tallies:
        counts.update({key: n for key, n in asdict(tally).items() if key != "halted_reason"})
    trouble = next((tally.halted_reason for tally in tallies if tally.halted_reason), "")
    return issue._replace(tally=Tally(**counts, halted_reason=trouble), trouble=trouble)


def mail(room: Room, owed: Sequence[Owed], report: Report) -> dict[int, Tally]:
    """Send what is written down as owed of these digests; how each stands. Raises Stopped.

    The trouble of one digest is in its tally and its own.
    """
    with room.store.begin() as tx:
        claims.expire(tx, room.clock(), process.is_gone)
        counts = {one.digest_id: deliveries.count(tx, one.digest_id) for one in owed}
    if not owed:
        return {}
    lanes = [
        lane
        for one in owed
        for lane in tasks.lanes(
            one.digest_id, one.day, counts[one.digest_id].get(DeliveryState.PENDING, 0)
        )
    ]
    said: dict[int, list[Ending]] = {one.digest_id: [] for one in owed}
    with draining(room.stop), step(room, "send", keep=True) as line:
        line["idle"] = not lanes
        for lane, ending in zip(lanes, place(room, lanes, report), strict=True):
            said[int(lane.ids[0])].append(ending)
    return {digest_id: _tally(room, digest_id, endings) for digest_id, endings in said.items()}


def _tally(room: Room, digest_id: int, endings: Iterable[Ending]) -> Tally:
    with room.store.read() as tx:
        counts = deliveries.count(tx, digest_id)
    states = {state.value: number for state, number in counts.items()}
    trouble = next((ending.trouble for ending in endings if ending.trouble), "")
    sent = sum(ending.sent for ending in endings)
    return Tally(**states, halted_reason=trouble, sent=sent)


def place(room: Room, todo: Sequence[Unit], report: Report) -> list[Ending]:
    """Have units done wherever the engine has them done; what became of each. Raises Stopped."""
    return room.engine.run(todo, partial(work, room, report), report, room.stop)


def work(room: Room, report: Report, unit: Unit) -> Ending:
    """Do one unit here. Raises nothing but Stopped."""
    named = {"edition": unit.day.isoformat()}
    if unit.kind is Kind.DIGEST:
        named["rubric"] = unit.ids[0]
    with logs.bound(**named):
        ending, trouble = safely(str(unit), partial(tasks.do, room, unit, report))
    return ending or Ending(trouble)
