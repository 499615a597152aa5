"""Who carries mail. A mailer is one file here and one line in MAILERS."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from newsletter.people import Email


class Verdict(StrEnum):
    """What an unsuccessful hand-over proves about the message."""

    UNSENT = "unsent"
    """Provably not accepted: may be tried again."""
    THROTTLED = "throttled"
    """Not accepted because too much came at once: everyone waits, then it is tried again."""
    REFUSED = "refused"
    """Not accepted, and this address or message never will be."""
    HALT = "halt"
    """Not accepted, and no other message will be: stop the run, tell the operator."""
    UNKNOWN = "unknown"
    """May have been accepted: never try again without proof."""


class SendError(Exception):
    """A message was not handed over. `verdict` says what that proves; the text is for a person.

    `retry_after` is in seconds, where the provider named a time; None else.
    """

    def __init__(self, verdict: Verdict, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.verdict = verdict
        self.retry_after = retry_after


class Mailer(Protocol):
    def send(self, email: Email) -> str:
        """Hand over one email and return the provider's id for it. Raises SendError."""


MAILERS = {
    "outbox": "newsletter.mailers.outbox:Outbox",
    "smtp": "newsletter.mailers.smtp:Smtp",
    "sendgrid": "newsletter.mailers.sendgrid:SendGrid",
}
