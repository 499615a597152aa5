"""SendGrid's webhooks: verify the signature, parse and store events and inbound mail.

Events arrive late, repeatedly, in any order and with changing ids. Their effects therefore follow
from the set of all events of a mail or an address, never from their order (docs/delivery.md).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from newsletter.domain.bounce_codes import DIAGNOSTIC_LENGTH, is_address_gone
from newsletter.domain.mail import EventKind
from newsletter.inbound import mime, processor
from newsletter.store import events
from newsletter.store.events import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from newsletter.domain.links import Links
    from newsletter.store import Store

MAX_AGE = timedelta(hours=25)
"""SendGrid retries for 24 hours, and does not document that it signs a retry again."""
MAX_CLOCK_SKEW = timedelta(minutes=10)
MAX_BODY = 10 * 2**20
LATEST_SECOND = 4_102_444_800
EVENT_KINDS = {
    "processed": EventKind.PROCESSED,
    "deferred": EventKind.DEFERRED,
    "delivered": EventKind.DELIVERED,
    "spamreport": EventKind.COMPLAINT,
    "unsubscribe": EventKind.UNSUBSCRIBE,
    "group_unsubscribe": EventKind.UNSUBSCRIBE,
}
DROP_REASONS = {
    "bounced address": EventKind.HARD_BOUNCE,
    "invalid": EventKind.HARD_BOUNCE,
    "spam reporting address": EventKind.COMPLAINT,
    "unsubscribed address": EventKind.UNSUBSCRIBE,
}


class Signature(Enum):
    """Result of verifying a signature."""

    VALID = "valid"
    INVALID = "invalid"
    TOO_OLD = "too old"
    """Valid, but old: a replay, or a delayed queue."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Status of the response, and the number of new events."""

    status: int
    new_events: int = 0
    alert: str = ""


def receive_events(
    store: Store, keys: str, signature: str, timestamp: str, raw: bytes, now: datetime
) -> Receipt:
    """Store the events of one request of the Event Webhook. On StoreError respond with 503.

    `keys` is the setting: one public key, or two with a comma during a change of keys. Without a
    key the webhook is off (404). A signed body that cannot be parsed is accepted and dropped: a
    retry would bring the same bytes.
    """
    if not keys.strip():
        return Receipt(404)
    if len(raw) > MAX_BODY:
        return Receipt(413)
    found = verify(keys.split(","), signature, timestamp, raw, now)
    if found is Signature.INVALID:
        return Receipt(403)
    if found is Signature.TOO_OLD:
        return Receipt(403, alert=f"a signed event request of {timestamp} (Unix time) was refused")
    new = 0
    for page in events.pages(read_events(raw)):
        with store.begin() as tx:
            new += events.apply(tx, page, now)
    return Receipt(200, new)


def verify(
    keys: Sequence[str], signature: str, timestamp: str, raw: bytes, now: datetime
) -> Signature:
    """Whether one of `keys` (base64 of SPKI DER) signed exactly these bytes, within the bounds.

    ECDSA P-256 with SHA-256 over the timestamp header and the raw body, DER in base64.
    """
    hashed = hashlib.sha256(timestamp.encode(errors="replace") + raw)
    return verify_hash(keys, signature, timestamp, hashed.digest(), now)


def verify_hash(
    keys: Sequence[str], signature: str, timestamp: str, hashed: bytes, now: datetime
) -> Signature:
    """The same, given the SHA-256 of the timestamp and the body."""
    signed = _signature(signature)
    if not is_unix_time(timestamp) or not signed:
        return Signature.INVALID
    if not any([_signed_by(key.strip(), signed, hashed) for key in keys]):  # noqa: C419 - every key is tried
        return Signature.INVALID
    age = now - datetime.fromtimestamp(int(timestamp), UTC)
    return Signature.VALID if -MAX_CLOCK_SKEW <= age <= MAX_AGE else Signature.TOO_OLD


def has_signature_headers(signature: str, timestamp: str) -> bool:
    """Whether the headers may belong to a signed request; checked before the body is read."""
    return is_unix_time(timestamp) and bool(_signature(signature))


def is_unix_time(timestamp: str) -> bool:
    return timestamp.isascii() and timestamp.isdigit() and len(timestamp) < len("1" * 12)


def _signature(text: str) -> bytes:
    """The decoded signature; empty if it is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def read_events(raw: bytes) -> list[Event]:
    """The known events of a body; everything else is skipped."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return []
    fields = found if isinstance(found, list) else []
    return [event for one in fields if isinstance(one, dict) and (event := _event(one))]


def _event(fields: dict[str, Any]) -> Event | None:
    name, email = _string(fields, "event"), _string(fields, "email")
    kind = _event_kind(name, fields)
    second = fields.get("timestamp")
    if kind is None or not email or not isinstance(second, int) or isinstance(second, bool):
        return None
    if not 0 < second < LATEST_SECOND:
        return None
    return Event(
        kind=kind,
        email=email,
        delivery_id=_string(fields, "dg_delivery_id")[:32],
        message_id=_string(fields, "sg_message_id")[:200],
        reason=_reason(fields),
        group_id=_string(fields, "dg_group_id")[:32],
        smtp_id=_string(fields, "smtp-id").strip("<> ")[:200],
        at=datetime.fromtimestamp(second, UTC),
    )


def _event_kind(name: str, fields: dict[str, Any]) -> EventKind | None:
    if name == "bounce":
        return _bounce_kind(fields)
    if name == "dropped":
        reason = _string(fields, "reason").lower()
        known = (kind for start, kind in DROP_REASONS.items() if reason.startswith(start))
        return next(known, EventKind.DROPPED)
    return EVENT_KINDS.get(name)


def _bounce_kind(fields: dict[str, Any]) -> EventKind:
    gone = is_address_gone(_string(fields, "status"), _string(fields, "reason"))
    if _string(fields, "type") == "blocked" or not gone:
        return EventKind.SOFT_BOUNCE
    return EventKind.HARD_BOUNCE


def _reason(fields: dict[str, Any]) -> str:
    """The whole response of the receiving server."""
    reason, status = _string(fields, "reason"), _string(fields, "status")
    said = reason if status in reason else f"{status} {reason}".strip()
    return said[:DIAGNOSTIC_LENGTH]


def _string(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value.replace("\0", "") if isinstance(value, str) else ""


def is_public_key(text: str) -> bool:
    """Whether it can be a public key as SendGrid shows it: base64 of SPKI DER, an elliptic
    curve.
    """
    return _key(text) is not None


def _signed_by(key: str, signed: bytes, hashed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    public = _key(key)
    if public is None:
        return False
    try:
        public.verify(signed, hashed, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True


def _key(text: str) -> ec.EllipticCurvePublicKey | None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        found = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, ec.EllipticCurvePublicKey) else None


def receive_mail(store: Store, links: Links, fields: Mapping[str, bytes], now: datetime) -> Receipt:
    """Store one post of Inbound Parse with `send_raw`; it is processed later.

    The endpoint has checked the secret in the path, and the signature if a key is set. A post
    without a mail is accepted and dropped. Raises StoreError: answer 503, as SendGrid retries 5xx
    for three days and drops the mail on 4xx.
    """
    raw = fields.get("email", b"")
    if not raw.strip():
        return Receipt(200, alert="an inbound post held no raw mail: set send_raw in Inbound Parse")
    sender, recipients = _envelope(fields.get("envelope", b""))
    mail = mime.parse_mail(raw)
    aligned = processor.is_aligned(
        mail.header("from"), _field(fields, "dkim"), _field(fields, "SPF"), sender
    )
    to = processor.recipients_to_store(recipients or [mail.header("to")[:500]], links)
    return Receipt(200, processor.store_mail(store, raw, sender, to, now, aligned=aligned))


def _envelope(raw: bytes) -> tuple[str, list[str]]:
    """Envelope sender and recipients, as SendGrid's mail server received them."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return "", []
    if not isinstance(found, dict):
        return "", []
    to = found.get("to")
    named = [one for one in to if isinstance(one, str)] if isinstance(to, list) else []
    return _string(found, "from"), named[:100]


def _field(fields: Mapping[str, bytes], name: str) -> str:
    return fields.get(name, b"").decode(errors="replace")
