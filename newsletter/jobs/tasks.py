"""What one unit of work does. It is told ids, and asks the database for the rest.

    score    a group of rubrics' papers of one date, so that they share the cost
    digest   one rubric's digest of one date, made and frozen
    mail     one lane of a digest's mail: claims what is pending until nothing is

Each may run twice, late, or in two places at once: the rows it works on decide what is done.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import time as clock_time
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from newsletter.delivery.batch_sender import AHEAD, deliver_groups
from newsletter.delivery.personalize import Copies
from newsletter.delivery.sender import Limits, deliver
from newsletter.domain.digest import compose, usual_share
from newsletter.domain.formatting import plural
from newsletter.domain.model import DayKind, Digest, Outcome, Rubric
from newsletter.domain.send_times import due_at
from newsletter.errors import Stopped, Trouble
from newsletter.ingest.status import with_afterword
from newsletter.jobs.instrumentation import figures, keep_duration, step
from newsletter.rubric_folder import reread, why_missing
from newsletter.scoring.run import score
from newsletter.scoring.workload import fresh, scoring_limits, share_costs, to_score, why_held
from newsletter.store import digests
from newsletter.store.mail_batches import audience, next_alike
from newsletter.store.tasks import Ending, Kind, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date, datetime

    from newsletter.context import Report, Room
    from newsletter.delivery.sender import Progress, Tally
    from newsletter.domain.model import Listing
    from newsletter.scoring.rubric_job import Scored
    from newsletter.scoring.triage import Triage
    from newsletter.store.mail_batches import Hour

log = logging.getLogger(__name__)

GROUP = 50
"""Rubrics scored together: at so many, their papers' tokens cost 2 % more than at all of them."""
LANE = 1000
"""Mails for which one more lane is worth its rendering."""
MOST_LANES = 16
LIMITS = Limits()
"""Of one lane."""
PAST = 20
"""So many digests tell how many papers a rubric usually picks."""


def groups(rubrics: Iterable[Rubric], day: date, by: datetime | None) -> list[Unit]:
    """Rubrics in groups of about one size; those of the same categories stand together."""
    alike = sorted(rubrics, key=lambda rubric: (sorted(rubric.categories), rubric.slug))
    number = -(-len(alike) // GROUP)
    cuts = [len(alike) * place // number for place in range(number + 1)] if number else [0]
    pieces = [alike[start:end] for start, end in pairwise(cuts)]
    return [Unit(Kind.SCORE, day, tuple(one.slug for one in piece), by) for piece in pieces]


def lanes(digest_id: int, day: date, pending: int) -> list[Unit]:
    """The lanes for a digest's pending mails. A lane owns no row: each takes what is there."""
    number = min(-(-pending // LANE), MOST_LANES)
    return [Unit(Kind.MAIL, day, (str(digest_id), str(lane))) for lane in range(number)]


def do(room: Room, unit: Unit, report: Report) -> Ending:
    """Raises Trouble, and Stopped where the unit is not at its end."""
    return ACTS[unit.kind](room, unit, report)


def _score(room: Room, unit: Unit, report: Report) -> Ending:
    reread(room.rubrics)
    # One that is missing here is told where its own digest is to be made.
    there = [room.rubrics[slug] for slug in unit.ids if slug in room.rubrics]
    share_costs(room, there, unit.day, report, unit.wanted_by)
    return Ending()


def _digest(room: Room, unit: Unit, report: Report) -> Ending:
    [slug] = unit.ids
    rubric = _rubric(room, slug)
    with step(room, "digest", unit.day, rubric.slug) as line:
        digest, trouble = make_digest(room, rubric, unit.day, report, unit.wanted_by)
        line.update(figures(digest))
    if trouble:
        return Ending(trouble, digest=digest)
    with room.store.begin() as tx:
        digest_id = digests.freeze(tx, digest, room.clock())
    return Ending(digest=digest, digest_id=digest_id)


def _mail(room: Room, unit: Unit, report: Report) -> Ending:
    digest_id, lane = int(unit.ids[0]), int(unit.ids[1])
    with room.store.read() as tx:
        digest = digests.by_id(tx, digest_id)
        first = next_alike(tx, digest_id, room.clock())
        before = digests.date_before(tx, digest.rubric.slug, digest.date) if digest else None
    if digest is None:
        message = f"digest {digest_id} is not there"
        raise Trouble(message)
    copies = Copies(room.renderer, room.links, room.sender, digest, before)
    if first:
        # Before the first claim: mails that were let go at their pace and then waited for it would
        # leave all at once.
        copies.rendering(first.format, first.max_papers)
    stage = f"Sending {digest.rubric.slug}" + (f", lane {lane + 1}" if lane else "")
    with step(room, "mail", unit.day, digest.rubric.slug) as line:
        tally = _send(room, digest_id, digest, copies, partial(report, stage))
        line.update(sent=tally.sent, waiting=tally.pending, unknown=tally.unknown)
    if copies.rendering_seconds:
        keep_duration(room, "render", copies.rendering_seconds)
    if room.stop.is_set():
        message = "stopped on request; the rest is pending"
        raise Stopped(message)
    return Ending(tally.halted_reason, tally.sent)


def _send(room: Room, digest_id: int, digest: Digest, copies: Copies, progress: Progress) -> Tally:
    # What is written to files ruins nobody's name.
    slowly = room.settings.mailer_name != "outbox"
    limits = replace(LIMITS, per_second=room.settings.mails_per_second, first_mails_slowly=slowly)
    if room.groups and in_groups(room, digest.rubric.slug):
        return deliver_groups(
            room.store,
            room.groups,
            digest_id,
            copies.group,
            due=_hours(room, digest.date),
            clock=room.clock,
            sleep=time.sleep,
            progress=progress,
            limits=limits,
            stop=room.stop.is_set,
        )
    return deliver(
        room.store,
        room.mailer,
        digest_id,
        lambda delivery: copies.email(delivery.subscriber, delivery.id, room.clock()),
        clock=room.clock,
        sleep=time.sleep,
        progress=progress,
        limits=limits,
        stop=room.stop.is_set,
    )


def in_groups(room: Room, slug: str) -> bool:
    """Whether a rubric has so many readers that their mail leaves in groups."""
    if room.groups is None:
        return False
    with room.store.read() as tx:
        return audience(tx, slug) > room.settings.group_audience


def _hours(room: Room, day: date) -> Callable[[Hour], datetime | None]:
    """When mail of `day` is due at an hour that is near; None where it is to leave at once."""
    soon = room.clock() + AHEAD

    def due(hour: Hour) -> datetime | None:
        zone = ZoneInfo(hour.timezone) if hour.timezone else room.settings.zone
        local = clock_time.fromisoformat(hour.send_at) if hour.send_at else room.settings.send_at
        at = due_at(day, zone, local)
        return at if at <= soon else None

    return due


ACTS = {Kind.SCORE: _score, Kind.DIGEST: _digest, Kind.MAIL: _mail}


def _rubric(room: Room, slug: str) -> Rubric:
    """Raises Trouble where this machine has it not, or can't read it."""
    reread(room.rubrics)
    if slug not in room.rubrics:
        why = why_missing(room.rubrics, slug)
        message = f"{why}; every machine needs the same rubrics"
        raise Trouble(message)
    return room.rubrics[slug]


class Made(NamedTuple):
    """A digest, and why it must be held where it must."""

    digest: Digest
    trouble: str = ""


def make_digest(
    room: Room, rubric: Rubric, day: date, report: Report, by: datetime | None = None
) -> Made:
    """The frozen digest; or what would be frozen now, with what is not scored yet scored."""
    with room.store.read() as tx:
        if stored := digests.load(tx, rubric.slug, day):
            return Made(stored[1])
    listings = fresh(room, rubric, day)
    found = to_score(room, rubric, day, listings)
    scored = score(
        room.store,
        room.scorer,
        rubric,
        day,
        found.to_read,
        scoring_limits(room, by),
        clock=room.clock,
        progress=lambda done, total: report(f"Scoring {rubric.slug}", done, total),
    )
    return composed(room, rubric, day, listings, found, scored)


def composed(
    room: Room,
    rubric: Rubric,
    day: date,
    listings: Sequence[Listing],
    found: Triage,
    scored: Scored,
) -> Made:
    """What was scored as a digest, or why it must be held."""
    with room.store.read() as tx:
        past = digests.judged_days(tx, rubric.slug, PAST)
    digest = compose(
        rubric,
        day,
        listings,
        scored.scores,
        scored.outcomes | found.left_out,
        scored.usage,
        judged=room.scorer.judges,
        prompt=room.scorer.prompt(rubric),
        usual=usual_share(past),
        also=found.also,
    )
    if digest.kind is DayKind.SCORING_FAILED:
        return Made(digest, why_held(digest, scored.cause))
    if scored.cause:
        failed = plural(digest.coverage.count(Outcome.FAILED), "paper")
        log.warning("%s: %s could not be scored (%s)", rubric.slug, failed, scored.cause)
    with room.store.read() as tx:
        lookback = timedelta(days=room.settings.lookback_days)
        return Made(with_afterword(tx, digest, lookback))
