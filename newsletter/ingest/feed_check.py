"""Compare the API's papers with arXiv's feed, which lists the papers of the day (pure).

The feed's dates are not trusted: it is of the day in a category when most papers that it calls new
there were not announced before. Listed papers that the API did not return are looked up by id. A
missing or stale feed never delays a digest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from newsletter.domain.announcements import ListingEntry, feed_from
from newsletter.domain.completeness import FeedCheck, is_filling
from newsletter.sources import ListingKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from newsletter.domain.model import Announcement, Paper
    from newsletter.sources import ListedPaper

MIN_LISTED = 5
"""New papers a feed must list in a category before it counts as stale for having no known one."""
NEW_HERE = (ListingKind.NEW, ListingKind.CROSS)


class FeedState(StrEnum):
    """State of the feed. EARLY: of an earlier day, because today's is not due yet."""

    FRESH = "fresh"
    EARLY = "early"
    STALE = "stale"
    EMPTY = "empty"
    ABSENT = "absent"


class MismatchReason(StrEnum):
    """Why a listed paper is not among the API's papers of the day."""

    WAITING = "not in the API yet"
    HELD = "submitted before the window"
    CROSSED = "announced before, cross-listed now"
    ELSEWHERE = "not in that category by the API"


@dataclass(frozen=True, slots=True)
class FeedComparison:
    """Result of comparing the feed with the API.

    `found_by_id` are papers of the window that only the look-up by id found. `late` are papers of
    earlier windows, with the categories they are new in. `replaced` lists new versions.
    """

    check: FeedCheck
    found_by_id: tuple[Paper, ...] = ()
    late: tuple[tuple[Paper, tuple[str, ...]], ...] = ()
    replaced: tuple[ListedPaper, ...] = ()

    def listed_count(self, category: str) -> int | None:
        """Number of papers the feed lists in a category; None where it is not of the day."""
        counts = self.check.listed.get(category)
        return counts[1] if counts else None

    @property
    def is_waiting(self) -> bool:
        return any(reason == MismatchReason.WAITING for _, _, reason in self.check.mismatches)

    @property
    def is_filling(self) -> bool:
        """Whether the API lacks many of the listed papers of some category."""
        names = self.check.listed
        return any(is_filling(self.listed_count(name), self.waiting(name)) for name in names)

    def waiting(self, category: str) -> int:
        return sum(
            name == category and reason == MismatchReason.WAITING
            for _, name, reason in self.check.mismatches
        )


@dataclass(frozen=True, slots=True)
class Feed:
    """The feed, with what it is compared with.

    `found` are the API's papers of the window, `looked_up` the listed ones that were asked by id.
    `known` are the stored listings: date, and whether late.
    """

    lines: Sequence[ListedPaper]
    categories: Sequence[str]
    found: Mapping[str, Paper]
    known: Mapping[ListingEntry, tuple[date, bool]]
    window: Announcement
    looked_up: Mapping[str, Paper] = field(default_factory=dict)

    @property
    def new_lines(self) -> list[ListedPaper]:
        return [line for line in self.lines if line.kind in NEW_HERE]

    def shows(self, category: str) -> bool:
        return any(category in paper.categories for paper in self.found.values())

    def is_found(self, paper_id: str, category: str) -> bool:
        paper = self.found.get(paper_id)
        return paper is not None and category in paper.categories

    def is_there(self, paper_id: str, category: str) -> bool:
        """Whether the API or an earlier poll of this announcement has it."""
        known = self.known.get(ListingEntry(category, paper_id))
        return self.is_found(paper_id, category) or bool(known and known[0] >= self.window.date)

    def is_old(self, paper_id: str, category: str) -> bool:
        """Whether it was announced before, or was submitted before the window."""
        paper = self.looked_up.get(paper_id)
        early = paper is not None and paper.published < self.window.start
        day, is_late = self.known.get(ListingEntry(category, paper_id), (self.window.date, False))
        return early or is_late or day < self.window.date


def unknown_ids(feed: Feed) -> list[str]:
    """The listed papers to look up by id, before the feed is compared."""
    fresh = _fresh(feed)
    missing = {line.id for line in feed.new_lines if _missing_categories(feed, line, fresh)}
    return sorted(missing - feed.found.keys())


def compare(feed: Feed, now: datetime) -> FeedComparison:
    """Compare the feed with the API's papers of the window."""
    replaced = tuple(line for line in feed.lines if line.kind not in NEW_HERE)
    if fresh := _fresh(feed):
        return _classify(feed, fresh, replaced)
    state = FeedState.STALE if feed.new_lines else FeedState.EMPTY
    if now < feed_from(feed.window.date):
        state = FeedState.EARLY
    return FeedComparison(FeedCheck(state), replaced=replaced)


def _fresh(feed: Feed) -> list[str]:
    """The categories in which the feed is of this day."""
    lines = feed.new_lines
    here = {name: [line for line in lines if name in line.categories] for name in feed.categories}
    fresh = {name for name in here if here[name] and _is_fresh(feed, name, here[name])}
    empty = {name for name in here if not here[name] and not feed.shows(name)}
    return [name for name in feed.categories if fresh and name in fresh | empty]


def _is_fresh(feed: Feed, category: str, lines: Sequence[ListedPaper]) -> bool:
    """Whether most papers the feed calls new in a category were not announced before."""
    new = [line for line in lines if line.kind is ListingKind.NEW] or lines
    none_there = not any(feed.is_there(line.id, category) for line in new)
    if len(new) >= MIN_LISTED and feed.shows(category) and none_there:
        return False
    return 2 * sum(feed.is_old(line.id, category) for line in new) <= len(new)


def _missing_categories(feed: Feed, line: ListedPaper, fresh: Sequence[str]) -> list[str]:
    """The categories in which a listed paper is missing."""
    return [
        name
        for name in line.categories
        if name in fresh
        and not feed.is_found(line.id, name)
        and ListingEntry(name, line.id) not in feed.known
    ]


def _classify(
    feed: Feed, fresh: Sequence[str], replaced: tuple[ListedPaper, ...]
) -> FeedComparison:
    mismatches: list[tuple[str, str, str]] = []
    found_by_id: dict[str, Paper] = {}
    late: dict[str, tuple[Paper, tuple[str, ...]]] = {}
    for line in feed.new_lines:
        missing = _missing_categories(feed, line, fresh)
        paper = feed.looked_up.get(line.id) or feed.found.get(line.id)
        known = [name for name in missing if paper and name in paper.categories]
        if paper and known and paper.published < feed.window.start:
            late[paper.id] = (paper, tuple(known))
        elif paper and known and paper.published < feed.window.end:
            found_by_id[paper.id] = paper
            missing = [name for name in missing if name not in known]
        mismatches += [(line.id, name, _mismatch_reason(line, paper, name)) for name in missing]
    check = FeedCheck(FeedState.FRESH, _counts(feed, fresh, mismatches), tuple(mismatches))
    return FeedComparison(check, tuple(found_by_id.values()), tuple(late.values()), replaced)


def _counts(
    feed: Feed, fresh: Sequence[str], mismatches: Iterable[tuple[str, str, str]]
) -> dict[str, tuple[int, int]]:
    """For each category: how many listed papers the API has there, and how many are listed."""
    lines = feed.new_lines
    absent = (MismatchReason.WAITING, MismatchReason.ELSEWHERE)
    lacking = {(paper_id, name) for paper_id, name, reason in mismatches if reason in absent}
    counts = {}
    for name in fresh:
        listed = {line.id for line in lines if name in line.categories}
        counts[name] = (sum((paper_id, name) not in lacking for paper_id in listed), len(listed))
    return counts


def _mismatch_reason(line: ListedPaper, paper: Paper | None, category: str) -> MismatchReason:
    if paper is None:
        return MismatchReason.WAITING
    if category not in paper.categories:
        return MismatchReason.ELSEWHERE
    return MismatchReason.CROSSED if line.kind is ListingKind.CROSS else MismatchReason.HELD
