"""Renders emails: HTML and text, filled from templates that are compiled once (pure).

    digest -> view models -> HTML parts, measured -> plan that fits -> Rendered -> one reader's copy

Two copies of one rendering differ only in the reader's name, address, date and links.
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

# domain/sanitize.py removes control characters, so outside text cannot contain a placeholder.
PLACEHOLDER = re.compile("\x02([a-z_]+)\x03")
MAX_NAME = 40


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """The sender as each email names it."""

    name: str
    postal_address: str
    home_url: str


@dataclass(frozen=True, slots=True)
class Navigation:
    """Links to an issue and its neighbours. A label has no arrow: `22 Sep`, `September 2025`."""

    issue_url: str
    previous: Link | None = None
    month: Link | None = None
    next: Link | None = None


@dataclass(frozen=True, slots=True)
class RenderedReader:
    """The values of one reader's copy."""

    email: str
    since: date | None
    unsubscribe_url: str
    preferences_url: str
    why_url: str
    vote_url: str
    name: str = ""


@dataclass(frozen=True)
class Rendered:
    """One rendering of a digest, with placeholders for the reader's values."""

    subject: str
    html: str
    text: str

    @cached_property
    def _html_parts(self) -> list[str]:
        return PLACEHOLDER.split(self.html)

    @cached_property
    def _text_parts(self) -> list[str]:
        return PLACEHOLDER.split(self.text)

    def with_substitution_tags(self, prefix: str) -> tuple[str, str]:
        """HTML and text with tags that the provider replaces in each reader's copy.

        The author of a paper must not be able to guess `prefix`.
        https://www.twilio.com/docs/sendgrid/for-developers/sending-email/substitution-tags
        """
        return (
            PLACEHOLDER.sub(lambda found: _tag(prefix, "h", found[1]), self.html),
            PLACEHOLDER.sub(lambda found: _tag(prefix, "t", found[1]), self.text),
        )

    def substitutions(self, reader: RenderedReader, prefix: str) -> tuple[tuple[str, str], ...]:
        """Each tag of `with_substitution_tags` with its value for one reader."""
        from newsletter.render.plain_text import break_tags

        values = _values_of(reader)
        html = ((_tag(prefix, "h", name), escape(value)) for name, value in values.items())
        text = ((_tag(prefix, "t", name), break_tags(value)) for name, value in values.items())
        return (*html, *text)

    def for_reader(self, reader: RenderedReader) -> tuple[str, str]:
        """HTML and text of one reader's copy."""
        from newsletter.render.plain_text import break_tags

        values = _values_of(reader)
        return (
            _fill(self._html_parts, {name: escape(value) for name, value in values.items()}),
            _fill(self._text_parts, {name: break_tags(value) for name, value in values.items()}),
        )


def _tag(prefix: str, part: str, name: str) -> str:
    """A value is escaped differently in HTML and text. No tag is part of another."""
    return f"-{prefix}-{part}-{name}-"


def _fill(parts: list[str], values: dict[str, str]) -> str:
    # re.split puts the names of the placeholders at the odd indexes.
    return "".join(values[part] if index % 2 else part for index, part in enumerate(parts))


def _values_of(reader: RenderedReader) -> dict[str, str]:
    from newsletter.domain.formatting import long_date
    from newsletter.domain.sanitize import clean

    name = " ".join(clean(reader.name)[:MAX_NAME].split())
    address = clean(reader.email)
    since = f" on {long_date(reader.since).partition(', ')[2]}" if reader.since else ""
    return {
        "recipient": f"{name} ({address})" if name else address,
        "since": since,
        "unsubscribe_url": reader.unsubscribe_url,
        "preferences_url": reader.preferences_url,
        "why_url": reader.why_url,
        "vote_url": reader.vote_url,
    }


class Renderer:
    """Fills the templates; each is compiled once in a process, when it is first used."""

    def __init__(self, site: SiteInfo) -> None:
        from newsletter.render.templates import shared_templates

        self._site = site
        self._templates = shared_templates()

    def digest(
        self, digest: Digest, nav: Navigation, fmt: Format, max_papers: int | None = None
    ) -> Rendered:
        """A digest email. The same arguments give the same bytes."""
        from newsletter.render.digest_email import render

        return Rendered(*render(self._templates, self._site, digest, nav, fmt, max_papers))

    def mail(self, name: str, **values: Any) -> tuple[str, str, str]:  # noqa: ANN401 - what a template shows
        """Subject, HTML and text of the email with that template folder (`confirm`, `alert`)."""
        values = {"site": self._site, **values}
        subject = self._templates.subject(name, values)
        values["subject"] = subject
        return subject, self._templates.html(name, values), self._templates.text(name, values)


__all__ = ["Navigation", "Rendered", "RenderedReader", "Renderer", "SiteInfo"]
