"""The tasks of the daily run. A task carries ids only; state is read from the database.

    score    a group of rubrics' papers of one date, so that they share the cost
    digest   one rubric's digest of one date, made and frozen
    mail     one shard of a digest's mail: claims what is pending until nothing is

Each may run twice, late, or in two places at once: rows in the database decide what is done.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from newsletter.delivery.batch_sender import SCHEDULE_AHEAD, deliver_batches
from newsletter.delivery.personalize import Personalizer
from newsletter.delivery.sender import SendLimits, deliver
from newsletter.domain.digest import compose, usual_share
from newsletter.domain.formatting import plural
from newsletter.domain.model import DayKind, Digest, Outcome, Rubric, Unscored
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.domain.send_times import due_of
from newsletter.domain.tasks import Task, TaskKind, TaskResult
from newsletter.errors import OperatorError, Stopped
from newsletter.ingest.status import with_provenance
from newsletter.jobs.instrumentation import figures, keep_duration, timed_step
from newsletter.mailers import max_concurrent
from newsletter.rubrics.folder import faults_of, of_operator, reread, why_missing
from newsletter.scoring.chunks import MIN_SHARING_RUBRICS
from newsletter.scoring.run import score
from newsletter.scoring.workload import (
    hold_reason,
    learned_order,
    new_listings,
    reader_rubric_limits,
    score_jointly,
    scoring_limits,
    triage_in_order,
)
from newsletter.store import digests, reader_rubrics
from newsletter.store.mail_batches import count_readers, next_rendering_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from newsletter.context import App
    from newsletter.delivery.sender import Tally
    from newsletter.domain.model import Listing
    from newsletter.domain.progress import Progress, StageProgress
    from newsletter.domain.segments import DeliverySchedule
    from newsletter.scoring.rubric_job import RubricScores
    from newsletter.scoring.run import ScoringLimits
    from newsletter.scoring.triage import Triage

log = logging.getLogger(__name__)

SCORING_GROUP_SIZE = 50
"""Rubrics scored together: at so many, their papers' tokens cost 2 % more than at all of them."""
BATCH_GROUP_SIZE = 250
"""The same where there may be time for a batch: direct calls for so many take nearly four hours."""
SMALLEST_SCORING_GROUP = MIN_SHARING_RUBRICS
"""With fewer no papers are shared, and each rubric pays for all of its papers."""
SHARD_SIZE = 1000
"""Mails for which one more shard is worth its rendering."""
MAX_SHARDS = 16
LIMITS = SendLimits()
"""Limits of one shard."""
MAX_CAUSE = 200
"""Characters of a cause that are stored with each paper that failed."""
PAST_DIGESTS = 20
"""Number of past digests from which the usual share of picks is computed."""


def scoring_groups(
    rubrics: Iterable[Rubric], day: date, by: datetime | None, workers: int = 1
) -> list[Task]:
    """Rubrics in groups of about one size; those of the same categories stand together.

    So few groups that papers are shared by many, and at least one for each worker. With a time `by`
    they are larger: the groups of a worker run one after the other, and while the first waited for
    its batch, the time of the others would pass.
    """
    alike = sorted(rubrics, key=lambda rubric: (sorted(rubric.categories), rubric.slug))
    number = -(-len(alike) // (SCORING_GROUP_SIZE if by is None else BATCH_GROUP_SIZE))
    number = max(number, min(workers, len(alike) // SMALLEST_SCORING_GROUP))
    cuts = [len(alike) * place // number for place in range(number + 1)] if number else [0]
    pieces = [alike[start:end] for start, end in pairwise(cuts)]
    return [Task(TaskKind.SCORE, day, tuple(one.slug for one in piece), by) for piece in pieces]


def shards(digest_id: int, day: date, pending: int) -> list[Task]:
    """Mail tasks of a digest. A shard owns no rows: each claims what is pending."""
    number = min(-(-pending // SHARD_SIZE), MAX_SHARDS)
    return [Task(TaskKind.MAIL, day, (str(digest_id), str(shard))) for shard in range(number)]


def run_task(app: App, task: Task, report: StageProgress) -> TaskResult:
    """Run one task. Raises OperatorError; Stopped if the task is not finished."""
    return HANDLERS[task.kind](app, task, report)


def _score(app: App, task: Task, report: StageProgress) -> TaskResult:
    reread(app.rubrics)
    # A rubric that is missing here is reported by its digest task.
    there = [app.rubrics[slug] for slug in task.ids if slug in app.rubrics]
    score_jointly(
        app.store,
        app.scorer,
        there,
        task.day,
        _limits(app, task.ids[0], task.day, task.wanted_by),
        clock=app.clock,
        progress=partial(report, "Scoring for all"),
    )
    return TaskResult()


def _limits(app: App, slug: str, day: date, by: datetime | None) -> ScoringLimits:
    """A group of rubrics has the limits of any one: it is the operator's, or readers' alone."""
    if is_reader_rubric(slug):
        operator = of_operator(app.rubrics)
        return reader_rubric_limits(app.store, app.settings, operator, day, app.stop, by)
    return scoring_limits(app.settings, app.stop, by)


def _digest(app: App, task: Task, report: StageProgress) -> TaskResult:
    [slug] = task.ids
    if _is_gone(app, slug):
        return TaskResult()
    rubric = _rubric(app, slug)
    with timed_step(app, "digest", task.day, rubric.slug) as fields:
        made = make_digest(app, rubric, task.day, report, task.wanted_by)
        digest, problem = made.digest, made.problem
        fields.update(figures(digest))
    if problem:
        return TaskResult(problem, digest=digest)
    with app.store.begin() as tx:
        if is_reader_rubric(slug) and not reader_rubrics.is_active(tx, slug):
            return TaskResult()
        digest_id = digests.save(tx, digest, app.clock(), made.unscored)
    return TaskResult(digest=digest, digest_id=digest_id)


def _is_gone(app: App, slug: str) -> bool:
    """Whether a reader rubric was paused or deleted since the run was planned. It is no failure."""
    reread(app.rubrics)
    faulty = slug in faults_of(app.rubrics)
    return is_reader_rubric(slug) and slug not in app.rubrics and not faulty


def _mail(app: App, task: Task, report: StageProgress) -> TaskResult:
    digest_id, shard = int(task.ids[0]), int(task.ids[1])
    with app.store.read() as tx:
        digest = digests.by_id(tx, digest_id)
        first = next_rendering_key(tx, digest_id, app.clock())
        before = digests.date_before(tx, digest.rubric.slug, digest.date) if digest else None
    if digest is None:
        message = f"digest {digest_id} is not there"
        raise OperatorError(message)
    personalizer = Personalizer(app.renderer, app.links, app.sender, digest, before)
    if first:
        # Rendered before the first claim: mails that got their turn from the rate limiter and then
        # waited for the rendering would be sent all at once.
        personalizer.rendering(first.format, first.max_papers)
    stage = f"Sending {digest.rubric.slug}" + (f", shard {shard + 1}" if shard else "")
    with timed_step(app, "mail", task.day, digest.rubric.slug) as fields:
        tally = _send(app, digest_id, digest, personalizer, partial(report, stage))
        fields.update(sent=tally.sent, waiting=tally.pending, unknown=tally.unknown)
    if personalizer.rendering_seconds:
        keep_duration(app, "render", personalizer.rendering_seconds)
    if app.stop.is_set():
        message = "stopped on request; the rest is pending"
        raise Stopped(message)
    return TaskResult(tally.halted_reason, tally.sent)


def _send(
    app: App, digest_id: int, digest: Digest, personalizer: Personalizer, progress: Progress
) -> Tally:
    # Mail written to files can't harm the sender's reputation.
    slowly = app.settings.mailer_name != "outbox"
    limits = replace(
        LIMITS,
        max_threads=max_concurrent(app.mailer),
        per_second=app.settings.mails_per_second,
        first_mails_slowly=slowly,
    )
    if app.batch_mailer and in_batches(app, digest.rubric.slug):
        return deliver_batches(
            app.store,
            app.batch_mailer,
            digest_id,
            personalizer.batch_email,
            due=_send_times(app, digest.date),
            clock=app.clock,
            sleep=time.sleep,
            progress=progress,
            limits=limits,
            stop=app.stop.is_set,
        )
    return deliver(
        app.store,
        app.mailer,
        digest_id,
        lambda delivery: personalizer.email(delivery.subscription, delivery.id, app.clock()),
        clock=app.clock,
        sleep=time.sleep,
        progress=progress,
        limits=limits,
        stop=app.stop.is_set,
    )


def in_batches(app: App, slug: str) -> bool:
    """Whether a rubric has so many readers that their mail is sent in batches."""
    if app.batch_mailer is None:
        return False
    with app.store.read() as tx:
        return count_readers(tx, slug) > app.settings.group_audience


def _send_times(app: App, day: date) -> Callable[[DeliverySchedule], datetime | None]:
    """When mail of `day` is due for a schedule, if that is soon; None: send it at once."""
    soon = app.clock() + SCHEDULE_AHEAD

    def due(schedule: DeliverySchedule) -> datetime | None:
        at = due_of(day, schedule.reader, app.settings.zone, app.settings.send_at)
        return at if at <= soon else None

    return due


HANDLERS = {TaskKind.SCORE: _score, TaskKind.DIGEST: _digest, TaskKind.MAIL: _mail}


def _rubric(app: App, slug: str) -> Rubric:
    """The rubric. Raises OperatorError if its file is missing or unreadable on this machine."""
    reread(app.rubrics)
    if slug not in app.rubrics:
        why = why_missing(app.rubrics, slug)
        message = f"{why}; every machine needs the same rubrics"
        raise OperatorError(message)
    return app.rubrics[slug]


class ComposedDigest(NamedTuple):
    """A digest, why it is held (empty if it is not), and why papers of it have no score."""

    digest: Digest
    problem: str = ""
    unscored: Mapping[str, Unscored] = MappingProxyType({})


def make_digest(
    app: App, rubric: Rubric, day: date, report: StageProgress, by: datetime | None = None
) -> ComposedDigest:
    """The stored digest of the day; if there is none, score the papers and compose it."""
    with app.store.read() as tx:
        if stored := digests.load(tx, rubric.slug, day):
            return ComposedDigest(stored[1])
    listings = new_listings(app.store, rubric, day)
    found = triage_in_order(app.store, app.scorer, rubric, day, listings)
    scored = score(
        app.store,
        app.scorer,
        rubric,
        day,
        found.to_read,
        _limits(app, rubric.slug, day, by),
        clock=app.clock,
        progress=partial(report, f"Scoring {rubric.slug}"),
    )
    return compose_digest(app, rubric, day, listings, found, scored)


def compose_digest(
    app: App,
    rubric: Rubric,
    day: date,
    listings: Sequence[Listing],
    found: Triage,
    scored: RubricScores,
) -> ComposedDigest:
    """Compose the scored papers into a digest, or say why it is held."""
    with app.store.read() as tx:
        past_digests = digests.judged_days(tx, rubric.slug, PAST_DIGESTS)
    read = [listing.paper for listing in listings if listing.paper.id in scored.scores]
    digest = compose(
        rubric,
        day,
        listings,
        scored.scores,
        scored.outcomes | found.left_out,
        scored.usage,
        judged=app.scorer.judges,
        prompt=app.scorer.prompt(rubric),
        usual=usual_share(past_digests),
        also=found.also,
        learned=learned_order(app.store, rubric, read),
    )
    if digest.kind is DayKind.SCORING_FAILED:
        return ComposedDigest(digest, hold_reason(digest, scored.cause))
    if scored.cause:
        failed = plural(digest.coverage.count(Outcome.FAILED), "paper")
        log.warning("%s: %s could not be scored (%s)", rubric.slug, failed, scored.cause)
    unscored = {paper_id: _unscored(paper_id, found, scored) for paper_id in digest.coverage.unread}
    with app.store.read() as tx:
        lookback = timedelta(days=app.settings.lookback_days)
        return ComposedDigest(with_provenance(tx, digest, lookback), unscored=unscored)


def _unscored(paper_id: str, found: Triage, scored: RubricScores) -> Unscored:
    """Why a paper has no score. As in the receipt, a paper without an outcome failed."""
    if paper_id in found.left_out:
        return Unscored(found.left_out[paper_id], found.reasons.get(paper_id, ""))
    outcome = scored.outcomes.get(paper_id, Outcome.FAILED)
    cause = scored.cause[:MAX_CAUSE] if outcome is Outcome.FAILED else ""
    return Unscored(outcome, cause)
