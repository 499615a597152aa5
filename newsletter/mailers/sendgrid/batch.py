"""Many readers in one request, and requests that can be taken back.

twilio.com/docs/sendgrid/api-reference: mail-send (personalizations, substitutions, send_at),
`POST /v3/mail/batch`, `POST /v3/user/scheduled_sends`. The key needs the right "Scheduled sends"
besides "Mail Send". Not seen on a live account: that a batch which was cancelled also holds back
what is accepted for it afterwards.
"""

from __future__ import annotations

import json
import re
import urllib.error
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from newsletter.mailers import BatchMailer, RefusedReadersError, SendError, Verdict
from newsletter.mailers.sendgrid.mailer import NO_TRACKING, SendGridMailer

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsletter.domain.mail import Addressee, BatchEmail
    from newsletter.settings import Settings

TIMEOUT_SECONDS = 40.0
MOST_BYTES = 25 * 10**6
"""SendGrid takes less than 30 MB; our count of bytes leaves out some commas."""
MOST_WORDS, MOST_ARGS = 10_000, 10_000
"""Bytes of one reader's substitutions and custom arguments."""
PLACE = re.compile(r"personalizations\.(\d+)\b")
CREATED = 201


class SendGridBatches(SendGridMailer):
    most = 1000

    def __init__(self, settings: Settings, *, timeout: float = TIMEOUT_SECONDS) -> None:
        super().__init__(settings, timeout=timeout)

    def fitting(self, group: BatchEmail) -> int:
        room = MOST_BYTES - len(_common(group).encode())
        for place, reader in enumerate(group.readers[: self.most]):
            words = sum(len(tag.encode()) + len(word.encode()) for tag, word in reader.words)
            own = personalization(group, reader)
            room -= len(json.dumps(own)) + 2
            if room < 0 or words > MOST_WORDS or len(json.dumps(own["custom_args"])) > MOST_ARGS:
                return place
        return min(len(group.readers), self.most)

    def send_group(self, group: BatchEmail) -> str:
        return self.post(batch_payload(group))

    def refused(self, errors: list[dict[str, Any]], reason: str) -> SendError:
        places = [PLACE.match(str(error.get("field") or "")) for error in errors]
        if not all(places):
            # Somebody of a thousand is at fault, and it does not say who.
            return SendError(Verdict.HALT, reason)
        return RefusedReadersError(frozenset(int(place[1]) for place in places if place), reason)

    def new_batch(self) -> str:
        answer = self._ask(self._client.client.mail.batch.post)
        try:
            return str(json.loads(answer.body)["batch_id"])
        except (ValueError, KeyError, TypeError):
            message = "SendGrid named no batch; check NEWSLETTER_SENDGRID_URL"
            raise SendError(Verdict.HALT, message) from None

    def withdraw(self, batch_id: str) -> bool:
        wish = {"batch_id": batch_id, "status": "cancel"}
        scheduled = self._client.client.user.scheduled_sends
        try:
            return bool(
                self._ask(partial(scheduled.post, request_body=wish)).status_code == CREATED
            )
        except SendError as error:
            if error.verdict is not Verdict.HALT:
                raise
        # Too late, too many at once, or a wish that was granted before: only the list knows.
        return self._is_withdrawn(self._ask(scheduled._(quote(batch_id, safe="")).get).body)

    def let_go(self, batch_id: str) -> None:
        try:
            self._ask(self._client.client.user.scheduled_sends._(quote(batch_id, safe="")).delete)
        except SendError as error:
            # Refused is as good as done: it does not know the batch any more.
            if error.verdict is not Verdict.HALT:
                raise

    @staticmethod
    def _is_withdrawn(body: bytes) -> bool:
        try:
            found = json.loads(body)
        except ValueError:
            return False
        return isinstance(found, list) and any(
            isinstance(one, dict) and one.get("status") == "cancel" for one in found
        )

    def _ask(self, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - the library is untyped
        """What is no mail may be asked twice: whatever goes wrong proves that it is to be asked
        again, or that it is refused.
        """
        from python_http_client.exceptions import HTTPError

        try:
            return ask()
        except HTTPError as error:
            judged = self.judge(error.status_code, error.body or b"", error.headers)
            if judged.verdict is Verdict.UNKNOWN:
                raise SendError(Verdict.UNSENT, str(judged)) from None
            raise judged from None
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else repr(error)
            message = f"SendGrid cannot be reached: {reason}"
            raise SendError(Verdict.UNSENT, message) from None


def batch_payload(group: BatchEmail) -> dict[str, Any]:
    """The request for a group."""
    request: dict[str, Any] = {
        "personalizations": [personalization(group, reader) for reader in group.readers],
        "from": {"email": group.from_email, "name": group.from_name or group.from_email},
        "reply_to": {"email": group.reply_to},
        "subject": group.subject,
        "content": [
            {"type": "text/plain", "value": group.text},
            {"type": "text/html", "value": group.html},
        ],
        "tracking_settings": NO_TRACKING,
    }
    if group.batch_id:
        request["batch_id"] = group.batch_id
    if group.send_at:
        request["send_at"] = int(group.send_at.timestamp())
    return request


def personalization(group: BatchEmail, reader: Addressee) -> dict[str, Any]:
    """What is one reader's. All headers stand here: whether those of the request are added to it
    or replaced by it is not written anywhere.
    """
    recipient = {"email": reader.to_email}
    if reader.to_name:
        recipient["name"] = reader.to_name
    return {
        "to": [recipient],
        "headers": dict(reader.headers),
        "substitutions": dict(reader.words),
        "custom_args": {"dg_delivery_id": reader.delivery_id, "dg_group_id": group.id},
    }


def _common(group: BatchEmail) -> str:
    return json.dumps([group.subject, group.text, group.html])


_: type[BatchMailer] = SendGridBatches
