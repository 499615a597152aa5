"""Build the Email of a rendered text and a reader, with all its headers (pure).

Every header value is made one clean line first, so that no input can inject a header.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

from newsletter.domain.mail import Addressee, Email, Sender, Subscription
from newsletter.domain.reader_rubrics import FEEDBACK_NAME, is_reader_rubric

if TYPE_CHECKING:
    from datetime import datetime

    from newsletter.domain.links import Links

NAME_LENGTH = 80
SUBJECT_LENGTH = 200
JOINERS = "\u200c\u200d"
NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9]+")
NOT_IN_NAMES = str.maketrans(dict.fromkeys('",;:<>[]()\\', " "))


def header_line(text: str, length: int) -> str:
    """`text` as one line: no control or direction characters, single spaces, cut at `length`."""
    plain = text.isascii() and text.isprintable()
    kept = text if plain else "".join(_printable(character) for character in text)
    line = " ".join(kept.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def clean_name(text: str) -> str:
    """A display name. SendGrid rejects `;` and `,`; the other characters are address syntax."""
    return header_line(text.translate(NOT_IN_NAMES), NAME_LENGTH)


def compose(
    subscriber: Subscription,
    *,
    subject: str,
    html: str,
    text: str,
    delivery_id: str,
    links: Links,
    sender: Sender,
    now: datetime,
    archive_url: str = "",
    test: bool = False,
) -> Email:
    """One digest mail for one reader. `now` becomes the Date; the Message-ID has the delivery id.

    A test mail is marked in its subject and has no delivery id, so that no event changes a row.
    Pass a Subscription whose id is `links.TEST_READER`: the links then change nothing.
    """
    marked = f"[TEST] {subject}" if test else subject
    own = sender.bounce_addresses and not test
    return Email(
        to_email=subscriber.email,
        to_name=clean_name(subscriber.name),
        from_email=sender.email,
        from_name=clean_name(sender.name),
        reply_to=links.reply_address(subscriber.id),
        subject=header_line(marked, SUBJECT_LENGTH),
        html=html,
        text=text,
        message_id=f"<{delivery_id}@{sender.domain}>",
        headers=_list_headers(subscriber, links, sender, archive_url),
        delivery_id="" if test else delivery_id,
        date=now,
        envelope_from=links.bounce_address(delivery_id) if own else "",
    )


def addressee(
    subscriber: Subscription,
    *,
    delivery_id: str,
    words: tuple[tuple[str, str], ...],
    links: Links,
    sender: Sender,
    archive_url: str,
) -> Addressee:
    """One recipient of a batch, with the headers that `compose` would set."""
    return Addressee(
        to_email=subscriber.email,
        to_name=clean_name(subscriber.name),
        delivery_id=delivery_id,
        headers=_list_headers(subscriber, links, sender, archive_url),
        words=words,
    )


def _list_headers(
    subscriber: Subscription, links: Links, sender: Sender, archive_url: str
) -> tuple[tuple[str, str], ...]:
    unsubscribe = links.unsubscribe_url(subscriber.id)
    leave = links.unsub_address(subscriber.id)
    archive = (("List-Archive", f"<{archive_url}>"),) if archive_url else ()
    return (
        ("List-Id", f"<{list_label(subscriber.rubric)}.digest.{links.reply_host}>"),
        ("List-Unsubscribe", f"<{unsubscribe}>, <mailto:{leave}?subject=unsubscribe>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Feedback-ID", f"{feedback_name(subscriber.rubric)}:digest:arxiv:{sender.domain}"),
        *automatic("auto-generated"),
        *archive,
    )


def feedback_name(slug: str) -> str:
    """A rubric's name in Feedback-ID, by which providers count: one for all reader rubrics."""
    return FEEDBACK_NAME if is_reader_rubric(slug) else header_line(slug, NAME_LENGTH)


def list_label(slug: str) -> str:
    """A rubric's label in List-Id (RFC 2919): letters, digits and hyphens."""
    return NOT_IN_LABELS.sub("-", slug)[:NAME_LENGTH].strip("-") or "rubric"


def notification(
    *,
    to_email: str,
    to_name: str,
    subject: str,
    html: str,
    text: str,
    mail_id: str,
    sender: Sender,
    now: datetime,
    answering: bool = False,
    refuse_url: str = "",
    reply_to: str = "",
) -> Email:
    """A mail about the subscription itself: no list headers. Replies go to the operator by default.

    `refuse_url` takes the one-click POST that ends mail of this kind (RFC 8058). `answering` marks
    an automatic reply, so that two machines never answer each other for ever (RFC 3834).
    """
    return Email(
        to_email=to_email,
        to_name=clean_name(to_name),
        from_email=sender.email,
        from_name=clean_name(sender.name),
        reply_to=reply_to or sender.operator or sender.email,
        subject=header_line(subject, SUBJECT_LENGTH),
        html=html,
        text=text,
        message_id=f"<{mail_id}@{sender.domain}>",
        headers=(
            *_unsubscribe_headers(refuse_url),
            *automatic("auto-replied" if answering else "auto-generated"),
        ),
        date=now,
    )


def _unsubscribe_headers(url: str) -> tuple[tuple[str, str], ...]:
    if not url:
        return ()
    return (
        ("List-Unsubscribe", f"<{url}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    )


def content_hash(subject: str, text: str, html: str) -> str:
    """SHA-256 of the content, in hex: a mail that is sent again must have the same."""
    digest = hashlib.sha256(subject.encode(errors="surrogatepass"))
    for part in (text, html):
        digest.update(b"\x00")
        digest.update(part.encode(errors="surrogatepass"))
    return digest.hexdigest()


def automatic(kind: str) -> tuple[tuple[str, str], ...]:
    """Headers that suppress automatic replies and mail loops (RFC 3834, Exchange)."""
    return (("Auto-Submitted", kind), ("X-Auto-Response-Suppress", "All"))


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    if category in {"Cf", "Cs", "Co", "Cn"} and character not in JOINERS:
        return ""
    return character
