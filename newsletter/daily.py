"""The morning: fetch, triage, score, digest, render, deliver.

    fetch    what arXiv announced, once for every rubric
    triage   the papers a rubric wants read, the likeliest first
    score    what is not scored yet
    digest   the picks in order, the near misses, the receipt; frozen
    render   once for each format and length the rubric's readers chose
    deliver  one email to each reader who has none of this digest

Whoever runs it twice, or kills it half-way and runs it again, gets the same morning once.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from newsletter.copies import Copies
from newsletter.deliver import Tally, deliver
from newsletter.digest import compose
from newsletter.due import first_due
from newsletter.fetch import Fetched, fetch
from newsletter.model import DayKind, Digest, Outcome, Rubric
from newsletter.reading import fresh, scoring_limits, share_costs, to_score, why_held
from newsletter.score import score
from newsletter.stopping import Stopped, draining
from newsletter.store import deliveries, digests, subscribers
from newsletter.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date, datetime

    from newsletter.people import DeliveryState
    from newsletter.room import Due, Report, Room

log = logging.getLogger(__name__)

T = TypeVar("T")


class Issue(NamedTuple):
    """What became of one rubric: its digest and its mails, or the trouble in words.

    `sent` are the mails of this run, `already` those that other runs had sent.
    """

    rubric: Rubric
    digest: Digest | None = None
    tally: Tally = Tally()
    trouble: str = ""
    digest_id: int | None = None

    @property
    def sent(self) -> int:
        return self.tally.sent

    @property
    def already(self) -> int:
        return self.tally.accepted - self.tally.sent


class Edition(NamedTuple):
    date: date
    issues: tuple[Issue, ...]

    @property
    def troubled(self) -> bool:
        return any(issue.trouble for issue in self.issues)


def run_edition(room: Room, day: date | None, only: str | None, report: Report) -> Edition:
    """One announcement for every rubric that has readers, or for `only`, whether it has or not.

    Everyone is mailed whose weekday it is. One rubric's trouble is its own. Raises what stops all
    of them: SourceError, BatchLate, StoreError, Stopped.
    """
    rubrics = wanted(room, only)
    if not rubrics:
        return Edition(day or room.source.newest(room.clock()), ())
    date_of = fetch_for(room, rubrics, day, report).date
    act = partial(send_issue, room, report=report)
    return Edition(date_of, tuple(_issues(room, rubrics, date_of, report, act, by=None)))


def make_edition(room: Room, report: Report) -> Edition:
    """The newest announcement for every rubric that has readers, frozen and not mailed.

    Whose mail is due first says by when the scores are wanted. Raises as `run_edition` does.
    """
    rubrics = wanted(room, None)
    if not rubrics:
        return Edition(room.source.newest(room.clock()), ())
    date_of = fetch_for(room, rubrics, None, report).date
    by = first_wanted(room, rubrics, date_of)
    act = partial(make_issue, room, report=report, by=by)
    return Edition(date_of, tuple(_issues(room, rubrics, date_of, report, act, by)))


def first_wanted(room: Room, rubrics: Iterable[Rubric], day: date) -> datetime | None:
    """When the first reader of what is not made yet is due; None where nobody is."""
    with room.store.read() as tx:
        readers = [
            reader
            for rubric in rubrics
            if day not in digests.dates(tx, rubric.slug)
            for reader in subscribers.active(tx, rubric.slug)
        ]
    return first_due(day, readers, room.settings.zone, room.settings.send_at)


def wanted(room: Room, only: str | None) -> list[Rubric]:
    """The rubrics a morning is for. Nobody pays for one that nobody reads."""
    if only is not None:
        return [room.rubrics[only]]
    with room.store.read() as tx:
        read = subscribers.readers(tx).keys()
    if unknown := sorted(read - room.rubrics.keys()):
        message = (
            f"subscribers wait for rubrics that are not there: {', '.join(unknown)}; "
            f"put {unknown[0]}.md back into {room.settings.rubrics_dir}, or move its subscribers"
        )
        raise Trouble(message)
    return [rubric for slug, rubric in sorted(room.rubrics.items()) if slug in read]


def fetch_for(room: Room, rubrics: list[Rubric], day: date | None, report: Report) -> Fetched:
    return fetch(
        room.store,
        room.source,
        sorted({category for rubric in rubrics for category in rubric.categories}),
        day,
        room.clock(),
        lookback_days=room.settings.lookback_days,
        progress=lambda done, total: report("Fetching", done, total),
    )


def _issues(
    room: Room,
    rubrics: list[Rubric],
    day: date,
    report: Report,
    act: Callable[[Rubric, date], Issue],
    by: datetime | None,
) -> Iterable[Issue]:
    # What fails here is met again, and told, where each rubric's digest is made.
    safely("scoring for all", partial(share_costs, room, rubrics, day, report, by))
    for rubric in rubrics:
        issue, trouble = safely(rubric.slug, partial(act, rubric, day))
        yield issue or Issue(rubric, trouble=trouble)


def safely(what: str, act: Callable[[], T]) -> tuple[T | None, str]:
    """The result of `act`, or None and its trouble in words: the others must go on."""
    try:
        return act(), ""
    except Stopped:
        raise
    except Trouble as trouble:
        return None, str(trouble)
    except Exception as fault:
        log.exception("%s failed", what)
        return None, f"unexpected {type(fault).__name__}; the log has the traceback"


def send_issue(room: Room, rubric: Rubric, day: date, report: Report) -> Issue:
    """Score, freeze and mail one rubric's digest; what is done already is only counted."""
    made = make_issue(room, rubric, day, report)
    if made.digest is None or made.digest_id is None or made.digest.kind not in digests.MAILED:
        return made
    tally = mail_digest(room, made.digest_id, made.digest, report)
    return made._replace(tally=tally, trouble=tally.halted_reason)


def make_issue(
    room: Room, rubric: Rubric, day: date, report: Report, by: datetime | None = None
) -> Issue:
    """Score and freeze one rubric's digest."""
    digest = make_digest(room, rubric, day, report, by)
    if digest.kind is DayKind.SCORING_FAILED:
        return Issue(rubric, digest, trouble=why_held(digest))
    with room.store.begin() as tx:
        return Issue(rubric, digest, digest_id=digests.freeze(tx, digest, room.clock()))


def make_digest(
    room: Room, rubric: Rubric, day: date, report: Report, by: datetime | None = None
) -> Digest:
    """The frozen digest; or what would be frozen now, with what is not scored yet scored."""
    with room.store.read() as tx:
        if stored := digests.load(tx, rubric.slug, day):
            return stored[1]
    listings = fresh(room, rubric, day)
    likeliest, excluded = to_score(room, rubric, day, listings)
    scored = score(
        room.store,
        room.scorer,
        rubric,
        day,
        likeliest,
        scoring_limits(room, by),
        clock=room.clock,
        progress=lambda done, total: report(f"Scoring {rubric.slug}", done, total),
    )
    return compose(
        rubric,
        day,
        listings,
        scored.scores,
        scored.outcomes | {paper.id: Outcome.EXCLUDED for paper in excluded},
        scored.usage,
        judged=room.scorer.judges,
        prompt=room.scorer.prompt(rubric),
    )


def mail_digest(
    room: Room, digest_id: int, digest: Digest, report: Report, due: Due | None = None
) -> Tally:
    """Write down who is owed this digest, and send it to them. Raises Stopped."""
    slug = digest.rubric.slug
    owe_mail(room, digest_id, slug, digest.date, due)
    copies = Copies(room.renderer, room.links, room.sender, digest)
    with draining(room.stop):
        return deliver(
            room.store,
            room.mailer,
            digest_id,
            lambda delivery: copies.email(delivery.subscriber, delivery.id, room.clock()),
            clock=room.clock,
            sleep=time.sleep,
            progress=lambda done, total: report(f"Sending {slug}", done, total),
            stop=room.stop.is_set,
        )


def owe_mail(
    room: Room, digest_id: int, slug: str, day: date, due: Due | None
) -> dict[DeliveryState, int]:
    """Write down who is owed mail of this digest; how many of its mails are in which state."""
    with room.store.begin() as tx:
        if due is None:
            deliveries.freeze_audience(tx, digest_id, slug, room.clock(), weekday=day.weekday())
        else:
            ids = [one.id for one in subscribers.active(tx, slug) if due(day, one)]
            deliveries.freeze_audience(tx, digest_id, slug, room.clock(), only=ids)
        return deliveries.count(tx, digest_id)
