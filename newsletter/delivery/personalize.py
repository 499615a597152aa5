"""Personalized mail: one rendering for each format and length, filled in for each reader."""

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
    from newsletter.domain.mail import Addressee, Delivery, Email, Format, Sender, Subscription
    from newsletter.domain.model import Digest
    from newsletter.render import Renderer
    from newsletter.store.mail_batches import MailBatch


class PersonalizedMail(NamedTuple):
    subject: str
    html: str
    text: str


class Personalizer:
    """Personalizes the mail of one digest. Thread-safe."""

    def __init__(
        self,
        renderer: Renderer,
        links: Links,
        sender: Sender,
        digest: Digest,
        previous_date: date | None,
    ) -> None:
        """`previous_date` is the date of the rubric's digest before this one."""
        self._renderer = renderer
        self._links = links
        self._sender = sender
        self._digest = digest
        self._navigation = navigation(links, digest, previous_date)
        self._rendered: dict[tuple[Format, int | None], Rendered] = {}
        self._lock = threading.Lock()
        self.rendering_seconds = 0.0

    def rendering(self, fmt: Format, max_papers: int | None) -> Rendered:
        with self._lock:
            key = (fmt, max_papers)
            if key not in self._rendered:
                started = time.monotonic()
                self._rendered[key] = self._renderer.digest(
                    self._digest, self._navigation, fmt, max_papers
                )
                self.rendering_seconds += time.monotonic() - started
            return self._rendered[key]

    def personalize(self, subscriber: Subscription) -> PersonalizedMail:
        """The digest with this reader's name and links."""
        rendered = self.rendering(subscriber.format, subscriber.max_papers)
        html, text = rendered.for_reader(self._reader(subscriber))
        return PersonalizedMail(rendered.subject, html, text)

    def batch_email(self, batch: MailBatch) -> BatchEmail:
        """One message for all readers of one rendering, with each reader's substitutions."""
        first = batch.deliveries[0].subscription
        rendered = self.rendering(first.format, first.max_papers)
        mark = f"dg{batch.id[:16]}"
        html, text = rendered.with_substitution_tags(mark)
        subject = message.header_line(rendered.subject, message.SUBJECT_LENGTH)
        return BatchEmail(
            id=batch.id,
            from_email=self._sender.email,
            from_name=message.clean_name(self._sender.name),
            reply_to=self._links.common_reply_address,
            subject=subject,
            html=html,
            text=text,
            readers=tuple(self._addressee(one, rendered, mark) for one in batch.deliveries),
            content_hash=message.content_hash(subject, rendered.text, rendered.html),
            batch_id=batch.batch_id,
            send_at=batch.send_at,
        )

    def _addressee(self, delivery: Delivery, rendered: Rendered, mark: str) -> Addressee:
        return message.addressee(
            delivery.subscription,
            delivery_id=delivery.id,
            words=rendered.substitutions(self._reader(delivery.subscription), mark),
            links=self._links,
            sender=self._sender,
            archive_url=self._links.rubric_url(self._digest.rubric),
        )

    def _reader(self, subscriber: Subscription) -> RenderedReader:
        return RenderedReader(
            email=subscriber.email,
            since=subscriber.since.date() if subscriber.since else None,
            unsubscribe_url=self._links.unsubscribe_url(subscriber.id),
            preferences_url=self._links.preferences_url(subscriber.id),
            why_url=self._links.why_url(subscriber.id),
            vote_url=self._links.vote_url(subscriber.id),
            name=subscriber.name,
        )

    def email(
        self, subscriber: Subscription, delivery_id: str, now: datetime, *, test: bool = False
    ) -> Email:
        """The personalized mail with its headers. For a test pass the reader `TEST_READER`."""
        return message.compose(
            subscriber,
            **self.personalize(subscriber)._asdict(),
            delivery_id=delivery_id,
            links=self._links,
            sender=self._sender,
            now=now,
            archive_url=self._links.rubric_url(self._digest.rubric),
            test=test,
        )


def navigation(links: Links, digest: Digest, previous_date: date | None) -> Navigation:
    """Links to the previous and the next issue. The next issue's page may say "not out yet".

    A date without a digest has no page, so the first issue has no previous one. A digest of
    several days has no page of its own: it links to the archive pages of those days.
    """
    day, rubric = digest.date, digest.rubric
    if digest.since:
        return _several_days_navigation(links, digest)
    after = announcements.following(day)
    previous = (
        (f"{previous_date.day} {previous_date:%b}", links.issue_url(rubric, previous_date))
        if previous_date
        else None
    )
    return Navigation(
        issue_url=links.issue_url(rubric, day),
        previous=previous,
        month=(f"{day:%B %Y}", links.month_url(rubric, day)),
        next=(f"{after.day} {after:%b}", links.issue_url(rubric, after)),
    )


def _several_days_navigation(links: Links, digest: Digest) -> Navigation:
    first, last, rubric = digest.first_date, digest.date, digest.rubric
    month = links.month_url(rubric, last)
    one_month = (first.year, first.month) == (last.year, last.month)
    return Navigation(
        issue_url=month if one_month else links.rubric_url(rubric),
        month=(f"{last:%B %Y}", month),
    )
