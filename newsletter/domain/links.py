"""Signed tokens, and the addresses made of them: pages, replies, the archive.

A token is 48 letters of lower-case base32 (mail servers lower-case local parts): 16 bytes of
subscriber id, then 14 bytes of HMAC-SHA256 bound to the token's purpose. Thirty bytes fill the
48 letters to the last bit, so that no second spelling of a token exists.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from newsletter.domain.model import Rubric

TEST_READER = "0" * 32
"""The id in the links of a test mail. No subscriber has it: a request with it changes nothing."""

ID_BYTES = 16
MAC_BYTES = 14
SEGMENT_BYTES = 15
SECRET_LETTERS = SEGMENT_BYTES * 8 // 5
TOKEN = re.compile(r"[a-z2-7]{48}")
MAILBOX = re.compile(r"(reply|unsub|bounce)[+=-]([a-z2-7]{48})")
RUBRIC_MARK = re.compile(r"([0-9]{1,9})-([0-9]{1,10})-([0-9a-f]{64})", re.ASCII)
LOCAL_PART_OCTETS = 64


class Purpose(StrEnum):
    """What a token may be used for. A token of one purpose is invalid for the others."""

    UNSUBSCRIBE = "unsubscribe"
    PREFERENCES = "preferences"
    CONFIRM = "confirm"
    REFUSE = "refuse"
    WHY = "why"
    VOTE = "vote"
    READING_LIST = "reading-list"
    CONFIRM_RUBRIC = "confirm-rubric"
    REPLY = "reply"
    UNSUB = "unsub"
    BOUNCE = "bounce"
    """Envelope sender of a mail. Its token has a delivery's id, all others a subscriber's."""


class RubricVersion(NamedTuple):
    """A version of a reader rubric that a mailed link confirms until a time."""

    subscriber_id: str
    slug: str
    version: int
    until: datetime


class Links:
    """All addresses of one service. The first key signs; all keys verify (rotation)."""

    def __init__(self, public_url: str, keys: Sequence[str], reply_host: str) -> None:
        if not keys:
            message = "NEWSLETTER_SECRET_KEY: no key to sign links with; set 32 random letters"
            raise ValueError(message)
        self.public_url = public_url.rstrip("/")
        self.host = urlsplit(public_url).hostname or "localhost"
        self.reply_host = reply_host or self.host
        self._keys = [key.encode() for key in keys]

    def token(self, purpose: Purpose, subscriber_id: str) -> str:
        identity = bytes.fromhex(subscriber_id)
        mac = _mac(self._keys[0], purpose, identity)[:MAC_BYTES]
        return base64.b32encode(identity + mac).decode().lower()

    def read(self, purpose: str, token: str) -> str | None:
        """The subscriber id in `token`, or None where we did not make it for `purpose`."""
        token = token.strip().lower()
        if not TOKEN.fullmatch(token):
            return None
        try:
            raw = base64.b32decode(token.upper())
        except binascii.Error:
            return None
        identity, mac = raw[:ID_BYTES], raw[ID_BYTES:]
        # All keys are always tried, so that the time taken reveals nothing.
        matches = [
            hmac.compare_digest(_mac(key, purpose, identity)[:MAC_BYTES], mac) for key in self._keys
        ]
        return identity.hex() if any(matches) else None

    def sign(self, purpose: str, what: str) -> str:
        """The signature of `what` for one purpose: HMAC-SHA256 as hex."""
        return _mac(self._keys[0], purpose, what.encode()).hex()

    def is_signed(self, purpose: str, what: str, signature: str) -> bool:
        """Whether `signature` is ours of `what`, by any key."""
        made = [_mac(key, purpose, what.encode()).hex().encode() for key in self._keys]
        return any([hmac.compare_digest(one, signature.encode()) for one in made])  # noqa: C419 - every key is tried

    def unsubscribe_url(self, subscriber_id: str) -> str:
        return self._page(Purpose.UNSUBSCRIBE, subscriber_id)

    def preferences_url(self, subscriber_id: str) -> str:
        return self._page(Purpose.PREFERENCES, subscriber_id)

    def why_url(self, subscription_id: str) -> str:
        """Where a reader asks what became of a paper."""
        return self._page(Purpose.WHY, subscription_id)

    def vote_url(self, subscription_id: str) -> str:
        """Where a reader votes about a paper, with `?paper=ID` after it."""
        return self._page(Purpose.VOTE, subscription_id)

    def reading_list_url(self, subscription_id: str) -> str:
        return self._page(Purpose.READING_LIST, subscription_id)

    def reader_rubric_url(self, subscription_id: str, slug: str = "new") -> str:
        """Where readers write a rubric of their own; behind the token of their preferences."""
        token = self.token(Purpose.PREFERENCES, subscription_id)
        return f"{self.public_url}/rubrics/{token}/{slug}"

    def confirm_rubric_url(self, subscription_id: str, saved: RubricVersion) -> str:
        """The link by which the reader's own address confirms a version of their rubric."""
        until = int(saved.until.timestamp())
        signature = self.sign(Purpose.CONFIRM_RUBRIC, _named(saved))
        page = self.reader_rubric_url(subscription_id, saved.slug)
        return f"{page}/confirm/{saved.version}-{until}-{signature}"

    def read_rubric_mark(self, subscriber_id: str, slug: str, mark: str) -> RubricVersion | None:
        """What the last part of `confirm_rubric_url` confirms; None where we did not make it."""
        found = RUBRIC_MARK.fullmatch(mark)
        if not found:
            return None
        until = datetime.fromtimestamp(int(found[2]), UTC)
        saved = RubricVersion(subscriber_id, slug, int(found[1]), until)
        return saved if self.is_signed(Purpose.CONFIRM_RUBRIC, _named(saved), found[3]) else None

    def confirm_url(self, subscriber_id: str) -> str:
        return self._page(Purpose.CONFIRM, subscriber_id)

    def refuse_url(self, subscriber_id: str) -> str:
        """Where the owner of an address refuses any further mail to confirm with."""
        return (
            f"{self.public_url}/{Purpose.UNSUBSCRIBE}/{self.token(Purpose.REFUSE, subscriber_id)}"
        )

    def reply_address(self, subscriber_id: str) -> str:
        """The address for one reader's replies, which are parsed as commands."""
        return self._mailbox(Purpose.REPLY, subscriber_id)

    @property
    def common_reply_address(self) -> str:
        """The address for replies to batched mail: it does not tell whose they are."""
        return f"{Purpose.REPLY}+list@{self.reply_host}"

    def unsub_address(self, subscriber_id: str) -> str:
        """The `mailto:` of List-Unsubscribe: any mail to it unsubscribes the reader."""
        return self._mailbox(Purpose.UNSUB, subscriber_id)

    def bounce_address(self, delivery_id: str) -> str:
        """The envelope sender of one mail (VERP): reports about the mail come to it."""
        return self._mailbox(Purpose.BOUNCE, delivery_id)

    def read_address(self, address: str) -> tuple[Purpose, str] | None:
        """Purpose and id of an address of ours, as a mail to it arrived: the subscriber's id, or
        of a bounce address the delivery's.

        Case, the separator (`+`, `=`, `-`) and the prefixes of forwarders (SRS, BATV) are ignored.
        """
        found = MAILBOX.search(address.lower())
        if not found:
            return None
        purpose = Purpose(found[1])
        subscriber_id = self.read(purpose, found[2])
        return (purpose, subscriber_id) if subscriber_id else None

    def segment(self, rubric: Rubric) -> str:
        """The rubric's name in archive addresses; nobody can guess that of a private one."""
        return rubric.slug if rubric.public else _private(self._keys[0], rubric.slug)

    def opens(self, rubric: Rubric, segment: str) -> bool:
        """Whether an archive address with `segment` may show `rubric`, by any key."""
        if rubric.public:
            return segment == rubric.slug
        given = segment.encode()
        matches = [
            hmac.compare_digest(_private(key, rubric.slug).encode(), given) for key in self._keys
        ]
        return any(matches)

    @staticmethod
    def slugs_in(segment: str) -> tuple[str, str]:
        """The slugs that an archive address may name: of a public rubric, of a private one."""
        return segment, segment[: -len("-") - SECRET_LETTERS]

    def rubric_url(self, rubric: Rubric) -> str:
        return f"{self.public_url}/archive/{self.segment(rubric)}/"

    def issue_url(self, rubric: Rubric, day: date) -> str:
        return f"{self.rubric_url(rubric)}{day:%Y-%m-%d}/"

    def month_url(self, rubric: Rubric, day: date) -> str:
        return f"{self.rubric_url(rubric)}{day:%Y-%m}/"

    def feed_url(self, rubric: Rubric) -> str:
        return f"{self.rubric_url(rubric)}feed.xml"

    def _page(self, purpose: Purpose, subscriber_id: str) -> str:
        return f"{self.public_url}/{purpose}/{self.token(purpose, subscriber_id)}"

    def _mailbox(self, purpose: Purpose, subscriber_id: str) -> str:
        return f"{purpose}+{self.token(purpose, subscriber_id)}@{self.reply_host}"


def _mac(key: bytes, purpose: str, what: bytes) -> bytes:
    return hmac.digest(key, f"newsletter {purpose}\0".encode() + what, hashlib.sha256)


def _named(saved: RubricVersion) -> str:
    until = int(saved.until.timestamp())
    return f"{saved.subscriber_id} {saved.slug} {saved.version} {until}"


def _private(key: bytes, slug: str) -> str:
    secret = _mac(key, "archive", slug.encode())[:SEGMENT_BYTES]
    return f"{slug}-{base64.b32encode(secret).decode().lower()}"
