"""What a mail says that comes back: a delivery report (RFC 3464) or a feedback report (RFC 5965).

Anybody can write such a mail. What proves that it is about a mail of ours is what stood in that
and nobody else knows: the id of the delivery in its Message-ID, the reader's token in its headers.
An address alone proves nothing (pure).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

READ = 256 * 1024
LENGTH = 500
STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
# Reputation, routing, a full mailbox, the message itself: none says the address is wrong.
TEMPORARY = re.compile(r"2\.|4\.|5\.7\.|5\.4\.4|5\.2\.2|5\.3\.|5\.6\.")
OUR_ID = re.compile(r"(?im)^[> ]*message-id:\s*<([0-9a-f]{32})@")
OUR_TOKEN = re.compile(r"(?i)\b(?:reply|unsub)[+=-][a-z2-7]{48}@")
FOLDED = re.compile(r"\r?\n[ \t]+")
FIELD = r"(?im)^{}:[ \t]*(?:rfc822[ \t]*;)?[ \t]*<?([^\r\n<>;]{{1,500}})"


@dataclass(frozen=True, slots=True)
class Returned:
    """`delivery_id` and `token_address` are proof of whose mail it was; `recipient` is hearsay.

    `action` as RFC 3464 has it (failed, delayed, ...), empty where there is no such field.
    """

    delivery_id: str = ""
    token_address: str = ""
    recipient: str = ""
    action: str = ""
    status: str = ""


def read(raw: bytes) -> Returned:
    """Never raises, whatever the bytes."""
    text = FOLDED.sub(" ", raw[:READ].decode("latin-1"))
    token = OUR_TOKEN.search(text)
    found = OUR_ID.search(text)
    names = ("Final-Recipient", "Original-Recipient", "Original-Rcpt-To")
    said = (_field(name, text) for name in names)
    return Returned(
        delivery_id=found[1].lower() if found else "",
        token_address=token[0] if token else "",
        recipient=next((one for one in said if "@" in one), ""),
        action=_field("Action", text).lower(),
        status=f"{_field('Status', text)} {_field('Diagnostic-Code', text)}".strip()[:LENGTH],
    )


def says_gone(status: str) -> bool:
    """Whether the address itself is said to be wrong: a block is about us, not about it."""
    code = STATUS.search(status)
    return code is not None and not TEMPORARY.match(code[0])


def _field(name: str, text: str) -> str:
    found = re.search(FIELD.format(name), text)
    return found[1].strip() if found else ""
