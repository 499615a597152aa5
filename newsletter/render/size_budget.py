"""Email size budget: which papers get a card, an abstract or one line (pure).

Gmail clips HTML above 102,400 bytes and hides the rest, the unsubscribe link included
(https://github.com/hteumeuleu/email-bugs/issues/41). Plans are tried in order, the richest first,
until one fits. Papers are in rank order, so the least relevant ones are shortened first. Sizes are
measured on the rendered HTML, not estimated.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

TARGET_BYTES = 94_000
MAX_BYTES = 100_000
FULL_ABSTRACT = 4_000
"""Characters: longer than any abstract that arXiv accepts (1,920)."""
ABSTRACT_LIMITS = (
    FULL_ABSTRACT, 1400, 1200, 1050, 900, 800, 720, 660, 600, 550, 500, 450, 400, 360,
)  # fmt: skip
BRIEF_LIMIT = 300
SHORT_ISSUE_PAPERS = 20
LONG_ISSUE_LIMIT = 600
"""Characters of an abstract if there are more than 20 papers: an email must stay readable."""
UNCUT_ABSTRACTS = 5
MIN_ABSTRACTS = 12
MIN_CARDS_WITH_ABSTRACT = 8


@dataclass(frozen=True, slots=True)
class SizePlan:
    """What each paper gets, by its rank.

    The first `cards` papers are cards, the first `abstracts` of them with an abstract. The first
    `uncut` abstracts are complete, the others have at most `limit` characters. The papers after
    the cards are lines, shorter ones if `short`. Only the first `listed` papers are in the email.
    """

    cards: int
    abstracts: int
    limit: int
    listed: int
    uncut: int = 0
    short: bool = False

    def abstract_limit(self, index: int) -> int:
        """Maximum characters of the abstract of the paper at `index` (from 0); 0 for none."""
        if index >= self.abstracts:
            return 0
        return FULL_ABSTRACT if index < self.uncut else self.limit


Column = Callable[[], Sequence[int]]


class PartSizes:
    """UTF-8 bytes of every part. A column is computed once, and only if a plan needs it.

    `abstracts` takes a limit and returns the column of abstracts under it. `headings` takes the
    number of cards and returns the bytes of their group headings; `rest` takes the numbers of
    cards and of listed papers and returns the bytes before and after the lines.
    """

    def __init__(
        self,
        contents: Column,
        card: Column,
        abstracts: Callable[[int], Sequence[int]],
        line: Column,
        short_line: Column,
        headings: Callable[[int], int],
        rest: Callable[[int, int], int],
    ) -> None:
        self._columns = {"contents": contents, "card": card, "line": line, "short": short_line}
        self._abstracts, self._headings, self._rest = abstracts, headings, rest
        self._sums: dict[str | int, list[int]] = {}

    def _sum(self, kind: str | int, start: int, end: int) -> int:
        """Bytes from `start` to `end` of a column, or of the abstracts under a limit."""
        if end <= start:
            return 0
        if kind not in self._sums:
            each = self._columns[kind]() if isinstance(kind, str) else self._abstracts(kind)
            self._sums[kind] = list(accumulate(each, initial=0))
        return self._sums[kind][end] - self._sums[kind][start]

    def total(self, plan: SizePlan) -> int:
        """The bytes of all papers under `plan`."""
        uncut = min(plan.uncut, plan.abstracts)
        return (
            self._sum("contents", 0, plan.cards)
            + self._sum("card", 0, plan.cards)
            + self._sum(FULL_ABSTRACT, 0, uncut)
            + self._sum(plan.limit, uncut, plan.abstracts)
            + self._sum("short" if plan.short else "line", plan.cards, plan.listed)
            + self._headings(plan.cards)
            + self._rest(plan.cards, plan.listed)
        )


def full_plans(papers: int) -> Iterator[SizePlan]:
    """Every plan of the format `full` for `papers` papers, the richest first."""
    limits: tuple[int, ...] = ABSTRACT_LIMITS
    if papers > SHORT_ISSUE_PAPERS:
        limits = tuple(limit for limit in limits if limit <= LONG_ISSUE_LIMIT)
    for limit in limits[:-1]:
        yield SizePlan(papers, papers, limit, papers, UNCUT_ABSTRACTS)
    yield from _shorter_plans(SizePlan(papers, papers, limits[-1], papers, UNCUT_ABSTRACTS))


def brief_plans(papers: int) -> Iterator[SizePlan]:
    """A short excerpt each; then as `full_plans`."""
    yield from _shorter_plans(SizePlan(papers, papers, BRIEF_LIMIT, papers))


def title_plans(papers: int) -> Iterator[SizePlan]:
    """One line for each paper; then shorter lines; then fewer of them."""
    yield SizePlan(0, 0, 0, papers)
    for listed in range(papers, -1, -1):
        yield SizePlan(0, 0, 0, listed, short=True)


def _shorter_plans(start: SizePlan) -> Iterator[SizePlan]:
    """`start`, then plans with fewer abstracts, then with fewer cards, then with lines only."""
    papers = start.listed
    yield start
    fewest = min(papers, max(MIN_ABSTRACTS, papers // 4))
    for abstracts in range(papers - 1, fewest - 1, -1):
        yield replace(start, abstracts=abstracts)
    for cards in range(papers - 1, 0, -1):
        abstracts = min(cards, fewest, max(MIN_CARDS_WITH_ABSTRACT, cards // 3))
        yield SizePlan(cards, abstracts, start.limit, papers)
    yield from title_plans(papers)


def choose_plan(plans: Iterable[SizePlan], sizes: PartSizes, available: int) -> SizePlan:
    """The first plan within `available` bytes, or the last one. Plans come in falling size."""
    candidates = list(plans)
    first = bisect_left(candidates, x=True, key=lambda plan: sizes.total(plan) <= available)
    return candidates[min(first, len(candidates) - 1)]
