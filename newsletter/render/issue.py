"""The papers of one issue as HTML pieces: rendered once each, weighed, and put together."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from newsletter.render.budget import WHOLE, Plan, Sizes
from newsletter.render.clip import clip_sentences
from newsletter.render.papers import Entry, groups
from newsletter.render.tex import to_unicode
from newsletter.render.words import clean, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_RAW_ABSTRACT = 2 * WHOLE
ALSO = "Also matched"


class Pieces:
    """The entries of an issue through the macros of `digest/pieces.html`."""

    def __init__(self, entries: Sequence[Entry], macros: Any, issue_url: str, also: str) -> None:  # noqa: ANN401 - a Jinja module
        self._entries = entries
        self._macros = macros
        self._url = issue_url
        self._also = also
        self._excerpts: dict[tuple[int, int], tuple[str, bool]] = {}
        self._headings: dict[int, int] = {}

    def excerpt(self, place: int, cap: int) -> tuple[str, bool]:
        """The abstract at `place` in at most `cap` characters, and whether any is missing."""
        if (place, cap) not in self._excerpts:
            self._excerpts[place, cap] = clip_sentences(self._abstracts[place], cap)
        return self._excerpts[place, cap]

    @cached_property
    def _abstracts(self) -> list[str]:
        raw = (clean(entry.abstract)[:LONGEST_RAW_ABSTRACT] for entry in self._entries)
        return [to_unicode(text) for text in raw]

    @cached_property
    def _contents(self) -> list[str]:
        return [self._macros.contents_line(entry) for entry in self._entries]

    @cached_property
    def _tops(self) -> list[str]:
        return [self._macros.card_top(entry) for entry in self._entries]

    @cached_property
    def _links(self) -> list[str]:
        return [self._macros.card_links(entry) for entry in self._entries]

    @cached_property
    def _lines(self) -> list[str]:
        return [self._macros.line(entry) for entry in self._entries]

    @cached_property
    def _short_lines(self) -> list[str]:
        return [self._macros.short_line(entry) for entry in self._entries]

    def _abstract(self, place: int, cap: int) -> str:
        text, cut = self.excerpt(place, cap)
        if not text:
            return ""
        return str(self._macros.abstract(self._entries[place], text, cut, self._url))

    @property
    def sizes(self) -> Sizes:
        return Sizes(
            papers=len(self._entries),
            contents=lambda: list(map(weight, self._contents)),
            card=lambda: [
                weight(a) + weight(b) for a, b in zip(self._tops, self._links, strict=True)
            ],
            abstract=lambda place, cap: weight(self._abstract(place, cap)),
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

    def html(self, plan: Plan) -> str:
        """The contents, the cards and the lines of `plan`."""
        before, after = self._around_lines(plan.cards, plan.named)
        lines = self._short_lines if plan.short else self._lines
        pieces = [
            *self._contents_list(plan.cards, items=True),
            *self._cards(plan.cards, plan),
            before,
            *lines[plan.cards : plan.named],
            after,
        ]
        return "".join(pieces)

    def _contents_list(self, cards: int, *, items: bool) -> list[str]:
        if not cards:
            return []
        pieces = [self._macros.contents_top()]
        for name, run in groups(self._entries[:cards]):
            pieces.append(self._macros.contents_group(name, run[0].number))
            if items:
                pieces += [self._contents[entry.number - 1] for entry in run]
            pieces.append(self._macros.list_end())
        return pieces

    def _cards(self, cards: int, plan: Plan | None) -> list[str]:
        """The cards under their headings; without a plan only the headings."""
        pieces: list[str] = []
        for name, run in groups(self._entries[:cards]):
            pieces.append(self._macros.group(name, plural(len(run), "paper")))
            if plan:
                for entry in run:
                    pieces += self._card(entry.number - 1, plan)
        return pieces

    def _card(self, place: int, plan: Plan) -> list[str]:
        cap = plan.cap_of(place)
        abstract = self._abstract(place, cap) if cap else ""
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


def weight(piece: str) -> int:
    return len(piece.encode())
