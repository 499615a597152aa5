"""The papers of one issue as HTML parts: each is rendered once, measured, and joined to a plan."""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from newsletter.domain.formatting import plural
from newsletter.domain.sanitize import clean
from newsletter.render.size_budget import (
    BEST_PAPERS,
    EXCERPT_SENTENCES,
    FULL_ABSTRACT,
    UNCUT_ABSTRACTS,
    PartSizes,
    SizePlan,
    best_papers,
)
from newsletter.render.tex import to_unicode
from newsletter.render.truncate import clip_sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.render.paper_view import PaperEntry

MAX_RAW_ABSTRACT = 2 * FULL_ABSTRACT
ALSO_MATCHED = "Also matched"
# Between two parts of a macro's output. Sanitized text contains no control characters.
SEPARATOR = "\x1d"
VOTE_URL = Markup("\x02vote_url\x03")
"""Placeholder of the reader's page to vote; `render/__init__.py` fills it."""


class PaperParts:
    """The entries of an issue through the macros of `digest/pieces.html`."""

    def __init__(
        self,
        entries: Sequence[PaperEntry],
        macros: Any,  # noqa: ANN401 - a Jinja module
        issue_url: str,
        best_heading: str,
        lines_heading: str,
        vote_url_bytes: int,
    ) -> None:
        self._entries = entries
        self._macros = macros
        self._url = issue_url
        self._best_heading = best_heading
        self._lines_heading = lines_heading
        self._vote_url_bytes = vote_url_bytes
        self._abstracts_by_limit: dict[int, list[str]] = {}

    def excerpt(self, index: int, limit: int) -> tuple[str, bool]:
        """The abstract at `index`, or two sentences of it, and whether it was shortened."""
        text = self._full_abstracts[index]
        if limit == FULL_ABSTRACT:
            return clip_sentences(text, limit)
        return clip_sentences(text, limit, EXCERPT_SENTENCES)

    @cached_property
    def _full_abstracts(self) -> list[str]:
        return [abstract_text(entry.abstract) for entry in self._entries]

    def _column(self, macro: str, *values: object) -> list[str]:
        return str(getattr(self._macros, macro)(self._entries, *values)).split(SEPARATOR)[:-1]

    @cached_property
    def _contents(self) -> list[str]:
        # The cards of so short an issue follow at once, with their reasons.
        return self._column("contents", len(self._entries) > BEST_PAPERS)

    @cached_property
    def _best(self) -> str:
        return str(self._macros.best(self._best_heading, self._entries[:BEST_PAPERS]))

    @cached_property
    def _card_tops(self) -> list[str]:
        return self._column("card_tops")

    @cached_property
    def _card_links(self) -> list[str]:
        papers = len(self._entries)
        all_papers = f"All\xa0{papers:,}" if papers > BEST_PAPERS else ""
        return self._column("card_links", self._url, all_papers)

    @cached_property
    def _votes(self) -> list[str]:
        return self._column("vote_links", VOTE_URL)

    @cached_property
    def _card_end(self) -> str:
        return str(self._macros.card_end())

    @cached_property
    def _lines_by_kind(self) -> dict[str, list[str]]:
        return {}

    def _lines(self, kind: str) -> list[str]:
        if kind not in self._lines_by_kind:
            self._lines_by_kind[kind] = self._column(f"{kind}_lines")
        return self._lines_by_kind[kind]

    def _abstracts(self, limit: int) -> list[str]:
        if limit not in self._abstracts_by_limit:
            # Only the first abstracts are ever complete.
            count = len(self._entries)
            indexes = range(min(count, UNCUT_ABSTRACTS) if limit == FULL_ABSTRACT else count)
            excerpts = [
                (self._entries[n].phone_abstract, self.excerpt(n, limit)[0]) for n in indexes
            ]
            column = str(self._macros.abstracts(excerpts))
            self._abstracts_by_limit[limit] = column.split(SEPARATOR)[:-1]
        return self._abstracts_by_limit[limit]

    @property
    def sizes(self) -> PartSizes:
        return PartSizes(
            columns={
                "contents": lambda: list(map(size, self._contents)),
                "card": lambda: [
                    size(top) + size(links) + size(self._card_end)
                    for top, links in zip(self._card_tops, self._card_links, strict=True)
                ],
                "votes": lambda: [filled_size(one, self._vote_url_bytes) for one in self._votes],
                "line": lambda: list(map(size, self._lines("line"))),
                "title": lambda: list(map(size, self._lines("title"))),
                "short": lambda: list(map(size, self._lines("short"))),
            },
            abstracts=lambda limit: list(map(size, self._abstracts(limit))),
            frame=self._frame_size,
        )

    def _frame_size(self, cards: int, listed: int) -> int:
        around = (*self._contents_frame(cards, listed), *self._lines_frame(cards, listed))
        return sum(map(size, (*around, *self._headings(cards).values())))

    def html(self, plan: SizePlan) -> str:
        """The best papers, the table of contents, the cards and the lines of `plan`."""
        start, end = self._contents_frame(plan.cards, plan.listed)
        before, after = self._lines_frame(plan.cards, plan.listed)
        contents = self._contents[best_papers(plan.cards) : plan.cards]
        lines: list[str] = []
        if plan.listed > plan.cards:
            lines = self._lines(plan.line)[plan.cards : plan.listed]
        return "".join([start, *contents, end, *self._cards(plan), before, *lines, after])

    def _contents_frame(self, cards: int, listed: int) -> tuple[str, str]:
        """The HTML before and after the table of contents, the best papers included."""
        if not cards:
            return "", ""
        best = best_papers(cards)
        scored = any(entry.total for entry in self._entries)
        start = self._macros.contents_start(len(self._entries), best, cards, listed, scored)
        return (self._best if best else "") + str(start), str(self._macros.list_end())

    def _headings(self, cards: int) -> dict[int, str]:
        """The headings of the cards, each by the index of the card below it."""
        found: dict[int, str] = {}
        for name, group in groupby(self._entries[:cards], key=lambda entry: entry.group):
            heading = self._macros.group_heading(name)
            found[next(group).number - 1] = str(heading)
        return found

    def _cards(self, plan: SizePlan) -> list[str]:
        headings = self._headings(plan.cards)
        parts: list[str] = []
        for index in range(plan.cards):
            limit = plan.abstract_limit(index)
            abstract = self._abstracts(limit)[index] if limit else ""
            parts += [headings.get(index, ""), self._card_tops[index], abstract]
            votes = self._votes[index] if index < plan.rated else ""
            parts += [self._card_links[index], votes, self._card_end]
        return parts

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


def filled_size(html: str, vote_url_bytes: int) -> int:
    """As `size`, with the reader's page to vote in place of each of its placeholders."""
    return size(html) + html.count(VOTE_URL) * (vote_url_bytes - size(VOTE_URL))


def size(html: str) -> int:
    """Length in UTF-8 bytes."""
    return len(html.encode())
