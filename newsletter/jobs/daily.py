"""The daily run: fetch, triage, score, compose, render, deliver.

    fetch    store the papers that arXiv announced, once for all rubrics
    triage   choose the papers that the model scores, the likeliest first
    score    score the papers that have no score yet
    compose  make one digest for each rubric: picks, near misses, receipt; freeze it
    render   lay out a digest once for each format and length that its readers chose
    deliver  send one email to each reader who has none of this digest

From triage on the work is split into tasks (`jobs/tasks.py`), which an engine runs
(`jobs/engine.py`). A run that is repeated, or killed and repeated, does nothing twice.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from newsletter import logs
from newsletter.delivery import planner
from newsletter.delivery.sender import Tally
from newsletter.domain.alerts import READER_RUBRICS
from newsletter.domain.mail import DeliveryState
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.domain.send_times import first_due
from newsletter.domain.tasks import Task, TaskKind, TaskResult
from newsletter.errors import run_guarded
from newsletter.ingest.fetch import AnnouncementIncomplete, fetch
from newsletter.jobs import tasks
from newsletter.jobs.instrumentation import record_results, timed_step
from newsletter.process import stop_on_signal
from newsletter.rubrics.folder import faults_of, reread, why_missing
from newsletter.scoring.workload import needed_later, new_listings
from newsletter.store import (
    StoreError,
    audience,
    claims,
    deliveries,
    digests,
    leases,
    ledger,
    subscribers,
    subscriptions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from newsletter.context import App
    from newsletter.delivery.planner import PlannedDigest
    from newsletter.domain.model import Digest, Rubric
    from newsletter.domain.progress import StageProgress

log = logging.getLogger(__name__)


def run_daily(app: App, day: date | None, only: str | None, report: StageProgress) -> DailyRun:
    """Make and mail the digests of one announcement, the newest if `day` is None.

    For every rubric that has readers, or for the rubric `only`, with or without readers. Mails all
    readers whose weekday it is. A rubric that fails does not stop the others. Raises what stops all
    of them: SourceError, AnnouncementLate, AnnouncementIncomplete, StoreError, Stopped.
    """
    with app.store.begin() as tx:
        subscribers.end_pauses(tx, app.clock())
    state = read_day(app, day, only)
    fetch_papers(app, state, day, report)
    composed = score_and_compose(app, state, report)
    results = render_and_deliver(app, composed, report)
    return DailyRun(state.date, tuple(results), state.unserved)


def build_digests(app: App, state: DayState, report: StageProgress) -> DailyRun:
    """Freeze the digests of the newest announcement for every rubric with readers; mail nothing.

    The first send time is the deadline for the scores. Raises as `run_daily` does;
    AnnouncementIncomplete while no rubric's categories are complete.
    """
    complete = fetch_complete_rubrics(app, state, report)
    deadline = first_send_time(app, complete.missing, state.date)
    composed = score_and_compose(app, complete, report, deadline)
    return DailyRun(state.date, tuple(composed), state.unserved)


@dataclass(frozen=True, slots=True)
class DayState:
    """The state of one date, read from the database once for each run.

    `rubrics` have readers, or one of them was asked for; `made` are those with a digest of the
    date. `as_of` is the time of reading, which decided the newest date.
    """

    date: date
    as_of: datetime
    rubrics: tuple[Rubric, ...]
    made: frozenset[str]
    readers: Mapping[str, int]
    unserved: tuple[UnservedRubric, ...] = ()

    @property
    def missing(self) -> list[Rubric]:
        """The rubrics without a digest of the date."""
        return [rubric for rubric in self.rubrics if rubric.slug not in self.made]

    @property
    def categories(self) -> list[str]:
        return sorted({category for rubric in self.rubrics for category in rubric.categories})


class RubricResult(NamedTuple):
    """The result of one rubric: its digest and its mails, or the problem in words.

    `sent` counts the mails of this run, `already` those that earlier runs had sent. `announced`
    counts the papers of a digest that could not be made.
    """

    rubric: Rubric
    digest: Digest | None = None
    tally: Tally = Tally()
    problem: str = ""
    digest_id: int | None = None
    announced: int = 0

    @property
    def sent(self) -> int:
        return self.tally.sent

    @property
    def already(self) -> int:
        return self.tally.accepted - self.tally.sent


class UnservedRubric(NamedTuple):
    """A rubric with readers whose file is missing or can't be read, and why."""

    slug: str
    readers: int
    reason: str


class DailyRun(NamedTuple):
    date: date
    results: tuple[RubricResult, ...]
    unserved: tuple[UnservedRubric, ...] = ()

    @property
    def has_problems(self) -> bool:
        return bool(self.unserved) or any(result.problem for result in self.results)


# State of the day


def read_day(app: App, day: date | None = None, only: str | None = None) -> DayState:
    """Read the state of `day`, or of the newest announcement.

    Takes the rubrics that have readers, as their files are now, or the rubric `only`.
    """
    reread(app.rubrics)
    now = app.clock()
    of = day or app.source.newest(now)
    with app.store.read() as tx:
        readers = subscriptions.count_by_rubric(tx)
        made = frozenset(digests.rubrics_with_digest(tx, of))
    if only is not None:
        return DayState(of, now, (app.rubrics[only],), made, readers)
    chosen = tuple(rubric for slug, rubric in sorted(app.rubrics.items()) if slug in readers)
    return DayState(of, now, chosen, made, readers, unserved_rubrics(app.rubrics, readers))


def unserved_rubrics(
    rubrics: Mapping[str, Rubric], readers: Mapping[str, int]
) -> tuple[UnservedRubric, ...]:
    """The rubrics with readers that are missing or can't be read. All others are served.

    A reader rubric that is not there is paused or turned off. Those that can't be read are one.
    """
    missing = sorted(readers.keys() - rubrics.keys())
    found = [
        UnservedRubric(slug, readers[slug], why_missing(rubrics, slug))
        for slug in missing
        if not is_reader_rubric(slug)
    ]
    faults = faults_of(rubrics)
    if broken := [slug for slug in missing if is_reader_rubric(slug) and slug in faults]:
        held = sum(readers[slug] for slug in broken)
        found.append(UnservedRubric(READER_RUBRICS, held, why_missing(rubrics, broken[0])))
    return tuple(found)


def first_send_time(app: App, rubrics: Iterable[Rubric], day: date) -> datetime | None:
    """The earliest send time of the rubrics' digests of `day`; None without readers."""
    with app.store.read() as tx:
        readers = [one for rubric in rubrics for one in audience.first_readers(tx, rubric.slug)]
    return first_due(day, readers, app.settings.zone, app.settings.send_at)


# Fetch


def fetch_papers(
    app: App,
    state: DayState,
    day: date | None,
    report: StageProgress,
    *,
    wait_until_complete: bool = False,
) -> None:
    """Store the papers of an announcement in all categories of the rubrics."""
    if not state.rubrics:
        return
    with timed_step(app, "fetch", day, keep=True) as fields:
        done = fetch(
            app.store,
            app.source,
            state.categories,
            day,
            state.as_of,
            lookback_days=app.settings.lookback_days,
            progress=partial(report, "Fetching"),
            wait_until_complete=wait_until_complete,
        )
        fields.update(idle=done.already, edition=done.date, papers=done.papers, late=done.late)


def fetch_complete_rubrics(app: App, state: DayState, report: StageProgress) -> DayState:
    """Fetch the newest announcement; the state of the rubrics whose categories are complete."""
    try:
        fetch_papers(app, state, None, report, wait_until_complete=True)
    except AnnouncementIncomplete as incomplete:
        growing = set(incomplete.categories)
        complete = tuple(one for one in state.rubrics if growing.isdisjoint(one.categories))
        if not complete:
            raise
        return replace(state, rubrics=complete)
    return state


# Triage, score, compose


def score_and_compose(
    app: App, state: DayState, report: StageProgress, deadline: datetime | None = None
) -> list[RubricResult]:
    """Score what has no score yet and freeze each rubric's digest; or why that failed."""
    day = state.date
    composed: dict[str, TaskResult] = {}
    with timed_step(app, "score", day, keep=True) as fields:
        fields["idle"] = not state.missing
        for phase in _scoring_phases(app, state):
            _score(app, phase, day, deadline, report)
            composed |= _compose(app, phase, day, deadline, report)
    reread(app.rubrics)
    results = [
        _composed_result(app, rubric, day, composed.get(rubric.slug, TaskResult()))
        for rubric in state.rubrics
        # Those of readers may have been paused or deleted meanwhile.
        if rubric.slug in app.rubrics or not is_reader_rubric(rubric.slug)
    ]
    record_results(app, day, [(one.rubric.slug, one.digest, one.problem) for one in results])
    return results


_Phase: TypeAlias = "list[list[Rubric]]"
"""The operator's rubrics, and those of readers: no scoring group has both."""


def _score(
    app: App, phase: _Phase, day: date, deadline: datetime | None, report: StageProgress
) -> None:
    """Score in groups. A failure occurs again, and is reported, when the digest is composed."""
    workers = app.engine.workers()
    groups = [tasks.scoring_groups(rubrics, day, deadline, workers) for rubrics in phase]
    dispatch(app, [task for group in groups for task in group], report)


def _compose(
    app: App, phase: _Phase, day: date, deadline: datetime | None, report: StageProgress
) -> dict[str, TaskResult]:
    """Make and freeze one digest for each rubric; the result by rubric."""
    slugs = [rubric.slug for rubrics in phase for rubric in rubrics]
    todo = [Task(TaskKind.DIGEST, day, (slug,), deadline) for slug in slugs]
    return dict(zip(slugs, dispatch(app, todo, report), strict=True))


def _scoring_phases(app: App, state: DayState) -> list[_Phase]:
    """The rubrics without a digest. All are in one phase if the month's budget covers them.

    Otherwise the operator's rubrics get their digests first.
    """
    operator = [one for one in state.missing if not is_reader_rubric(one.slug)]
    readers = [one for one in state.missing if is_reader_rubric(one.slug)]
    settings, month = app.settings, app.settings.monthly_budget_nanos
    if month is not None and operator and readers:
        with app.store.read() as tx:
            spent = ledger.spent_of_month(tx, app.clock())
            left = month - spent - needed_later(tx, state.date)
        needed = len(operator) * settings.budget_nanos
        if left < needed + len(readers) * settings.reader_rubric_budget_nanos:
            return [[operator], [readers]]
    return [[some for some in (operator, readers) if some]]


def _composed_result(app: App, rubric: Rubric, day: date, result: TaskResult) -> RubricResult:
    if result.problem:
        announced = 0 if result.digest else len(new_listings(app.store, rubric, day))
        return RubricResult(rubric, result.digest, problem=result.problem, announced=announced)
    if result.digest:
        return RubricResult(rubric, result.digest, digest_id=result.digest_id)
    with app.store.read() as tx:
        stored = digests.load(tx, rubric.slug, day)
    if stored is None:
        return RubricResult(rubric, problem="its digest was made and is not stored; run again")
    return RubricResult(rubric, stored[1], digest_id=stored[0])


# Render, deliver


def render_and_deliver(
    app: App, results: Sequence[RubricResult], report: StageProgress
) -> list[RubricResult]:
    """Send each reader the mail due up to that date. Mails sent before are only counted."""
    planned = {result.rubric.slug: _plan_mail(app, result) for result in results}
    tallies = send_deliveries(app, [one for some in planned.values() for one in some], report)
    return [
        _with_tallies(result, [tallies[one.digest_id] for one in planned[result.rubric.slug]])
        for result in results
    ]


def _plan_mail(app: App, result: RubricResult) -> list[PlannedDigest]:
    """The digests that readers of the rubric are due, this one included."""
    if result.digest is None or result.digest_id is None:
        return []
    return planner.plan_all(app.store, result.rubric.slug, result.digest.date, app.clock())


def _with_tallies(result: RubricResult, tallies: Sequence[Tally]) -> RubricResult:
    if not tallies:
        return result
    counts: Counter[str] = Counter()
    for tally in tallies:
        counts.update({key: n for key, n in asdict(tally).items() if key != "halted_reason"})
    problem = next((tally.halted_reason for tally in tallies if tally.halted_reason), "")
    return result._replace(tally=Tally(**counts, halted_reason=problem), problem=problem)


def send_deliveries(
    app: App, planned: Sequence[PlannedDigest], report: StageProgress
) -> dict[int, Tally]:
    """Send the pending mails of these digests; the tally of each digest. Raises Stopped.

    A digest that fails does not stop the others: its tally says why.
    """
    with app.store.begin() as tx:
        now = app.clock()
        claims.expire_leases(tx, now, leases.dead_owner_test(tx, now))
        counts = {one.digest_id: deliveries.count(tx, one.digest_id) for one in planned}
    if not planned:
        return {}
    shards = [
        shard
        for one in planned
        for shard in tasks.shards(
            one.digest_id, one.day, counts[one.digest_id].get(DeliveryState.PENDING, 0)
        )
    ]
    results: dict[int, list[TaskResult]] = {one.digest_id: [] for one in planned}
    with stop_on_signal(app.stop), timed_step(app, "send", keep=True) as fields:
        fields["idle"] = not shards
        for shard, result in zip(shards, dispatch(app, shards, report), strict=True):
            results[int(shard.ids[0])].append(result)
    return {digest_id: _tally(app, digest_id, some) for digest_id, some in results.items()}


def _tally(app: App, digest_id: int, results: Iterable[TaskResult]) -> Tally:
    with app.store.read() as tx:
        counts = deliveries.count(tx, digest_id)
    states = {state.value: number for state, number in counts.items()}
    problem = next((result.problem for result in results if result.problem), "")
    sent = sum(result.sent for result in results)
    return Tally(**states, halted_reason=problem, sent=sent)


# Tasks


def dispatch(app: App, todo: Sequence[Task], report: StageProgress) -> list[TaskResult]:
    """Run tasks wherever the engine runs them; the result of each. Raises Stopped."""
    return app.engine.run(todo, partial(handle_task, app, report), report, app.stop)


def handle_task(app: App, report: StageProgress, task: Task) -> TaskResult:
    """Run one task in this process. Raises nothing but Stopped, and StoreError in an outage."""
    fields = {"edition": task.day.isoformat()}
    if task.kind is TaskKind.DIGEST:
        fields["rubric"] = task.ids[0]
    with logs.bound(**fields):
        act = partial(tasks.run_task, app, task, report)
        result, problem = run_guarded(str(task), act, StoreError)
    return result or TaskResult(problem)
