"""arXiv's own list of the day (its feed) against what its API shows.

The list is believed by its content alone: it is of the day in a category when most of the papers
it calls new there were not announced before. What only one of the two knows is looked up by id and
explained; whatever the list lacks, or is, no morning waits for it.
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
    from newsletter.sources import GrowingSource, ListedPaper

log = logging.getLogger(__name__)

ENOUGH = 5
"""New papers a list must name in a category before it is refused for naming none that are there."""
NEW_HERE = (ListingKind.NEW, ListingKind.CROSS)


class FeedState(StrEnum):
    """What the list was good for. EARLY: it was of an earlier day, and had to be at that hour."""

    FRESH = "fresh"
    EARLY = "early"
    STALE = "stale"
    EMPTY = "empty"
    ABSENT = "absent"


class MismatchReason(StrEnum):
    """Why a paper that the list names is not among those of the day."""

    WAITING = "not in the API yet"
    HELD = "submitted before the window"
    CROSSED = "announced before, cross-listed now"
    ELSEWHERE = "not in that category by the API"


class KnownListings(NamedTuple):
    """What stands in the database: listings of earlier dates, of the day itself, and of those the
    ones that came late.
    """

    before: AbstractSet[ListingEntry]
    today: AbstractSet[ListingEntry]
    late: AbstractSet[ListingEntry]


@dataclass(frozen=True, slots=True)
class FeedComparison:
    """`young` are papers of the window that only the look-up found, `late` those of earlier ones
    with the categories they are new in; `replaced` names later versions.
    """

    check: FeedCheck
    young: tuple[Paper, ...] = ()
    late: tuple[tuple[Paper, tuple[str, ...]], ...] = ()
    replaced: tuple[ListedPaper, ...] = ()

    def named(self, category: str) -> int | None:
        """Papers that the list names in a category; None where it is not of the day there."""
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
        return any(is_filling(self.named(name), self.waiting(name)) for name in names)

    def waiting(self, category: str) -> int:
        return sum(
            name == category and why == MismatchReason.WAITING for _, name, why in self.check.apart
        )


@dataclass
class _Day:
    """One comparison under way."""

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
        """Whether it was announced before, or is of an earlier window by what was looked up."""
        paper = self.looked_up.get(paper_id)
        early = paper is not None and paper.published < self.window.start
        entry = ListingEntry(category, paper_id)
        return early or entry in self.known.before or entry in self.known.late


def compare(
    source: GrowingSource,
    categories: Sequence[str],
    found: Mapping[str, Paper],
    known: Callable[[Sequence[str]], KnownListings],
    window: Announcement,
) -> FeedComparison:
    """What the list of the day says of `found`, the papers that the API shows in the window."""
    try:
        lines = source.named(categories)
        if lines is not None:
            stored = known(sorted({line.id for line in lines if line.kind in NEW_HERE}))
            return _compared(source, _Day(categories, found, stored, window), lines)
    except SourceError as error:
        log.info("arXiv's list of %s is not used: %s", window.date, error)
    return FeedComparison(FeedCheck(FeedState.ABSENT))


def _compared(source: GrowingSource, day: _Day, lines: Sequence[ListedPaper]) -> FeedComparison:
    replaced = tuple(line for line in lines if line.kind not in NEW_HERE)
    lines = [line for line in lines if line.kind in NEW_HERE]
    if not lines:
        return FeedComparison(FeedCheck(FeedState.EMPTY), replaced=replaced)
    fresh = _fresh(day, day.categories, lines)
    unknown = {line.id for line in lines if _open(day, line, fresh) and line.id not in day.found}
    if unknown:
        day.looked_up = {paper.id: paper for paper in source.by_id(sorted(unknown))}
        fresh = _fresh(day, fresh, lines)
    if not fresh:
        return FeedComparison(FeedCheck(FeedState.STALE), replaced=replaced)
    return _sorted_out(day, fresh, lines, replaced)


def _fresh(day: _Day, categories: Sequence[str], lines: Sequence[ListedPaper]) -> list[str]:
    """The categories in which the list is of this day, if it is in any."""
    here = {name: [line for line in lines if name in line.categories] for name in categories}
    fresh = {name for name in categories if here[name] and _is_fresh(day, name, here[name])}
    empty = {name for name in categories if not here[name] and not day.shows(name)}
    return [name for name in categories if fresh and name in fresh | empty]


def _is_fresh(day: _Day, category: str, lines: Sequence[ListedPaper]) -> bool:
    """Whether most of what the list calls new in a category was not announced before."""
    new = [line for line in lines if line.kind is ListingKind.NEW] or lines
    none_there = not any(day.is_there(line.id, category) for line in new)
    if len(new) >= ENOUGH and day.shows(category) and none_there:
        return False
    return 2 * sum(day.is_old(line.id, category) for line in new) <= len(new)


def _open(day: _Day, line: ListedPaper, fresh: Sequence[str]) -> list[str]:
    """The categories in which a line names a paper that is not there."""
    wanted = [name for name in line.categories if name in fresh]
    return [
        name
        for name in wanted
        if not day.is_there(line.id, name) and ListingEntry(name, line.id) not in day.known.before
    ]


def _sorted_out(
    day: _Day, fresh: Sequence[str], lines: Sequence[ListedPaper], replaced: tuple[ListedPaper, ...]
) -> FeedComparison:
    apart: list[tuple[str, str, str]] = []
    young: dict[str, Paper] = {}
    late: dict[str, tuple[Paper, tuple[str, ...]]] = {}
    for line in lines:
        missing = _open(day, line, fresh)
        paper = day.looked_up.get(line.id) or day.found.get(line.id)
        known = [name for name in missing if paper and name in paper.categories]
        if paper and known and paper.published < day.window.start:
            late[paper.id] = (paper, tuple(known))
        elif paper and known and paper.published < day.window.end:
            young[paper.id] = paper
            missing = [name for name in missing if name not in known]
        apart += [(line.id, name, _why(line, paper, name)) for name in missing]
    lacking = {(paper_id, name) for paper_id, name, why in apart if why in _NOT_THERE}
    counts = {}
    for name in fresh:
        named = {line.id for line in lines if name in line.categories}
        there = sum((paper_id, name) not in lacking for paper_id in named)
        counts[name] = (there, len(named))
    check = FeedCheck(FeedState.FRESH, counts, tuple(apart))
    return FeedComparison(check, tuple(young.values()), tuple(late.values()), replaced)


_NOT_THERE = (MismatchReason.WAITING, MismatchReason.ELSEWHERE)


def _why(line: ListedPaper, paper: Paper | None, category: str) -> MismatchReason:
    if paper is None:
        return MismatchReason.WAITING
    if category not in paper.categories:
        return MismatchReason.ELSEWHERE
    return MismatchReason.CROSSED if line.kind is ListingKind.CROSS else MismatchReason.HELD
