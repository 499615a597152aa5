"""Test mails: one copy of a digest, marked [TEST], from the command line or the operator's page.

Nothing is recorded of its recipient, and its links belong to the test reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from newsletter.delivery.personalize import Personalizer
from newsletter.domain.addresses import canonical
from newsletter.domain.links import TEST_READER
from newsletter.domain.mail import Format, Subscription
from newsletter.errors import OperatorError
from newsletter.mailers import SendError, SendFailure
from newsletter.store import digests, suppressions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from newsletter.context import App
    from newsletter.domain.mail import Email
    from newsletter.domain.model import Digest


def refuse_suppressed(tx: Connection, to: str, operator: str) -> None:
    """Refuse a suppressed address, unless it is the operator's own."""
    if operator and canonical(to) == canonical(operator):
        return
    if reason := suppressions.reason_for(tx, to):
        message = f"{to} must not be mailed ({reason.value}); send tests to the operator's address"
        raise OperatorError(message)


def reader_for(app: App, rubric: str, to: str, wanted: Format = Format.FULL) -> Subscription:
    return Subscription(TEST_READER, to, rubric, format=wanted, since=app.clock())


def personalizer(app: App, digest: Digest) -> Personalizer:
    with app.store.read() as tx:
        before = digests.date_before(tx, digest.rubric.slug, digest.date)
    return Personalizer(app.renderer, app.links, app.sender, digest, before)


def build(app: App, digest: Digest, reader: Subscription) -> Email:
    return personalizer(app, digest).email(reader, uuid4().hex, app.clock(), test=True)


def send(app: App, email: Email) -> str:
    """What the provider answered. Raises OperatorError if it did not take the mail."""
    try:
        app.mailer.send(email)
    except SendError as error:
        sent = "may not have been sent" if error.failure is SendFailure.UNKNOWN else "was not sent"
        message = f"the test mail to {email.to_email} {sent}: {error}"
        raise OperatorError(message) from error
    return f"{email.subject}: sent to {email.to_email} by {app.settings.mailer_name}"
