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
EXCERPT_LIMIT = 400
EXCERPT_SENTENCES = 2
BRIEF_LIMIT = 300
UNCUT_ABSTRACTS = 10
BEST_PAPERS = 3
"""The papers that stand on top of the email. Their cards are the last to be dropped."""


@dataclass(frozen=True, slots=True)
class SizePlan:
    """What each paper gets, by its rank.

    The first `cards` papers are cards, the first `abstracts` of them with an abstract. The first
    `uncut` abstracts are complete, the others have two sentences of at most `limit` characters. The
    papers after the cards are lines, without the reason unless `reasons`, and shorter ones if
    `short`. Only the first `listed` papers are in the email. The first `rated` cards have links to
    vote.
    """

    cards: int
    abstracts: int
    limit: int
    listed: int
    uncut: int = 0
    reasons: bool = True
    short: bool = False
    rated: int = 0

    def abstract_limit(self, index: int) -> int:
        """Maximum characters of the abstract of the paper at `index` (from 0); 0 for none."""
        if index >= self.abstracts:
            return 0
        return FULL_ABSTRACT if index < self.uncut else self.limit

    @property
    def line(self) -> str:
        """The kind of line of the papers after the cards."""
        return "short" if self.short else "line" if self.reasons else "title"


Column = Callable[[], Sequence[int]]
Plans = Iterator[list[SizePlan]]
"""Lists of plans, each in falling size. A list is used if no plan of the one before it fits."""


class PartSizes:
    """UTF-8 bytes of every part. A column is computed once, and only if a plan needs it.

    `columns` has those of contents, cards, links to vote, and the three kinds of line. `abstracts`
    takes a limit and returns the column of abstracts under it. `frame` takes the numbers of cards
    and of listed papers and returns the bytes of the headings, of the best papers on top, and
    around the lists.
    """

    def __init__(
        self,
        columns: dict[str, Column],
        abstracts: Callable[[int], Sequence[int]],
        frame: Callable[[int, int], int],
    ) -> None:
        self._columns, self._abstracts, self._frame = columns, abstracts, frame
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
            self._sum("contents", best_papers(plan.cards), plan.cards)
            + self._sum("card", 0, plan.cards)
            + self._sum("votes", 0, plan.rated)
            + self._sum(FULL_ABSTRACT, 0, uncut)
            + self._sum(plan.limit, uncut, plan.abstracts)
            + self._sum(plan.line, plan.cards, plan.listed)
            + self._frame(plan.cards, plan.listed)
        )


def best_papers(cards: int) -> int:
    """How many papers stand on top. With no more cards than that, the cards are on top."""
    return BEST_PAPERS if cards > BEST_PAPERS else 0


def full_plans(papers: int) -> Plans:
    """Every plan of the format `full` for `papers` papers, the richest first."""
    uncut = min(papers, UNCUT_ABSTRACTS)
    return _plans(SizePlan(papers, papers, EXCERPT_LIMIT, papers, uncut, rated=papers))


def brief_plans(papers: int) -> Plans:
    """Two short sentences each; then as `full_plans`."""
    return _plans(SizePlan(papers, papers, BRIEF_LIMIT, papers, rated=papers))


def title_plans(papers: int) -> Plans:
    """One line for each paper; then shorter lines; then fewer of them."""
    line = SizePlan(0, 0, 0, papers, reasons=False)
    yield [line, *(replace(line, listed=listed, short=True) for listed in range(papers, -1, -1))]


def _plans(start: SizePlan) -> Plans:
    """`start` with ever less; then without reasons in the lines; then with short lines."""
    shorter = list(_shorter(start))
    yield shorter
    fewer = [plan for plan in shorter if plan.cards < start.listed]
    yield [replace(plan, reasons=False) for plan in fewer]
    yield [replace(plan, reasons=False, short=True) for plan in fewer]
    yield from title_plans(start.listed)


def _shorter(start: SizePlan) -> Iterator[SizePlan]:
    """`start`, then fewer links to vote, fewer excerpts, fewer complete abstracts, and fewer cards,
    from the end.
    """
    papers = start.listed
    yield start
    for rated in range(papers - 1, -1, -1):
        yield replace(start, rated=rated)
    start = replace(start, rated=0)
    fewest = min(papers, UNCUT_ABSTRACTS)
    for abstracts in range(papers - 1, fewest - 1, -1):
        yield replace(start, abstracts=abstracts)
    for uncut in range(start.uncut - 1, BEST_PAPERS - 1, -1):
        yield replace(start, abstracts=fewest, uncut=uncut)
    uncut = min(start.uncut, BEST_PAPERS)
    for cards in range(papers - 1, BEST_PAPERS - 1, -1):
        yield SizePlan(cards, min(cards, fewest), start.limit, papers, uncut)
    best = min(papers, BEST_PAPERS)
    for abstracts in range(best - 1, -1, -1):
        yield SizePlan(best, abstracts, start.limit, papers, min(uncut, abstracts))


def choose_plan(plans: Iterable[list[SizePlan]], sizes: PartSizes, available: int) -> SizePlan:
    """The first plan within `available` bytes, or the last one."""
    last = SizePlan(0, 0, 0, 0)
    for falling in plans:
        first = bisect_left(falling, x=True, key=lambda plan: sizes.total(plan) <= available)
        if first < len(falling):
            return falling[first]
        last = falling[-1] if falling else last
    return last
