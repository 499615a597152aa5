"""What a digest says beside its papers: how its day was made sure of, and what was withdrawn.

How the newest announcement stands, from what is stored alone: for those who wait, or tell.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.announcements import announcement, previous
from newsletter.domain.completeness import CompletedBy
from newsletter.domain.digest import MAILED_KINDS
from newsletter.domain.model import Crosscheck
from newsletter.ingest.late_papers import unproven
from newsletter.ingest.poll import window_of
from newsletter.store import paper_versions, papers, polls
from newsletter.store import papers as shelf
from newsletter.store import polls as seen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime, timedelta

    from sqlalchemy import Connection

    from newsletter.domain.model import Digest, Rubric
    from newsletter.sources import PaperSource
    from newsletter.store import Store


def with_provenance(tx: Connection, digest: Digest, lookback: timedelta) -> Digest:
    """The digest with its crosscheck, and with the withdrawals that its readers were not told of.

    A day without mail tells of none: they wait for one that is read.
    """
    check = crosscheck(tx, digest.rubric, digest.date, lookback)
    coverage = replace(digest.coverage, crosscheck=check)
    told = paper_versions.unreported_withdrawals(tx, digest.rubric.slug)
    withdrawn = tuple(told) if digest.kind in MAILED_KINDS else ()
    return replace(digest, coverage=coverage, withdrawn=withdrawn)


def crosscheck(tx: Connection, rubric: Rubric, day: date, lookback: timedelta) -> Crosscheck | None:
    """How the announcement of `day` was made sure of, as far as this rubric's categories go.

    `lookback` is how far back each announcement is read again.
    """
    check = polls.check_of(tx, day)
    if check is None:
        return None
    wanted = set(rubric.categories)
    apart = {(paper_id, why) for paper_id, name, why in check.apart if name in wanted}
    fetched = papers.fetches(tx, rubric.categories)
    start = window_of(tx, day, rubric.categories).start
    missed, before = [], previous(day)
    while announcement(before).start >= start:
        missed.append(before)
        before = previous(before)
    return Crosscheck(
        state=check.state,
        named={name: counts for name, counts in check.named.items() if name in wanted},
        apart=dict(sorted(Counter(why for _, why in apart).items())),
        whole={one.category: one.how for one in fetched if one.date == day and one.how},
        missed=tuple(reversed(missed)),
        unproven=unproven(tx, day, rubric.categories, lookback),
    )


class AnnouncementState(StrEnum):
    """WAITING: nobody looked since it is public; NOTHING: a day later arXiv shows none of it."""

    WAITING = "waiting"
    LATE = "late"
    GROWING = "growing"
    WHOLE = "whole"
    NOTHING = "nothing announced"


class AnnouncementStatus(NamedTuple):
    """The newest announcement by the calendar; `missing` are our categories that are not whole."""

    date: date
    public_from: datetime
    batch: AnnouncementState
    missing: tuple[str, ...] = ()


def announcement_status(
    store: Store, source: PaperSource, categories: Sequence[str], now: datetime
) -> AnnouncementStatus:
    """Asks nobody but the database."""
    day = source.newest(now)
    public_from = announcement(day).public_from
    with store.read() as tx:
        found = seen.polls_of(tx, day, now)
        done = {one.category: one for one in shelf.fetches(tx, categories) if one.date == day}
    looks = {name: one for name, one in found.items() if name in categories}
    missing = tuple(sorted(set(categories) - done.keys()))
    if missing:
        batch = (
            AnnouncementState.GROWING
            if any(one.out_at for one in looks.values())
            else AnnouncementState.LATE
        )
        if not looks:
            batch = AnnouncementState.WAITING
    else:
        quiet = all(one.how == CompletedBy.NOTHING for one in done.values())
        batch = AnnouncementState.NOTHING if quiet else AnnouncementState.WHOLE
    return AnnouncementStatus(day, public_from, batch, missing)


def is_whole(store: Store, categories: Sequence[str], day: date) -> bool:
    """Whether a digest of `day` in these categories may be made: others may still be growing."""
    with store.read() as tx:
        return shelf.is_fetched(tx, categories, day)
