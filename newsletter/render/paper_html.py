"""The papers of one issue as HTML pieces: rendered once each, weighed, and put together."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from newsletter.domain.formatting import plural
from newsletter.domain.sanitize import clean
from newsletter.render.paper_view import PaperEntry, groups
from newsletter.render.size_budget import LEAD, READ_FULL, WHOLE, PartSizes, SizePlan
from newsletter.render.tex import to_unicode
from newsletter.render.truncate import clip_sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_RAW_ABSTRACT = 2 * WHOLE
ALSO = "Also matched"
# Between two pieces. No text from outside holds a control character.
CUT = "\x1d"


class PaperPieces:
    """The entries of an issue through the macros of `digest/pieces.html`."""

    def __init__(
        self,
        entries: Sequence[PaperEntry],
        macros: Any,  # noqa: ANN401 - a Jinja module
        issue_url: str,
        also: str,
    ) -> None:
        self._entries = entries
        self._macros = macros
        self._url = issue_url
        self._also = also
        self._under_cap: dict[int, list[str]] = {}
        self._headings: dict[int, int] = {}

    def excerpt(self, place: int, cap: int) -> tuple[str, bool]:
        """The abstract at `place` in at most `cap` characters, and whether any is missing."""
        return clip_sentences(self._raw[place], cap)

    @cached_property
    def _raw(self) -> list[str]:
        return [readable(entry.abstract) for entry in self._entries]

    def _column(self, name: str) -> list[str]:
        return str(getattr(self._macros, name)(self._entries)).split(CUT)[:-1]

    @cached_property
    def _contents(self) -> list[str]:
        return self._column("contents")

    @cached_property
    def _tops(self) -> list[str]:
        return self._column("tops")

    @cached_property
    def _links(self) -> list[str]:
        ids = [entry.id for entry in self._entries]
        return str(self._macros.links(ids)).split(CUT)[:-1]

    @cached_property
    def _lines(self) -> list[str]:
        return self._column("lines")

    @cached_property
    def _short_lines(self) -> list[str]:
        return self._column("short_lines")

    def _abstracts(self, cap: int) -> list[str]:
        if cap not in self._under_cap:
            # In a long issue only the leading abstracts are ever whole.
            long = cap == WHOLE and len(self._entries) > READ_FULL
            places = range(LEAD if long else len(self._entries))
            excerpts = [(str(place + 1), *self.excerpt(place, cap)) for place in places]
            column = str(self._macros.abstracts(excerpts, self._url))
            self._under_cap[cap] = column.split(CUT)[:-1]
        return self._under_cap[cap]

    @property
    def sizes(self) -> PartSizes:
        return PartSizes(
            contents=lambda: list(map(weight, self._contents)),
            card=lambda: [
                weight(top) + weight(links)
                for top, links in zip(self._tops, self._links, strict=True)
            ],
            abstracts=lambda cap: list(map(weight, self._abstracts(cap))),
            line=lambda: list(map(weight, self._lines)),
            short_line=lambda: list(map(weight, self._short_lines)),
            headings=self._weigh_headings,
            rest=lambda cards, named: sum(map(weight, self._around_lines(cards, named))),
        )

    def _weigh_headings(self, cards: int) -> int:
        if cards not in self._headings:
            bare = self._contents_list(cards, items=False) + self._cards(cards, None)
            self._headings[cards] = sum(map(weight, bare))
        return self._headings[cards]

    def html(self, plan: SizePlan) -> str:
        """The contents, the cards and the lines of `plan`."""
        before, after = self._around_lines(plan.cards, plan.named)
        lines: list[str] = []
        if plan.named > plan.cards:
            lines = (self._short_lines if plan.short else self._lines)[plan.cards : plan.named]
        listed = self._contents_list(plan.cards, items=True)
        return "".join([*listed, *self._cards(plan.cards, plan), before, *lines, after])

    def _contents_list(self, cards: int, *, items: bool) -> list[str]:
        if not cards:
            return []
        pieces = [self._macros.contents_top()]
        for name, run in groups(self._entries[:cards]):
            pieces.append(self._macros.contents_group(name, run[0].number))
            if items:
                pieces += self._contents[run[0].number - 1 : run[-1].number]
            pieces.append(self._macros.list_end())
        return pieces

    def _cards(self, cards: int, plan: SizePlan | None) -> list[str]:
        """The cards under their headings; without a plan only the headings."""
        pieces: list[str] = []
        for name, run in groups(self._entries[:cards]):
            pieces.append(self._macros.group(name, plural(len(run), "paper")))
            if plan:
                for entry in run:
                    pieces += self._card(entry.number - 1, plan)
        return pieces

    def _card(self, place: int, plan: SizePlan) -> list[str]:
        cap = plan.cap_of(place)
        abstract = self._abstracts(cap)[place] if cap else ""
        return [self._tops[place], abstract, self._links[place]]

    def _around_lines(self, cards: int, named: int) -> tuple[str, str]:
        """What stands before and behind the one-line papers."""
        before = after = ""
        if named > cards:
            name = self._also if cards else "Papers"
            count = plural(named - cards, "paper")
            before = self._macros.lines_top(name, count, cards + 1)
            after = self._macros.list_end()
        if named < len(self._entries):
            count = plural(len(self._entries) - named, "paper")
            after += self._macros.omitted(count, self._url)
        return before, after


@lru_cache(maxsize=8192)
def readable(abstract: str) -> str:
    return to_unicode(clean(abstract)[:LONGEST_RAW_ABSTRACT])


def weight(piece: str) -> int:
    return len(piece.encode())
