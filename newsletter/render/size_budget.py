"""Which papers get a card, an abstract or one line, so that no mail client cuts the mail (pure).

Gmail hides what passes 102,400 bytes, the unsubscribe link first. The ladder below is descended
until the issue fits; papers stand in rank order, so what is shortened is always the least relevant.
Sizes are counted on the rendered pieces, never estimated.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

TARGET = 94_000
LIMIT = 100_000
READ_FULL = 20
READ_CAP = 600
LEAD = 5
WHOLE = 4_000
CAPS = (WHOLE, 1400, 1200, 1050, 900, 800, 720, 660, 600, 550, 500, 450, 400, 360)
LEAST_CAP = CAPS[-1]
BRIEF_CAP = 300
LEAST_ABSTRACTS = 12
LEAST_CARDS_WITH_ABSTRACT = 8


@dataclass(frozen=True, slots=True)
class SizePlan:
    """The first `cards` papers are cards, the first `abstracts` of them with an abstract.

    The first `lead` abstracts are whole, the others have at most `cap` characters. The papers
    behind the cards are lines, `short` ones or not; only the first `named` papers are shown at all.
    """

    cards: int
    abstracts: int
    cap: int
    named: int
    lead: int = 0
    short: bool = False

    def cap_of(self, place: int) -> int:
        """How many characters of abstract the paper at `place` (from 0) gets; 0 for none."""
        if place >= self.abstracts:
            return 0
        return WHOLE if place < self.lead else self.cap


Column = Callable[[], Sequence[int]]


class PartSizes:
    """UTF-8 bytes of every piece. Columns are asked for once, and only if a plan needs them.

    `abstracts` takes a cap and gives the column of abstracts under it;
    `headings` and `rest` take the number of cards: the headings of the groups that these cards
    fall into, and what stands around the lines.
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
        """The bytes from `start` to `end` of a column, or of the abstracts under a cap."""
        if end <= start:
            return 0
        if kind not in self._sums:
            each = self._columns[kind]() if isinstance(kind, str) else self._abstracts(kind)
            self._sums[kind] = list(accumulate(each, initial=0))
        return self._sums[kind][end] - self._sums[kind][start]

    def weigh(self, plan: SizePlan) -> int:
        """The bytes of all papers under `plan`."""
        lead = min(plan.lead, plan.abstracts)
        return (
            self._sum("contents", 0, plan.cards)
            + self._sum("card", 0, plan.cards)
            + self._sum(WHOLE, 0, lead)
            + self._sum(plan.cap, lead, plan.abstracts)
            + self._sum("short" if plan.short else "line", plan.cards, plan.named)
            + self._headings(plan.cards)
            + self._rest(plan.cards, plan.named)
        )


def ladder(papers: int) -> Iterator[SizePlan]:
    """Every plan for `papers` papers, the richest first."""
    caps = CAPS if papers <= READ_FULL else tuple(cap for cap in CAPS if cap <= READ_CAP)
    every = SizePlan(cards=papers, abstracts=papers, cap=LEAST_CAP, named=papers, lead=LEAD)
    for cap in caps[:-1]:
        yield replace(every, cap=cap)
    yield from shortened(every)


def brief(papers: int) -> Iterator[SizePlan]:
    """A short excerpt each; then as `ladder`."""
    yield from shortened(SizePlan(papers, papers, BRIEF_CAP, papers))


def shortened(every: SizePlan) -> Iterator[SizePlan]:
    """`every`, then abstracts taken away from the bottom, then cards."""
    papers = every.named
    yield every
    fewest = min(papers, max(LEAST_ABSTRACTS, papers // 4))
    for abstracts in range(papers - 1, fewest - 1, -1):
        yield replace(every, abstracts=abstracts)
    for cards in range(papers - 1, 0, -1):
        abstracts = min(cards, fewest, max(LEAST_CARDS_WITH_ABSTRACT, cards // 3))
        yield SizePlan(cards, abstracts, every.cap, papers)
    yield from lines_only(papers)


def lines_only(papers: int) -> Iterator[SizePlan]:
    """One line a paper; then shorter lines; at the very last fewer of them."""
    yield SizePlan(0, 0, 0, papers)
    for named in range(papers, -1, -1):
        yield SizePlan(0, 0, 0, named, short=True)


def choose(plans: Iterable[SizePlan], sizes: PartSizes, room: int) -> SizePlan:
    """The first plan that fits into `room` bytes, else the last; each is smaller than before."""
    every = list(plans)
    first = bisect_left(every, x=True, key=lambda plan: sizes.weigh(plan) <= room)
    return every[min(first, len(every) - 1)]
