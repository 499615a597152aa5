"""A digest's renderings, one for each format and length, and each reader's copy of them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from newsletter.delivery import message
from newsletter.domain import announcements
from newsletter.domain.mail import BatchEmail
from newsletter.render import Navigation, Rendered, RenderedReader

if TYPE_CHECKING:
    from datetime import date, datetime

    from newsletter.domain.links import Links
    from newsletter.domain.mail import Addressee, Delivery, Email, Format, Sender, Subscriber
    from newsletter.domain.model import Digest
    from newsletter.render import Renderer
    from newsletter.store.mail_batches import MailBatch


class PersonalizedMail(NamedTuple):
    subject: str
    html: str
    text: str


class Personalizer:
    """What readers of one digest get. May be asked from several threads."""

    def __init__(
        self,
        renderer: Renderer,
        links: Links,
        sender: Sender,
        digest: Digest,
        before: date | None,
    ) -> None:
        """`before` is the date of the rubric's digest before this one."""
        self._renderer = renderer
        self._links = links
        self._sender = sender
        self._digest = digest
        self._nav = navigation(links, digest, before)
        self._rendered: dict[tuple[Format, int | None], Rendered] = {}
        self._lock = threading.Lock()
        self.rendering_seconds = 0.0

    def rendering(self, fmt: Format, max_papers: int | None) -> Rendered:
        with self._lock:
            key = (fmt, max_papers)
            if key not in self._rendered:
                started = time.monotonic()
                self._rendered[key] = self._renderer.digest(
                    self._digest, self._nav, fmt, max_papers
                )
                self.rendering_seconds += time.monotonic() - started
            return self._rendered[key]

    def copy(self, subscriber: Subscriber) -> PersonalizedMail:
        """The digest as this reader gets it."""
        rendered = self.rendering(subscriber.format, subscriber.max_papers)
        html, text = rendered.for_reader(self._reader(subscriber))
        return PersonalizedMail(rendered.subject, html, text)

    def group(self, group: MailBatch) -> BatchEmail:
        """One message for readers of one rendering, whose own words stand beside it."""
        first = group.deliveries[0].subscriber
        rendered = self.rendering(first.format, first.max_papers)
        mark = f"dg{group.id[:16]}"
        html, text = rendered.tagged(mark)
        subject = message.one_line(rendered.subject, message.SUBJECT_LENGTH)
        return BatchEmail(
            id=group.id,
            from_email=self._sender.email,
            from_name=message.clean_name(self._sender.name),
            reply_to=self._links.common_reply_address,
            subject=subject,
            html=html,
            text=text,
            readers=tuple(self._addressee(one, rendered, mark) for one in group.deliveries),
            content_hash=message.content_hash(subject, rendered.text, rendered.html),
            batch_id=group.batch_id,
            send_at=group.send_at,
        )

    def _addressee(self, owed: Delivery, rendered: Rendered, mark: str) -> Addressee:
        return message.addressee(
            owed.subscriber,
            delivery_id=owed.id,
            words=rendered.words(self._reader(owed.subscriber), mark),
            links=self._links,
            sender=self._sender,
            archive_url=self._links.rubric_url(self._digest.rubric),
        )

    def _reader(self, subscriber: Subscriber) -> RenderedReader:
        return RenderedReader(
            email=subscriber.email,
            since=subscriber.since.date() if subscriber.since else None,
            unsubscribe_url=self._links.unsubscribe_url(subscriber.id),
            preferences_url=self._links.preferences_url(subscriber.id),
            name=subscriber.name,
        )

    def email(
        self, subscriber: Subscriber, delivery_id: str, now: datetime, *, test: bool = False
    ) -> Email:
        """The copy in its envelope. A test takes the reader whose links change nothing."""
        return message.compose(
            subscriber,
            **self.copy(subscriber)._asdict(),
            delivery_id=delivery_id,
            links=self._links,
            sender=self._sender,
            now=now,
            archive_url=self._links.rubric_url(self._digest.rubric),
            test=test,
        )


def navigation(links: Links, digest: Digest, before: date | None) -> Navigation:
    """Where this issue stands among its neighbours. The next one's page says "not out yet".

    There is no page of a date without a digest: a first issue has none before it.

    One that sums up several days has no page of its own: it leads to where the days are.
    """
    day, rubric = digest.date, digest.rubric
    if digest.since:
        return _around_days(links, digest)
    after = announcements.following(day)
    previous = (f"{before.day} {before:%b}", links.issue_url(rubric, before)) if before else None
    return Navigation(
        issue_url=links.issue_url(rubric, day),
        previous=previous,
        month=(f"{day:%B %Y}", links.month_url(rubric, day)),
        next=(f"{after.day} {after:%b}", links.issue_url(rubric, after)),
    )


def _around_days(links: Links, digest: Digest) -> Navigation:
    first, last, rubric = digest.first_date, digest.date, digest.rubric
    month = links.month_url(rubric, last)
    one_month = (first.year, first.month) == (last.year, last.month)
    return Navigation(
        issue_url=month if one_month else links.rubric_url(rubric),
        month=(f"{last:%B %Y}", month),
    )
