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
from newsletter.errors import run_guarded
from newsletter.ingest.fetch import AnnouncementIncomplete, FetchResult, fetch
from newsletter.ingest.status import is_complete
from newsletter.jobs import tasks
from newsletter.jobs.instrumentation import record_results, timed_step
from newsletter.process import stop_on_signal
from newsletter.rubric_folder import reread, why_missing
from newsletter.scoring.workload import new_listings
from newsletter.store import claims, deliveries, digests, monitoring, subscribers
from newsletter.store.tasks import Task, TaskKind, TaskResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

    from newsletter.context import App
    from newsletter.delivery.planner import PlannedDigest
    from newsletter.domain.model import Digest, Rubric
    from newsletter.domain.progress import StageProgress

log = logging.getLogger(__name__)


class RubricResult(NamedTuple):
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


class DailyRun(NamedTuple):
    date: date
    issues: tuple[RubricResult, ...]
    held: tuple[Held, ...] = ()

    @property
    def troubled(self) -> bool:
        return bool(self.held) or any(issue.trouble for issue in self.issues)


def run_daily(app: App, day: date | None, only: str | None, report: StageProgress) -> DailyRun:
    """One announcement for every rubric that has readers, or for `only`, whether it has or not.

    Everyone is mailed whose weekday it is. One rubric's trouble is its own. Raises what stops all
    of them: SourceError, AnnouncementLate, AnnouncementIncomplete, StoreError, Stopped.
    """
    rubrics = rubrics_to_run(app, only)
    waiting = () if only else held(app)
    if not rubrics:
        return DailyRun(day or app.source.newest(app.clock()), (), waiting)
    date_of = fetch_for(app, rubrics, day, report).date
    made = make_digests(app, rubrics, date_of, report, by=None)
    return DailyRun(date_of, tuple(deliver_digests(app, made, report)), waiting)


def build_digests(app: App, report: StageProgress) -> DailyRun:
    """The newest announcement for every rubric that has readers, frozen and not mailed.

    Whose mail is due first says by when the scores are wanted. Raises as `run_edition` does, and
    AnnouncementIncomplete while no rubric's categories are whole.
    """
    rubrics = rubrics_to_run(app, None)
    if not rubrics:
        return DailyRun(app.source.newest(app.clock()), (), held(app))
    date_of, rubrics = complete_rubrics(app, rubrics, report)
    by = first_send_time(app, rubrics, date_of)
    return DailyRun(date_of, tuple(make_digests(app, rubrics, date_of, report, by)), held(app))


def first_send_time(app: App, rubrics: Iterable[Rubric], day: date) -> datetime | None:
    """When the first reader of what is not made yet is due; None where nobody is."""
    open_ones = missing_digests(app, rubrics, day)
    with app.store.read() as tx:
        readers = [
            one for rubric in open_ones for one in monitoring.send_preferences(tx, rubric.slug)
        ]
    return first_due(day, readers, app.settings.zone, app.settings.send_at)


def missing_digests(app: App, rubrics: Iterable[Rubric], day: date) -> list[Rubric]:
    with app.store.read() as tx:
        made = digests.rubrics_with_digest(tx, day)
    return [rubric for rubric in rubrics if rubric.slug not in made]


def rubrics_to_run(app: App, only: str | None) -> list[Rubric]:
    """The rubrics a morning is for, as their files are now. Nobody pays for one nobody reads."""
    reread(app.rubrics)
    if only is not None:
        return [app.rubrics[only]]
    with app.store.read() as tx:
        read = subscribers.count_by_rubric(tx).keys()
    return [rubric for slug, rubric in sorted(app.rubrics.items()) if slug in read]


def held(app: App) -> tuple[Held, ...]:
    """Who waits for a rubric that is not there or can't be read. All others are served."""
    with app.store.read() as tx:
        read = subscribers.count_by_rubric(tx)
    lacking = sorted(read.keys() - app.rubrics.keys())
    return tuple(Held(slug, read[slug], why_missing(app.rubrics, slug)) for slug in lacking)


def complete_rubrics(
    app: App, rubrics: list[Rubric], report: StageProgress
) -> tuple[date, list[Rubric]]:
    """The newest announcement, and the rubrics for which all of it is there."""
    try:
        return fetch_for(app, rubrics, None, report, wait_until_complete=True).date, rubrics
    except AnnouncementIncomplete as growing:
        whole = [one for one in rubrics if is_complete(app.store, one.categories, growing.date)]
        if not whole:
            raise
        return growing.date, whole


def fetch_for(
    app: App,
    rubrics: list[Rubric],
    day: date | None,
    report: StageProgress,
    *,
    wait_until_complete: bool = False,
) -> FetchResult:
    with timed_step(app, "fetch", day, keep=True) as line:
        done = fetch(
            app.store,
            app.source,
            sorted({category for rubric in rubrics for category in rubric.categories}),
            day,
            app.clock(),
            lookback_days=app.settings.lookback_days,
            progress=lambda done, total: report("Fetching", done, total),
            wait_until_complete=wait_until_complete,
        )
        line.update(idle=done.already, edition=done.date, papers=done.papers, late=done.late)
    return done


def make_digests(
    app: App, rubrics: list[Rubric], day: date, report: StageProgress, by: datetime | None
) -> list[RubricResult]:
    """Each rubric's digest, made and frozen, or why it could not be."""
    with timed_step(app, "score", day, keep=True) as line:
        # What fails for all is met again, and told, where each rubric's digest is made.
        line["idle"] = not dispatch(
            app, tasks.scoring_groups(missing_digests(app, rubrics, day), day, by), report
        )
        open_ones = [
            Task(TaskKind.DIGEST, day, (one.slug,), by)
            for one in missing_digests(app, rubrics, day)
        ]
        placed = zip(open_ones, dispatch(app, open_ones, report), strict=True)
        endings = {unit.ids[0]: ending for unit, ending in placed}
    made = [_issue(app, rubric, day, endings.get(rubric.slug, TaskResult())) for rubric in rubrics]
    record_results(app, day, [(one.rubric.slug, one.digest, one.trouble) for one in made])
    return made


def _issue(app: App, rubric: Rubric, day: date, ending: TaskResult) -> RubricResult:
    if ending.trouble:
        announced = len(new_listings(app, rubric, day))
        return RubricResult(rubric, ending.digest, trouble=ending.trouble, announced=announced)
    if ending.digest:
        return RubricResult(rubric, ending.digest, digest_id=ending.digest_id)
    with app.store.read() as tx:
        stored = digests.load(tx, rubric.slug, day)
    if stored is None:
        return RubricResult(rubric, trouble="its digest was made and is not there; run again")
    return RubricResult(rubric, stored[1], digest_id=stored[0])


def deliver_digests(
    app: App, made: Iterable[RubricResult], report: StageProgress
) -> list[RubricResult]:
    """Send everyone what he is owed up to that date; what is done already is only counted."""
    issues = list(made)
    owed = {issue.rubric.slug: _owed(app, issue) for issue in issues}
    tallies = send_deliveries(app, [one for found in owed.values() for one in found], report)
    return [
        _mailed(issue, [tallies[one.digest_id] for one in owed[issue.rubric.slug]])
        for issue in issues
    ]


def _owed(app: App, issue: RubricResult) -> list[PlannedDigest]:
    """The digests that readers of the rubric wait for now that this issue is there."""
    if issue.digest is None or issue.digest_id is None:
        return []
    return planner.plan_all(app.store, issue.rubric.slug, issue.digest.date, app.clock())


def _mailed(issue: RubricResult, tallies: Sequence[Tally]) -> RubricResult:
    if not tallies:
        return issue
    counts: Counter[str] = Counter()
    for tally in tallies:
        counts.update({key: n for key, n in asdict(tally).items() if key != "halted_reason"})
    trouble = next((tally.halted_reason for tally in tallies if tally.halted_reason), "")
    return issue._replace(tally=Tally(**counts, halted_reason=trouble), trouble=trouble)


def send_deliveries(
    app: App, owed: Sequence[PlannedDigest], report: StageProgress
) -> dict[int, Tally]:
    """Send what is written down as owed of these digests; how each stands. Raises Stopped.

    The trouble of one digest is in its tally and its own.
    """
    with app.store.begin() as tx:
        claims.expire_leases(tx, app.clock(), process.is_dead)
        counts = {one.digest_id: deliveries.count(tx, one.digest_id) for one in owed}
    if not owed:
        return {}
    lanes = [
        lane
        for one in owed
        for lane in tasks.shards(
            one.digest_id, one.day, counts[one.digest_id].get(DeliveryState.PENDING, 0)
        )
    ]
    said: dict[int, list[TaskResult]] = {one.digest_id: [] for one in owed}
    with stop_on_signal(app.stop), timed_step(app, "send", keep=True) as line:
        line["idle"] = not lanes
        for lane, ending in zip(lanes, dispatch(app, lanes, report), strict=True):
            said[int(lane.ids[0])].append(ending)
    return {digest_id: _tally(app, digest_id, endings) for digest_id, endings in said.items()}


def _tally(app: App, digest_id: int, endings: Iterable[TaskResult]) -> Tally:
    with app.store.read() as tx:
        counts = deliveries.count(tx, digest_id)
    states = {state.value: number for state, number in counts.items()}
    trouble = next((ending.trouble for ending in endings if ending.trouble), "")
    sent = sum(ending.sent for ending in endings)
    return Tally(**states, halted_reason=trouble, sent=sent)


def dispatch(app: App, todo: Sequence[Task], report: StageProgress) -> list[TaskResult]:
    """Have units done wherever the engine has them done; what became of each. Raises Stopped."""
    return app.engine.run(todo, partial(handle_task, app, report), report, app.stop)


def handle_task(app: App, report: StageProgress, unit: Task) -> TaskResult:
    """Do one unit here. Raises nothing but Stopped."""
    named = {"edition": unit.day.isoformat()}
    if unit.kind is TaskKind.DIGEST:
        named["rubric"] = unit.ids[0]
    with logs.bound(**named):
        ending, trouble = run_guarded(str(unit), partial(tasks.run_task, app, unit, report))
    return ending or TaskResult(trouble)
