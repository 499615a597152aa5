"""A digest as an email: HTML and text, filled from templates that were compiled once (pure).

    digest -> words and figures -> pieces (HTML, weighed) -> plan (what fits) -> Rendered

What differs between two readers of one rendering is only their links, put in by `for_reader`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date

    from newsletter.domain.mail import Format
    from newsletter.domain.model import Digest

Link = tuple[str, str]

# Control characters never pass from outside (render/text.py), so no paper can forge a placeholder.
PLACEHOLDER = re.compile("\x02([a-z_]+)\x03")
LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """Who sends."""

    name: str
    postal_address: str
    home_url: str


@dataclass(frozen=True, slots=True)
class Navigation:
    """Where an issue stands on the web.

    A link is (label, url) with a bare label, `22 Sep` or `September 2025`; None for nothing there.
    """

    issue_url: str
    previous: Link | None = None
    month: Link | None = None
    next: Link | None = None


@dataclass(frozen=True, slots=True)
class RenderedReader:
    """What one copy says about its reader."""

    email: str
    since: date | None
    unsubscribe_url: str
    preferences_url: str
    name: str = ""


@dataclass(frozen=True)
class Rendered:
    """One rendering of a digest, with placeholders for the reader's own words and links."""

    subject: str
    html: str
    text: str

    @cached_property
    def _html_parts(self) -> list[str]:
        return PLACEHOLDER.split(self.html)

    @cached_property
    def _text_parts(self) -> list[str]:
        return PLACEHOLDER.split(self.text)

    def tagged(self, mark: str) -> tuple[str, str]:
        """HTML and text with tags for the reader's words, for whoever fills them in elsewhere.

        `mark` is a word that nobody can have guessed who wrote any of the content.
        """
        return (
            PLACEHOLDER.sub(lambda found: _tag(mark, "h", found[1]), self.html),
            PLACEHOLDER.sub(lambda found: _tag(mark, "t", found[1]), self.text),
        )

    def words(self, reader: RenderedReader, mark: str) -> tuple[tuple[str, str], ...]:
        """What each tag of `tagged` stands for in one reader's copy."""
        from newsletter.render.plain_text import untagged

        said = _words_of(reader)
        html = ((_tag(mark, "h", name), escape(word)) for name, word in said.items())
        text = ((_tag(mark, "t", name), untagged(word)) for name, word in said.items())
        return (*html, *text)

    def for_reader(self, reader: RenderedReader) -> tuple[str, str]:
        """HTML and text of one reader's copy."""
        from newsletter.render.plain_text import untagged

        words = _words_of(reader)
        return (
            _filled(self._html_parts, {name: escape(word) for name, word in words.items()}),
            _filled(self._text_parts, {name: untagged(word) for name, word in words.items()}),
        )


def _tag(mark: str, part: str, name: str) -> str:
    """In HTML and in text a word is written differently. No tag is part of another."""
    return f"-{mark}-{part}-{name}-"


def _filled(parts: list[str], words: dict[str, str]) -> str:
    # re.split leaves the placeholders' names at the odd places.
    return "".join(words[part] if place % 2 else part for place, part in enumerate(parts))


def _words_of(reader: RenderedReader) -> dict[str, str]:
    from newsletter.domain.formatting import long_date
    from newsletter.domain.sanitize import clean

    name = " ".join(clean(reader.name)[:LONGEST_NAME].split())
    address = clean(reader.email)
    since = f" on {long_date(reader.since).partition(', ')[2]}" if reader.since else ""
    return {
        "who": f"{name} ({address})" if name else address,
        "since": since,
        "unsubscribe_url": reader.unsubscribe_url,
        "preferences_url": reader.preferences_url,
    }


class Renderer:
    """Compiles the templates once; every mail after that is a fill."""

    def __init__(self, site: SiteInfo) -> None:
        from newsletter.render.templates import Templates

        self._site = site
        self._templates = Templates()

    def digest(
        self, digest: Digest, nav: Navigation, fmt: Format, max_papers: int | None = None
    ) -> Rendered:
        """The digest at one length. The same digest gives the same bytes."""
        from newsletter.render.digest_email import render

        return Rendered(*render(self._templates, self._site, digest, nav, fmt, max_papers))

    def mail(self, name: str, **values: Any) -> tuple[str, str, str]:  # noqa: ANN401 - what a template shows
        """Subject, HTML and text of another mail, named by its folder (`confirm`, `alert`)."""
        shown = {"site": self._site, **values}
        subject = self._templates.subject(name, shown)
        shown["subject"] = subject
        return subject, self._templates.html(name, shown), self._templates.text(name, shown)


__all__ = ["Navigation", "Rendered", "RenderedReader", "Renderer", "SiteInfo"]
