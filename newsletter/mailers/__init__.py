"""Who carries mail. A mailer is one file here and one line in MAILERS.

A provider that keeps lists of whom it will not mail has a second file, and a line in LISTS.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from newsletter.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from newsletter.domain.findings import CheckResult, DnsRecord
    from newsletter.domain.http_headers import RateLimitStatus
    from newsletter.domain.mail import BatchEmail, Email


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

    `retry_after` is in seconds, where the provider named a time; None else. `diagnostic` is what
    a mail server said of this recipient, as it would stand in a delivery report.
    """

    def __init__(
        self,
        verdict: Verdict,
        reason: str,
        retry_after: float | None = None,
        diagnostic: str = "",
    ) -> None:
        super().__init__(reason)
        self.verdict = verdict
        self.retry_after = retry_after
        self.diagnostic = diagnostic


class RefusedReadersError(SendError):
    """A group was not accepted because of some of its readers, at these places in it."""

    def __init__(self, places: frozenset[int], reason: str) -> None:
        super().__init__(Verdict.REFUSED, reason)
        self.places = places


class Mailer(Protocol):
    def send(self, email: Email) -> str:
        """Hand over one email and return the provider's id for it. Raises SendError."""


@runtime_checkable
class Metered(Protocol):
    """A mailer whose provider says how much it still takes."""

    allowance: RateLimitStatus | None
    """What its last answer said; None where it said nothing."""


MAILERS = {
    "outbox": "newsletter.mailers.outbox:OutboxMailer",
    "smtp": "newsletter.mailers.smtp:SmtpMailer",
    "sendgrid": "newsletter.mailers.sendgrid.mailer:SendGridMailer",
}


class BatchMailer(Protocol):
    """Whoever takes one message for many readers in one request. All raise SendError."""

    most: int
    """Readers in one request."""

    def fitting(self, group: BatchEmail) -> int:
        """How many of its readers, from the first one on, fit into one request."""

    def send_group(self, group: BatchEmail) -> str:
        """Hand over a group and return the provider's id for it.

        It is taken as a whole or not at all. Raises RefusedReadersError where readers are at fault.
        """

    def new_batch(self) -> str:
        """A name under which a scheduled group can be withdrawn."""

    def withdraw(self, batch_id: str) -> bool:
        """Make sure that nothing of a batch is sent, whether it was taken, is under way or never
        left. False where that is not granted; may be asked again.
        """

    def let_go(self, batch_id: str) -> None:
        """Forget that a batch was withdrawn, once its time is long over: only so many are held."""


BATCH_MAILERS = {"sendgrid": "newsletter.mailers.sendgrid.batch:SendGridBatches"}


def name_of(mailer: Mailer | BatchMailer) -> str:
    """The name of a mailer in these tables, as it is kept with each delivery; empty for others."""
    made = f"{type(mailer).__module__}:{type(mailer).__qualname__}"
    return next(
        (name for name, path in (*MAILERS.items(), *BATCH_MAILERS.items()) if path == made), ""
    )


class ListName(StrEnum):
    """Why a provider will not mail an address."""

    SPAM_REPORTS = "spam_reports"
    BOUNCES = "bounces"
    INVALID = "invalid_emails"
    BLOCKS = "blocks"
    UNSUBSCRIBES = "unsubscribes"


@dataclass(frozen=True, slots=True)
class ListedAddress:
    """An address on a provider's list; `reason` is what the receiving server said, if it did."""

    email: str
    at: datetime
    reason: str = ""


class SuppressionListsError(OperatorError):
    """A provider's list can't be read or changed now."""


class SuppressionLists(Protocol):
    """What a provider remembers of whom not to mail. All methods raise SuppressionListsError."""

    def read(self, name: ListName) -> Iterator[list[ListedAddress]]:
        """Everything on a list, page by page."""

    def add(self, emails: Sequence[str]) -> None:
        """Put addresses among the unsubscribed; those that are there already do no harm."""

    def remove(self, email: str) -> None:
        """Take an address off the unsubscribed; one that is not there does no harm."""

    def free(self, email: str) -> None:
        """Take an address off every list but that of complaints; where it is on none, no harm."""

    def erase(self, emails: Sequence[str]) -> None:
        """Have the provider forget all it knows of these people; twice does no harm."""


SUPPRESSION_LISTS = {"sendgrid": "newsletter.mailers.sendgrid.suppressions:SendGridSuppressions"}


class MailCheck(Protocol):
    """What a carrier of mail tells for nothing. Every method changes nothing there."""

    def account(self) -> CheckResult:
        """Whether the key or the login holds, and what it may do."""

    def would_take(self, email: Email) -> CheckResult:
        """Whether it takes a mail as a morning sends it. Nothing is delivered."""

    def hooks(self) -> CheckResult:
        """Whether it reports events and replies to us."""

    def records(self) -> Sequence[DnsRecord]:
        """The records it wants for the From domain; none where it does not know that domain.

        Raises CheckError where it does not tell.
        """


CHECKS = {
    "smtp": "newsletter.mailers.smtp:SmtpCheck",
    "sendgrid": "newsletter.mailers.sendgrid.check:SendGridCheck",
}
"""Whom `newsletter doctor` asks: a `MailCheck`, made of settings and a timeout."""
