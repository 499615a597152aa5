"""SendGrid's side of a signed webhook: keys, signatures, events."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fakes.mail import START

SECOND = int(START.timestamp())


class Signer:
    """One key pair; `public` is what SendGrid's page shows."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        public = self._private.public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public = base64.b64encode(der).decode()

    def sign(self, raw: bytes, timestamp: str) -> str:
        signed = self._private.sign(timestamp.encode() + raw, ec.ECDSA(hashes.SHA256()))
        return base64.b64encode(signed).decode()


def told(event: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """One event about `reader<number>`, as SendGrid writes it."""
    given = {
        "event": event,
        "email": f"reader{number}@example.org",
        "timestamp": SECOND,
        "sg_event_id": "e1",
        "sg_message_id": "m1.recv",
        "smtp-id": "<x@y>",
        "category": ["digest"],
    }
    return {**given, **more}


def body(*events: Any) -> bytes:
    return json.dumps(list(events)).encode()
