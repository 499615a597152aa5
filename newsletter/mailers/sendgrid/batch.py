"""Batches by SendGrid: many readers in one request, which can be cancelled until its send time.

twilio.com/docs/sendgrid/api-reference: mail-send (personalizations, substitutions, send_at),
`POST /v3/mail/batch`, `POST /v3/user/scheduled_sends`. The key needs the permission "Scheduled
sends" besides "Mail Send". Not verified on a live account: that cancelling a batch also stops
requests that are accepted for it afterwards.
"""

from __future__ import annotations

import json
import re
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from newsletter.mailers import BatchMailer, RejectedReadersError, SendError, SendFailure
from newsletter.mailers.sendgrid.client import reason_of
from newsletter.mailers.sendgrid.mailer import NO_TRACKING, SendGridMailer

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsletter.domain.mail import Addressee, BatchEmail
    from newsletter.settings import Settings

TIMEOUT_SECONDS = 40.0
MAX_BYTES = 25 * 10**6
"""SendGrid's limit is 30 MB; our count leaves out some commas."""
MAX_READER_BYTES = 10_000
"""SendGrid's limit for one reader's substitutions and custom arguments, counted in JSON."""
POSITION = re.compile(r"personalizations\.(\d+)\b")
CREATED = 201


class SendGridBatches(SendGridMailer):
    max_readers = 1000

    def __init__(self, settings: Settings, *, timeout: float = TIMEOUT_SECONDS) -> None:
        super().__init__(settings, timeout=timeout)

    def fitting(self, batch: BatchEmail) -> int:
        room = MAX_BYTES - len(_common(batch).encode())
        for position, reader in enumerate(batch.readers[: self.max_readers]):
            own = personalization(batch, reader)
            sizes = [len(json.dumps(own[name])) for name in ("substitutions", "custom_args")]
            room -= len(json.dumps(own)) + 2
            if room < 0 or max(sizes) >= MAX_READER_BYTES:
                return position
        return min(len(batch.readers), self.max_readers)

    def send_batch(self, batch: BatchEmail) -> str:
        return self.post(batch_payload(batch))

    def refused(self, errors: list[dict[str, Any]], reason: str) -> SendError:
        found = [POSITION.match(str(error.get("field") or "")) for error in errors]
        if not all(found):
            # A reader is at fault, but the error does not say which.
            return SendError(SendFailure.HALT, reason)
        return RejectedReadersError(frozenset(int(one[1]) for one in found if one), reason)

    def new_batch_id(self) -> str:
        answer = self._ask(self._client.client.mail.batch.post)
        try:
            return str(json.loads(answer.body)["batch_id"])
        except (ValueError, KeyError, TypeError):
            message = "SendGrid returned no batch id; check NEWSLETTER_SENDGRID_URL"
            raise SendError(SendFailure.HALT, message) from None

    def cancel(self, batch_id: str) -> bool:
        cancellation = {"batch_id": batch_id, "status": "cancel"}
        scheduled = self._client.client.user.scheduled_sends
        try:
            return bool(
                self._ask(partial(scheduled.post, request_body=cancellation)).status_code == CREATED
            )
        except SendError as error:
            if error.failure is not SendFailure.HALT:
                raise
        # Too late, too many cancelled, or cancelled before: only the list tells these apart.
        return _is_cancelled(self._ask(scheduled._(quote(batch_id, safe="")).get).body)

    def release(self, batch_id: str) -> None:
        try:
            self._ask(self._client.client.user.scheduled_sends._(quote(batch_id, safe="")).delete)
        except SendError as error:
            # An error means that SendGrid does not know the batch any more.
            if error.failure is not SendFailure.HALT:
                raise

    def _ask(self, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - the library is untyped
        """Make a request that sends no mail. It may be repeated: its outcome is never unknown."""
        from python_http_client.exceptions import HTTPError

        try:
            return ask()
        except HTTPError as error:
            mapped = self.error_for(error.status_code, error.body or b"", error.headers)
            if mapped.failure is SendFailure.UNKNOWN:
                raise SendError(SendFailure.UNSENT, str(mapped)) from None
            raise mapped from None
        except (OSError, HTTPException) as error:
            message = f"SendGrid cannot be reached: {reason_of(error)}"
            raise SendError(SendFailure.UNSENT, message) from None


def _is_cancelled(body: bytes) -> bool:
    try:
        found = json.loads(body)
    except ValueError:
        return False
    return isinstance(found, list) and any(
        isinstance(one, dict) and one.get("status") == "cancel" for one in found
    )


def batch_payload(batch: BatchEmail) -> dict[str, Any]:
    request: dict[str, Any] = {
        "personalizations": [personalization(batch, reader) for reader in batch.readers],
        "from": {"email": batch.from_email, "name": batch.from_name or batch.from_email},
        "reply_to": {"email": batch.reply_to},
        "subject": batch.subject,
        "content": [
            {"type": "text/plain", "value": batch.text},
            {"type": "text/html", "value": batch.html},
        ],
        "tracking_settings": NO_TRACKING,
    }
    if batch.batch_id:
        request["batch_id"] = batch.batch_id
    if batch.send_at:
        request["send_at"] = int(batch.send_at.timestamp())
    return request


def personalization(batch: BatchEmail, reader: Addressee) -> dict[str, Any]:
    """The part of one reader, with all headers: it is not documented whether headers of the
    request are merged with these.
    """
    recipient = {"email": reader.to_email}
    if reader.to_name:
        recipient["name"] = reader.to_name
    return {
        "to": [recipient],
        "headers": dict(reader.headers),
        "substitutions": dict(reader.words),
        "custom_args": {"dg_delivery_id": reader.delivery_id, "dg_group_id": batch.id},
    }


def _common(batch: BatchEmail) -> str:
    return json.dumps([batch.subject, batch.text, batch.html])


_: type[BatchMailer] = SendGridBatches
