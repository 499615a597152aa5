"""Mailers: the extension point for sending email. One file here, and one line in MAILERS.

Optional, each with a table of its own: batches of mail, the provider's suppression lists, checks
for `newsletter doctor`.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from newsletter.domain.addresses import canonical
from newsletter.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from newsletter.domain.findings import CheckResult, DnsRecord
    from newsletter.domain.http_headers import RateLimitStatus
    from newsletter.domain.mail import BatchEmail, Email


class SendFailure(StrEnum):
    """What a failed attempt proves about the message."""

    UNSENT = "unsent"
    """Provably not accepted: it may be tried again."""
    THROTTLED = "throttled"
    """Not accepted because of a rate limit: all senders wait, then it is tried again."""
    REFUSED = "refused"
    """Not accepted, and this address or message never will be."""
    HALT = "halt"
    """Not accepted, and no other message will be: stop the run, tell the operator."""
    UNKNOWN = "unknown"
    """May have been accepted: never try again without proof."""


class SendError(Exception):
    """A message was not sent, or may not have been. Its text is for the operator.

    `retry_after` is the provider's Retry-After in seconds, or None. `diagnostic` is the server's
    answer about this recipient, as in the Diagnostic-Code of a delivery report.
    """

    def __init__(
        self,
        failure: SendFailure,
        reason: str,
        retry_after: float | None = None,
        diagnostic: str = "",
    ) -> None:
        super().__init__(reason)
        self.failure = failure
        self.retry_after = retry_after
        self.diagnostic = diagnostic


class RejectedReadersError(SendError):
    """A batch was not accepted because of the readers at these positions."""

    def __init__(self, positions: frozenset[int], reason: str) -> None:
        super().__init__(SendFailure.REFUSED, reason)
        self.positions = positions


class Mailer(Protocol):
    def send(self, email: Email) -> str:
        """Send one email and return the provider's id of it. Raises SendError. Thread-safe."""


class OperatorOnlyMailer:
    """Sends mail to the operator's own address, and refuses every other (NEWSLETTER_OPERATOR_ONLY).

    Replies and unsubscribing by mail go to that address too: without a public URL and a reply
    domain no other address and no page of ours can be reached.
    """

    def __init__(self, mailer: Mailer, operator: str) -> None:
        self.mailer, self._operator = mailer, operator

    def send(self, email: Email) -> str:
        if canonical(email.to_email) != canonical(self._operator):
            message = (
                "NEWSLETTER_OPERATOR_ONLY is true, and this mail is not for the operator: to mail "
                "other readers, set NEWSLETTER_PUBLIC_URL and NEWSLETTER_POSTAL_ADDRESS and take "
                "NEWSLETTER_OPERATOR_ONLY away"
            )
            raise SendError(SendFailure.HALT, message)
        kept = (one for one in email.headers if one[0] not in PAGE_HEADERS)
        leave = ("List-Unsubscribe", f"<mailto:{self._operator}?subject=unsubscribe>")
        headers = (*kept, leave) if "List-Id" in dict(email.headers) else tuple(kept)
        return self.mailer.send(replace(email, reply_to=self._operator, headers=headers))


PAGE_HEADERS = ("List-Unsubscribe", "List-Unsubscribe-Post", "List-Archive")
"""Headers of a mail that name our web pages or the reply domain."""


@runtime_checkable
class Metered(Protocol):
    """A mailer whose provider reports its rate limit."""

    allowance: RateLimitStatus | None
    """As in the last response; None if it had no such headers."""


@runtime_checkable
class TakesMany(Protocol):
    """A mailer whose provider accepts many requests at once."""

    max_concurrent: int


def max_concurrent(mailer: Mailer) -> int:
    """How many requests at once the provider is known to accept; 0 if that is not known."""
    return mailer.max_concurrent if isinstance(mailer, TakesMany) else 0


@runtime_checkable
class KeepsConnections(Protocol):
    """A mailer that can use a connection for many mails."""

    def connections_kept(self) -> AbstractContextManager[None]:
        """Keep connections between mails inside the block; close them at its end."""


def connections_kept(mailer: Mailer) -> AbstractContextManager[None]:
    """For a run of mails: keep the mailer's connections inside the block, if it can."""
    return mailer.connections_kept() if isinstance(mailer, KeepsConnections) else nullcontext()


MAILERS = {
    "outbox": "newsletter.mailers.outbox:OutboxMailer",
    "smtp": "newsletter.mailers.smtp:SmtpMailer",
    "sendgrid": "newsletter.mailers.sendgrid.mailer:SendGridMailer",
}


class BatchMailer(Protocol):
    """Sends one message to many readers in one request. All methods raise SendError."""

    max_readers: int
    """Readers in one request."""

    def fitting(self, batch: BatchEmail) -> int:
        """How many of the readers, from the first on, fit into one request."""

    def send_batch(self, batch: BatchEmail) -> str:
        """Send a batch and return the provider's id of it.

        It is accepted as a whole or not at all. Raises RejectedReadersError if readers are at
        fault.
        """

    def new_batch_id(self) -> str:
        """An id by which a scheduled batch can be cancelled."""

    def cancel(self, batch_id: str) -> bool:
        """Cancel a batch, whether its request was accepted, is under way or never left.

        False if the provider does not cancel it. Idempotent.
        """

    def release(self, batch_id: str) -> None:
        """Delete the cancellation of a batch whose send time has passed: their number is limited.

        Idempotent.
        """


BATCH_MAILERS = {"sendgrid": "newsletter.mailers.sendgrid.batch:SendGridBatches"}


def name_of(mailer: Mailer | BatchMailer) -> str:
    """The name of a mailer in these tables, as stored with each delivery; empty for others."""
    if isinstance(mailer, OperatorOnlyMailer):
        return name_of(mailer.mailer)
    made = f"{type(mailer).__module__}:{type(mailer).__qualname__}"
    return next(
        (name for name, path in (*MAILERS.items(), *BATCH_MAILERS.items()) if path == made), ""
    )


class ListName(StrEnum):
    """A provider's suppression list."""

    SPAM_REPORTS = "spam_reports"
    BOUNCES = "bounces"
    INVALID = "invalid_emails"
    BLOCKS = "blocks"
    UNSUBSCRIBES = "unsubscribes"


@dataclass(frozen=True, slots=True)
class ListedAddress:
    """An address on a provider's list; `reason` is the receiving server's answer, if known."""

    email: str
    at: datetime
    reason: str = ""


class SuppressionListsError(OperatorError):
    """A provider's list cannot be read or changed now."""


class SuppressionLists(Protocol):
    """A provider's suppression lists. All methods raise SuppressionListsError; all changes are
    idempotent.
    """

    def read(self, name: ListName) -> Iterator[list[ListedAddress]]:
        """A whole list, page by page."""

    def add(self, emails: Sequence[str]) -> None:
        """Add addresses to the unsubscribes."""

    def remove(self, email: str) -> None:
        """Remove an address from the unsubscribes."""

    def free(self, email: str) -> None:
        """Remove an address from every list except complaints."""

    def erase(self, emails: Sequence[str]) -> None:
        """Delete all that the provider stores about these people."""


SUPPRESSION_LISTS = {"sendgrid": "newsletter.mailers.sendgrid.suppressions:SendGridSuppressions"}


class MailCheck(Protocol):
    """Free checks of a provider for `newsletter doctor`. No method changes anything there."""

    def account(self) -> CheckResult:
        """Check the key or login, and its permissions."""

    def check_mail(self, email: Email) -> CheckResult:
        """Check that a mail like the daily one would be accepted. Nothing is delivered."""

    def hooks(self) -> CheckResult:
        """Check that events and replies are reported to our webhooks."""

    def records(self) -> Sequence[DnsRecord]:
        """The DNS records that the provider wants for the From domain; none if it has none.

        Raises CheckError if it does not answer.
        """


CHECKS = {
    "smtp": "newsletter.mailers.smtp:SmtpCheck",
    "sendgrid": "newsletter.mailers.sendgrid.check:SendGridCheck",
}
"""Classes that implement `MailCheck`, made of settings and a timeout."""
