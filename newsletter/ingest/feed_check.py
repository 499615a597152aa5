"""Cross-check the API's papers against arXiv's feed (its list of the day).

The feed's dates are not trusted: it is of the day in a category when most papers that it calls new
there were not announced before. Papers that only the feed has are looked up by id and explained. A
missing or stale feed never delays a digest.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from newsletter.domain.announcements import ListingEntry
from newsletter.domain.completeness import FeedCheck, is_filling
from newsletter.sources import ListingKind, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from newsletter.domain.model import Announcement, Paper
    from newsletter.sources import IncrementalSource, ListedPaper

log = logging.getLogger(__name__)

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
    """Why a paper of the feed is not among the API's papers of the day."""

    WAITING = "not in the API yet"
    HELD = "submitted before the window"
    CROSSED = "announced before, cross-listed now"
    ELSEWHERE = "not in that category by the API"


class KnownListings(NamedTuple):
    """Stored listings: of earlier dates, of the day itself, and the late ones among them."""

    before: AbstractSet[ListingEntry]
    today: AbstractSet[ListingEntry]
    late: AbstractSet[ListingEntry]


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
        if self.check.state != FeedState.FRESH:
            return None
        return self.check.named.get(category, (0, 0))[1] if category in self.check.named else None

    @property
    def is_waiting(self) -> bool:
        return any(why == MismatchReason.WAITING for _, _, why in self.check.apart)

    @property
    def is_filling(self) -> bool:
        """Whether the API lacks many of the papers of some category."""
        names = self.check.named
        return any(is_filling(self.listed_count(name), self.waiting(name)) for name in names)

    def waiting(self, category: str) -> int:
        return sum(
            name == category and why == MismatchReason.WAITING for _, name, why in self.check.apart
        )


@dataclass
class _Day:
    """Working data of one comparison."""

    categories: Sequence[str]
    found: Mapping[str, Paper]
    known: KnownListings
    window: Announcement
    looked_up: dict[str, Paper] = field(default_factory=dict)

    def shows(self, category: str) -> bool:
        return any(category in paper.categories for paper in self.found.values())

    def is_there(self, paper_id: str, category: str) -> bool:
        paper = self.found.get(paper_id)
        shown = paper is not None and category in paper.categories
        return shown or ListingEntry(category, paper_id) in self.known.today

    def is_old(self, paper_id: str, category: str) -> bool:
        """Whether it was announced before, or was submitted before the window."""
        paper = self.looked_up.get(paper_id)
        early = paper is not None and paper.published < self.window.start
        entry = ListingEntry(category, paper_id)
        return early or entry in self.known.before or entry in self.known.late


def compare(
    source: IncrementalSource,
    categories: Sequence[str],
    found: Mapping[str, Paper],
    known: Callable[[Sequence[str]], KnownListings],
    window: Announcement,
) -> FeedComparison:
    """Compare the feed with `found`, the API's papers of the window."""
    try:
        lines = source.listing(categories)
        if lines is not None:
            stored = known(sorted({line.id for line in lines if line.kind in NEW_HERE}))
            return _compare_lines(source, _Day(categories, found, stored, window), lines)
    except SourceError as error:
        log.info("arXiv's feed of %s is not used: %s", window.date, error)
    return FeedComparison(FeedCheck(FeedState.ABSENT))


def _compare_lines(
    source: IncrementalSource, day: _Day, lines: Sequence[ListedPaper]
) -> FeedComparison:
    replaced = tuple(line for line in lines if line.kind not in NEW_HERE)
    lines = [line for line in lines if line.kind in NEW_HERE]
    if not lines:
        return FeedComparison(FeedCheck(FeedState.EMPTY), replaced=replaced)
    fresh = _fresh(day, day.categories, lines)
    unknown = {
        line.id
        for line in lines
        if _missing_categories(day, line, fresh) and line.id not in day.found
    }
    if unknown:
        day.looked_up = {paper.id: paper for paper in source.by_id(sorted(unknown))}
        fresh = _fresh(day, fresh, lines)
    if not fresh:
        return FeedComparison(FeedCheck(FeedState.STALE), replaced=replaced)
    return _classify(day, fresh, lines, replaced)


def _fresh(day: _Day, categories: Sequence[str], lines: Sequence[ListedPaper]) -> list[str]:
    """The categories in which the feed is of this day."""
    here = {name: [line for line in lines if name in line.categories] for name in categories}
    fresh = {name for name in categories if here[name] and _is_fresh(day, name, here[name])}
    empty = {name for name in categories if not here[name] and not day.shows(name)}
    return [name for name in categories if fresh and name in fresh | empty]


def _is_fresh(day: _Day, category: str, lines: Sequence[ListedPaper]) -> bool:
    """Whether most papers the feed calls new in a category were not announced before."""
    new = [line for line in lines if line.kind is ListingKind.NEW] or lines
    none_there = not any(day.is_there(line.id, category) for line in new)
    if len(new) >= MIN_LISTED and day.shows(category) and none_there:
        return False
    return 2 * sum(day.is_old(line.id, category) for line in new) <= len(new)


def _missing_categories(day: _Day, line: ListedPaper, fresh: Sequence[str]) -> list[str]:
    """The categories in which a listed paper is missing."""
    wanted = [name for name in line.categories if name in fresh]
    return [
        name
        for name in wanted
        if not day.is_there(line.id, name) and ListingEntry(name, line.id) not in day.known.before
    ]


def _classify(
    day: _Day, fresh: Sequence[str], lines: Sequence[ListedPaper], replaced: tuple[ListedPaper, ...]
) -> FeedComparison:
    apart: list[tuple[str, str, str]] = []
    found_by_id: dict[str, Paper] = {}
    late: dict[str, tuple[Paper, tuple[str, ...]]] = {}
    for line in lines:
        missing = _missing_categories(day, line, fresh)
        paper = day.looked_up.get(line.id) or day.found.get(line.id)
        known = [name for name in missing if paper and name in paper.categories]
        if paper and known and paper.published < day.window.start:
            late[paper.id] = (paper, tuple(known))
        elif paper and known and paper.published < day.window.end:
            found_by_id[paper.id] = paper
            missing = [name for name in missing if name not in known]
        apart += [(line.id, name, _mismatch_reason(line, paper, name)) for name in missing]
    lacking = {(paper_id, name) for paper_id, name, why in apart if why in _NOT_THERE}
    counts = {}
    for name in fresh:
        named = {line.id for line in lines if name in line.categories}
        there = sum((paper_id, name) not in lacking for paper_id in named)
        counts[name] = (there, len(named))
    check = FeedCheck(FeedState.FRESH, counts, tuple(apart))
    return FeedComparison(check, tuple(found_by_id.values()), tuple(late.values()), replaced)


_NOT_THERE = (MismatchReason.WAITING, MismatchReason.ELSEWHERE)


def _mismatch_reason(line: ListedPaper, paper: Paper | None, category: str) -> MismatchReason:
    if paper is None:
        return MismatchReason.WAITING
    if category not in paper.categories:
        return MismatchReason.ELSEWHERE
    return MismatchReason.CROSSED if line.kind is ListingKind.CROSS else MismatchReason.HELD
