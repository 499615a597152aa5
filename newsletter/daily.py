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
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from newsletter.chunks import LEAST_SHARING
from newsletter.copies import Copies
from newsletter.deliver import Tally, deliver
from newsletter.digest import compose
from newsletter.fetch import Fetched, fetch
from newsletter.model import NANOS_PER_DOLLAR, DayKind, DeliveryState, Digest, Outcome, Rubric
from newsletter.score import Limits as ScoringLimits
from newsletter.score import ScoringFailed, Want, likeliest_first, score, score_all
from newsletter.stopping import Stopped, draining
from newsletter.store import deliveries, digests, papers, subscribers
from newsletter.triage import split_excluded
from newsletter.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date, datetime

    from newsletter.envelope import Sender
    from newsletter.links import Links
    from newsletter.mailers import Mailer
    from newsletter.model import Listing, Paper, Subscriber
    from newsletter.render import Renderer
    from newsletter.scorers import Scorer
    from newsletter.settings import Settings
    from newsletter.sources import PaperSource
    from newsletter.store import Store

    Report = Callable[[str, int, int], None]
    """Called with (stage, done so far, in all); in all is 0 while unknown."""
    Due = Callable[[date, Subscriber], bool]
    """Whether a reader is to be served now with the digest of a date."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Room:
    """What a morning works with. Made in `wiring.py` from the settings."""

    store: Store
    source: PaperSource
    scorer: Scorer
    mailer: Mailer
    renderer: Renderer
    links: Links
    sender: Sender
    rubrics: dict[str, Rubric]
    settings: Settings
    clock: Callable[[], datetime]
    stop: threading.Event = field(default_factory=threading.Event)


class Issue(NamedTuple):
    """What became of one rubric: its digest and its mails, or the trouble in words.

    `sent` are the mails of this run, `already` those that earlier runs had sent.
    """

    rubric: Rubric
    digest: Digest | None = None
    tally: Tally = Tally()
    already: int = 0
    trouble: str = ""

    @property
    def sent(self) -> int:
        return self.tally.accepted - self.already


class Edition(NamedTuple):
    date: date
    issues: tuple[Issue, ...]

    @property
    def troubled(self) -> bool:
        return any(issue.trouble for issue in self.issues)


def run_edition(
    room: Room, day: date | None, only: str | None, report: Report, due: Due | None = None
) -> Edition:
    """One announcement for every rubric that has readers, or for `only`, whether it has or not.

    `due` chooses who is mailed now; without it everyone is whose weekday it is. One rubric's
    trouble is its own. Raises what stops all of them: SourceError, BatchLate, StoreError, Stopped.
    """
    rubrics = wanted(room, only)
    if not rubrics:
        return Edition(day or room.source.newest(room.clock()), ())
    fetched = fetch_for(room, rubrics, day, report)
    share_costs(room, rubrics, fetched.date, report)
    return Edition(fetched.date, tuple(_issues(room, rubrics, fetched.date, report, due)))


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
    room: Room, rubrics: list[Rubric], day: date, report: Report, due: Due | None
) -> Iterable[Issue]:
    for rubric in rubrics:
        try:
            yield send_issue(room, rubric, day, report, due)
        except Stopped:
            raise
        except Trouble as trouble:
            yield Issue(rubric, trouble=str(trouble))
        except Exception as fault:
            log.exception("digest of %s for %s failed", rubric.slug, day)
            reason = f"unexpected {type(fault).__name__}; the log has the traceback"
            yield Issue(rubric, trouble=reason)


def send_issue(
    room: Room, rubric: Rubric, day: date, report: Report, due: Due | None = None
) -> Issue:
    """Score, freeze and mail one rubric's digest; what is done already is only counted."""
    digest = make_digest(room, rubric, day, report)
    if digest.kind is DayKind.SCORING_FAILED:
        unread = digest.coverage.announced - digest.coverage.scanned
        reason = f"{unread} of {digest.coverage.announced} papers could not be scored"
        return Issue(rubric, digest, trouble=f"{reason}; the digest is held: run again")
    with room.store.begin() as tx:
        digest_id = digests.freeze(tx, digest, room.clock())
    if digest.kind not in digests.MAILED:
        return Issue(rubric, digest)
    already, tally = mail_digest(room, digest_id, digest, report, due)
    return Issue(rubric, digest, tally, already, trouble=tally.halted_reason)


def share_costs(room: Room, rubrics: list[Rubric], day: date, report: Report) -> None:
    """Score for several rubrics at once: they pay together for the papers they have in common.

    What fails here is met again, and told, where each rubric's digest is made.
    """
    with room.store.read() as tx:
        unmade = [rubric for rubric in rubrics if not digests.load(tx, rubric.slug, day)]
    if len(unmade) < LEAST_SHARING or not room.scorer.judges:
        return
    wants = [
        Want(rubric, to_score(room, rubric, day, fresh(room, rubric, day))[0]) for rubric in unmade
    ]
    with suppress(ScoringFailed):
        score_all(
            room.store,
            room.scorer,
            day,
            wants,
            scoring_limits(room.settings),
            clock=room.clock,
            progress=lambda done, total: report("Scoring for all", done, total),
        )


def to_score(
    room: Room, rubric: Rubric, day: date, listings: Sequence[Listing]
) -> tuple[list[Paper], list[Paper]]:
    """The papers to be read, likeliest first, and those that the rubric excludes."""
    to_read, excluded = split_excluded(rubric, [listing.paper for listing in listings])
    return likeliest_first(room.store, room.scorer, rubric, day, to_read), excluded


def make_digest(room: Room, rubric: Rubric, day: date, report: Report) -> Digest:
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
        scoring_limits(room.settings),
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


def fresh(room: Room, rubric: Rubric, day: date) -> list[Listing]:
    """What this rubric's digest of `day` is about: announced, and in no earlier digest of it."""
    with room.store.read() as tx:
        listings = papers.listed(tx, rubric.categories, day)
        open_ids = set(digests.uncovered(tx, rubric.slug, [one.paper.id for one in listings]))
    return [listing for listing in listings if listing.paper.id in open_ids]


def scoring_limits(settings: Settings) -> ScoringLimits:
    month = settings.monthly_budget_usd
    return ScoringLimits(
        budget_nanos=int(settings.budget_usd * NANOS_PER_DOLLAR),
        month_budget_nanos=None if month is None else int(month * NANOS_PER_DOLLAR),
        concurrency=settings.scoring_concurrency,
        mode=settings.scoring_mode,
    )


def mail_digest(
    room: Room, digest_id: int, digest: Digest, report: Report, due: Due | None = None
) -> tuple[int, Tally]:
    """How many mails had gone out before, and how all of them stand now. Raises Stopped."""
    slug = digest.rubric.slug
    before = owe_mail(room, digest_id, slug, digest.date, due)
    copies = Copies(room.renderer, room.links, room.sender, digest)
    with draining(room.stop):
        tally = deliver(
            room.store,
            room.mailer,
            digest_id,
            lambda delivery: copies.email(delivery.subscriber, delivery.id, room.clock()),
            clock=room.clock,
            sleep=time.sleep,
            progress=lambda done, total: report(f"Sending {slug}", done, total),
            stop=room.stop.is_set,
        )
    return before.get(DeliveryState.ACCEPTED, 0), tally


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
