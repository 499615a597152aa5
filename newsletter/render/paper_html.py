"""The papers of one issue as HTML parts: each is rendered once, measured, and joined to a plan."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from newsletter.domain.formatting import plural
from newsletter.domain.sanitize import clean
from newsletter.render.paper_view import PaperEntry, groups
from newsletter.render.size_budget import (
    FULL_ABSTRACT,
    SHORT_ISSUE_PAPERS,
    UNCUT_ABSTRACTS,
    PartSizes,
    SizePlan,
)
from newsletter.render.tex import to_unicode
from newsletter.render.truncate import clip_sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_RAW_ABSTRACT = 2 * FULL_ABSTRACT
ALSO_MATCHED = "Also matched"
# Between two parts of a macro's output. Sanitized text contains no control characters.
SEPARATOR = "\x1d"


class PaperParts:
    """The entries of an issue through the macros of `digest/pieces.html`."""

    def __init__(
        self,
        entries: Sequence[PaperEntry],
        macros: Any,  # noqa: ANN401 - a Jinja module
        issue_url: str,
        lines_heading: str,
    ) -> None:
        self._entries = entries
        self._macros = macros
        self._url = issue_url
        self._lines_heading = lines_heading
        self._abstracts_by_limit: dict[int, list[str]] = {}
        self._heading_sizes: dict[int, int] = {}

    def excerpt(self, index: int, limit: int) -> tuple[str, bool]:
        """The abstract at `index` in at most `limit` characters, and whether it was shortened."""
        return clip_sentences(self._full_abstracts[index], limit)

    @cached_property
    def _full_abstracts(self) -> list[str]:
        return [abstract_text(entry.abstract) for entry in self._entries]

    def _column(self, macro: str) -> list[str]:
        return str(getattr(self._macros, macro)(self._entries)).split(SEPARATOR)[:-1]

    @cached_property
    def _contents(self) -> list[str]:
        return self._column("contents")

    @cached_property
    def _card_tops(self) -> list[str]:
        return self._column("card_tops")

    @cached_property
    def _card_links(self) -> list[str]:
        return self._column("card_links")

    @cached_property
    def _lines(self) -> list[str]:
        return self._column("lines")

    @cached_property
    def _short_lines(self) -> list[str]:
        return self._column("short_lines")

    def _abstracts(self, limit: int) -> list[str]:
        if limit not in self._abstracts_by_limit:
            # In a long issue only the first abstracts are ever complete.
            few = limit == FULL_ABSTRACT and len(self._entries) > SHORT_ISSUE_PAPERS
            indexes = range(UNCUT_ABSTRACTS if few else len(self._entries))
            excerpts = [(str(index + 1), *self.excerpt(index, limit)) for index in indexes]
            column = str(self._macros.abstracts(excerpts, self._url))
            self._abstracts_by_limit[limit] = column.split(SEPARATOR)[:-1]
        return self._abstracts_by_limit[limit]

    @property
    def sizes(self) -> PartSizes:
        return PartSizes(
            contents=lambda: list(map(size, self._contents)),
            card=lambda: [
                size(top) + size(links)
                for top, links in zip(self._card_tops, self._card_links, strict=True)
            ],
            abstracts=lambda limit: list(map(size, self._abstracts(limit))),
            line=lambda: list(map(size, self._lines)),
            short_line=lambda: list(map(size, self._short_lines)),
            headings=self._headings_size,
            rest=lambda cards, listed: sum(map(size, self._lines_frame(cards, listed))),
        )

    def _headings_size(self, cards: int) -> int:
        if cards not in self._heading_sizes:
            headings = self._contents_list(cards, items=False) + self._cards(cards, None)
            self._heading_sizes[cards] = sum(map(size, headings))
        return self._heading_sizes[cards]

    def html(self, plan: SizePlan) -> str:
        """The table of contents, the cards and the lines of `plan`."""
        before, after = self._lines_frame(plan.cards, plan.listed)
        lines: list[str] = []
        if plan.listed > plan.cards:
            lines = (self._short_lines if plan.short else self._lines)[plan.cards : plan.listed]
        contents = self._contents_list(plan.cards, items=True)
        return "".join([*contents, *self._cards(plan.cards, plan), before, *lines, after])

    def _contents_list(self, cards: int, *, items: bool) -> list[str]:
        if not cards:
            return []
        parts = [self._macros.contents_start()]
        for name, group in groups(self._entries[:cards]):
            parts.append(self._macros.contents_group(name, group[0].number))
            if items:
                parts += self._contents[group[0].number - 1 : group[-1].number]
            parts.append(self._macros.list_end())
        return parts

    def _cards(self, cards: int, plan: SizePlan | None) -> list[str]:
        """The cards under their group headings; without a plan only the headings."""
        parts: list[str] = []
        for name, group in groups(self._entries[:cards]):
            parts.append(self._macros.group_heading(name, plural(len(group), "paper")))
            if plan:
                for entry in group:
                    parts += self._card(entry.number - 1, plan)
        return parts

    def _card(self, index: int, plan: SizePlan) -> list[str]:
        limit = plan.abstract_limit(index)
        abstract = self._abstracts(limit)[index] if limit else ""
        return [self._card_tops[index], abstract, self._card_links[index]]

    def _lines_frame(self, cards: int, listed: int) -> tuple[str, str]:
        """The HTML before and after the one-line papers."""
        before = after = ""
        if listed > cards:
            name = self._lines_heading if cards else "Papers"
            count = plural(listed - cards, "paper")
            before = self._macros.lines_start(name, count, cards + 1)
            after = self._macros.list_end()
        if listed < len(self._entries):
            count = plural(len(self._entries) - listed, "paper")
            after += self._macros.omitted(count, self._url)
        return before, after


@lru_cache(maxsize=8192)
def abstract_text(abstract: str) -> str:
    return to_unicode(clean(abstract)[:MAX_RAW_ABSTRACT])


def size(html: str) -> int:
    """Length in UTF-8 bytes."""
    return len(html.encode())
