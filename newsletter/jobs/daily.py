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
from newsletter.rubrics.folder import reread, why_missing
from newsletter.scoring.workload import new_listings
from newsletter.store import audience, claims, deliveries, digests, subscribers
from newsletter.store.tasks import Task, TaskKind, TaskResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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
    rubrics = rubrics_to_run(app, only)
    unserved = () if only else unserved_rubrics(app)
    if not rubrics:
        return DailyRun(day or app.source.newest(app.clock()), (), unserved)
    announced = fetch_papers(app, rubrics, day, report).date
    composed = score_and_compose(app, rubrics, announced, report)
    results = render_and_deliver(app, composed, report)
    return DailyRun(announced, tuple(results), unserved)


def build_digests(app: App, report: StageProgress) -> DailyRun:
    """Freeze the digests of the newest announcement for every rubric with readers; mail nothing.

    The first send time is the deadline for the scores. Raises as `run_daily` does;
    AnnouncementIncomplete while no rubric's categories are complete.
    """
    rubrics = rubrics_to_run(app, None)
    if not rubrics:
        return DailyRun(app.source.newest(app.clock()), (), unserved_rubrics(app))
    announced, rubrics = fetch_complete_rubrics(app, rubrics, report)
    deadline = first_send_time(app, rubrics, announced)
    composed = score_and_compose(app, rubrics, announced, report, deadline)
    return DailyRun(announced, tuple(composed), unserved_rubrics(app))


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


# Which rubrics


def rubrics_to_run(app: App, only: str | None) -> list[Rubric]:
    """The rubrics that have readers, as their files are now. Others cost nothing."""
    reread(app.rubrics)
    if only is not None:
        return [app.rubrics[only]]
    with app.store.read() as tx:
        with_readers = subscribers.count_by_rubric(tx).keys()
    return [rubric for slug, rubric in sorted(app.rubrics.items()) if slug in with_readers]


def unserved_rubrics(app: App) -> tuple[UnservedRubric, ...]:
    """The rubrics with readers that are missing or can't be read. All others are served."""
    with app.store.read() as tx:
        readers = subscribers.count_by_rubric(tx)
    missing = sorted(readers.keys() - app.rubrics.keys())
    return tuple(
        UnservedRubric(slug, readers[slug], why_missing(app.rubrics, slug)) for slug in missing
    )


def missing_digests(app: App, rubrics: Iterable[Rubric], day: date) -> list[Rubric]:
    """The rubrics that have no digest of that day."""
    with app.store.read() as tx:
        made = digests.rubrics_with_digest(tx, day)
    return [rubric for rubric in rubrics if rubric.slug not in made]


def first_send_time(app: App, rubrics: Iterable[Rubric], day: date) -> datetime | None:
    """The earliest send time of a digest that is not made yet; None without readers."""
    with_no_digest = missing_digests(app, rubrics, day)
    with app.store.read() as tx:
        readers = [
            one for rubric in with_no_digest for one in audience.first_readers(tx, rubric.slug)
        ]
    return first_due(day, readers, app.settings.zone, app.settings.send_at)


# Fetch


def fetch_papers(
    app: App,
    rubrics: list[Rubric],
    day: date | None,
    report: StageProgress,
    *,
    wait_until_complete: bool = False,
) -> FetchResult:
    """Store the papers of an announcement in all categories of the rubrics."""
    with timed_step(app, "fetch", day, keep=True) as fields:
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
        fields.update(idle=done.already, edition=done.date, papers=done.papers, late=done.late)
    return done


def fetch_complete_rubrics(
    app: App, rubrics: list[Rubric], report: StageProgress
) -> tuple[date, list[Rubric]]:
    """Fetch the newest announcement; its date, and the rubrics whose categories are complete."""
    try:
        return fetch_papers(app, rubrics, None, report, wait_until_complete=True).date, rubrics
    except AnnouncementIncomplete as incomplete:
        complete = [
            one for one in rubrics if is_complete(app.store, one.categories, incomplete.date)
        ]
        if not complete:
            raise
        return incomplete.date, complete


# Triage, score, compose


def score_and_compose(
    app: App,
    rubrics: list[Rubric],
    day: date,
    report: StageProgress,
    deadline: datetime | None = None,
) -> list[RubricResult]:
    """Score what has no score yet and freeze each rubric's digest; or why that failed."""
    with timed_step(app, "score", day, keep=True) as fields:
        missing = missing_digests(app, rubrics, day)
        # A failure here is met again, and reported, when each rubric's digest is composed.
        scored = dispatch(app, tasks.scoring_groups(missing, day, deadline), report)
        fields["idle"] = not scored
        composing = [
            Task(TaskKind.DIGEST, day, (rubric.slug,), deadline)
            for rubric in missing_digests(app, rubrics, day)
        ]
        done = zip(composing, dispatch(app, composing, report), strict=True)
        by_slug = {task.ids[0]: result for task, result in done}
    results = [
        _composed_result(app, rubric, day, by_slug.get(rubric.slug, TaskResult()))
        for rubric in rubrics
    ]
    record_results(app, day, [(one.rubric.slug, one.digest, one.problem) for one in results])
    return results


def _composed_result(app: App, rubric: Rubric, day: date, result: TaskResult) -> RubricResult:
    if result.problem:
        announced = len(new_listings(app, rubric, day))
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
        claims.expire_leases(tx, app.clock(), process.is_dead)
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
    """Run one task in this process. Raises nothing but Stopped."""
    fields = {"edition": task.day.isoformat()}
    if task.kind is TaskKind.DIGEST:
        fields["rubric"] = task.ids[0]
    with logs.bound(**fields):
        result, problem = run_guarded(str(task), partial(tasks.run_task, app, task, report))
    return result or TaskResult(problem)
