"""A digest's renderings, one for each format and length, and each reader's copy of them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from newsletter import announcements, envelope
from newsletter.render import Nav, Reader, Rendered

if TYPE_CHECKING:
    from datetime import datetime

    from newsletter.envelope import Sender
    from newsletter.links import Links
    from newsletter.model import Digest
    from newsletter.people import Email, Format, Subscriber
    from newsletter.render import Renderer


class Copy(NamedTuple):
    subject: str
    html: str
    text: str


class Copies:
    """What readers of one digest get. May be asked from several threads."""

    def __init__(self, renderer: Renderer, links: Links, sender: Sender, digest: Digest) -> None:
        self._renderer = renderer
        self._links = links
        self._sender = sender
        self._digest = digest
        self._rendered: dict[tuple[Format, int | None], Rendered] = {}
        self._lock = threading.Lock()
        self.rendering_seconds = 0.0

    def copy(self, subscriber: Subscriber) -> Copy:
        """The digest as this reader gets it."""
        rendered = self._rendering(subscriber.format, subscriber.max_papers)
        html, text = rendered.for_reader(
            Reader(
                email=subscriber.email,
                since=subscriber.since.date() if subscriber.since else None,
                unsubscribe_url=self._links.unsubscribe_url(subscriber.id),
                preferences_url=self._links.preferences_url(subscriber.id),
                name=subscriber.name,
            )
        )
        return Copy(rendered.subject, html, text)

    def email(
        self, subscriber: Subscriber, delivery_id: str, now: datetime, *, test: bool = False
    ) -> Email:
        """The copy in its envelope. A test takes the reader whose links change nothing."""
        return envelope.compose(
            subscriber,
            **self.copy(subscriber)._asdict(),
            delivery_id=delivery_id,
            links=self._links,
            sender=self._sender,
            now=now,
            archive_url=self._links.rubric_url(self._digest.rubric),
            test=test,
        )

    def _rendering(self, fmt: Format, max_papers: int | None) -> Rendered:
        with self._lock:
            key = (fmt, max_papers)
            if key not in self._rendered:
                started = time.monotonic()
                self._rendered[key] = self._renderer.digest(
                    self._digest, navigation(self._links, self._digest), fmt, max_papers
                )
                self.rendering_seconds += time.monotonic() - started
            return self._rendered[key]


def navigation(links: Links, digest: Digest) -> Nav:
    """Where this issue stands among its neighbours. The next one's page says "not out yet"."""
    day, rubric = digest.date, digest.rubric
    before, after = announcements.previous(day), announcements.following(day)
    return Nav(
        issue_url=links.issue_url(rubric, day),
        previous=(f"{before.day} {before:%b}", links.issue_url(rubric, before)),
        month=(f"{day:%B %Y}", links.month_url(rubric, day)),
        next=(f"{after.day} {after:%b}", links.issue_url(rubric, after)),
    )
