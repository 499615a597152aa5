"""Status of the newest announcement, and the provenance note of a digest; asks no source.

The provenance note says how the announcement was verified, and what became of mailed papers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.announcements import announcement
from newsletter.domain.completeness import CompletedBy, is_shown
from newsletter.domain.digest import MAILED_KINDS
from newsletter.domain.model import Crosscheck
from newsletter.ingest.late_papers import unproven
from newsletter.store import paper_news, paper_versions
from newsletter.store import papers as paper_store
from newsletter.store import polls as poll_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime, timedelta

    from sqlalchemy import Connection

    from newsletter.domain.model import Digest, Rubric
    from newsletter.sources import PaperSource
    from newsletter.store import Store


def with_provenance(tx: Connection, digest: Digest, lookback: timedelta) -> Digest:
    """Add the cross-check, and the news of mailed papers that readers were not told yet.

    A digest that is not mailed gets no news: it goes into the next mailed one.
    """
    check = crosscheck(tx, digest.rubric, digest.date, lookback)
    coverage = replace(digest.coverage, crosscheck=check)
    digest = replace(digest, coverage=coverage)
    if digest.kind not in MAILED_KINDS:
        return digest
    slug = digest.rubric.slug
    return replace(
        digest,
        withdrawn=tuple(paper_versions.unreported_withdrawals(tx, slug)),
        news=tuple(paper_news.unreported(tx, slug, digest.date)),
    )


def crosscheck(tx: Connection, rubric: Rubric, day: date, lookback: timedelta) -> Crosscheck | None:
    """How the announcement of `day` was verified, for this rubric's categories.

    `lookback` is how far before each announcement late papers are searched.
    """
    check = poll_store.check_of(tx, day)
    if check is None:
        return None
    wanted = set(rubric.categories)
    mismatches = {(one, reason) for one, name, reason in check.mismatches if name in wanted}
    fetched = paper_store.fetches(tx, rubric.categories, day)
    return Crosscheck(
        state=check.state,
        named={name: counts for name, counts in check.listed.items() if name in wanted},
        apart=dict(sorted(Counter(reason for _, reason in mismatches).items())),
        whole={one.category: one.how for one in fetched if one.date == day and one.how},
        missed=tuple(sorted(poll_store.missed_before(tx, day, rubric.categories))),
        unproven=unproven(tx, day, rubric.categories, lookback),
    )


class AnnouncementState(StrEnum):
    """WAITING: not polled since it is public. NOTHING: arXiv showed no paper for a day."""

    WAITING = "waiting"
    LATE = "late"
    INCOMPLETE = "incomplete"
    COMPLETE = "complete"
    NOTHING = "nothing announced"


class AnnouncementStatus(NamedTuple):
    """The newest announcement by the calendar; `missing` are the incomplete categories."""

    date: date
    public_from: datetime
    state: AnnouncementState
    missing: tuple[str, ...] = ()


def announcement_status(
    store: Store, source: PaperSource, categories: Sequence[str], now: datetime
) -> AnnouncementStatus:
    """Status from the database alone; makes no request."""
    day = source.newest(now)
    public_from = announcement(day).public_from
    with store.read() as tx:
        polls = [
            one for name, one in poll_store.polls_of(tx, day, now).items() if name in categories
        ]
        records = paper_store.fetches(tx, categories, day)
    how = {one.category: one.how for one in records if one.date == day}
    missing = tuple(sorted(set(categories) - how.keys()))
    if not missing:
        quiet = all(one == CompletedBy.NOTHING for one in how.values())
        state = AnnouncementState.NOTHING if quiet else AnnouncementState.COMPLETE
    elif not polls:
        state = AnnouncementState.WAITING
    else:
        state = AnnouncementState.INCOMPLETE if is_shown(polls) else AnnouncementState.LATE
    return AnnouncementStatus(day, public_from, state, missing)
