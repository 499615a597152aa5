"""Mail through SendGrid's Web API v3 (docs.sendgrid.com/api-reference/mail-send).

`docs/delivery.md` has the table of outcomes. It relies on urllib: errors until the request is
completely written are wrapped in URLError, so nothing was sent; later errors are not wrapped.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from typing import TYPE_CHECKING, Any

from newsletter.domain import http_headers
from newsletter.mailers import Mailer, SendError, SendFailure
from newsletter.mailers.sendgrid.client import client, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsletter.domain.http_headers import RateLimitStatus
    from newsletter.domain.mail import Email
    from newsletter.settings import Settings

TIMEOUT_SECONDS = 20.0
VALIDATED, ACCEPTED = 200, 202
BAD_REQUEST = 400
TOO_MANY = 429
SERVER_ERROR = 500
AMBIGUOUS = frozenset({408})
RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
THIS_RECIPIENT = re.compile(r"personalizations(\.\d+)?(\.to\b.*)?")
# Click tracking would rewrite the unsubscribe link, in the plain text as well; subscription
# tracking would add a List-Unsubscribe of SendGrid's own.
NO_TRACKING = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
}
SANDBOX = {"sandbox_mode": {"enable": True}}
FIXES = {
    200: "nothing was sent (sandbox mode, or a proxy answered); check NEWSLETTER_SENDGRID_URL",
    401: "check SENDGRID_API_KEY and the credits of the account",
    403: "check the permissions of SENDGRID_API_KEY and that NEWSLETTER_FROM_EMAIL is verified",
    413: "the digest is too large; lower max_papers in the rubric",
}


class SendGridMailer:
    max_concurrent = 40
    """By one run. SendGrid documents no limit of connections, and reports its rate limit."""

    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float = TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client(
            settings.sendgrid_api_key.get_secret_value(), settings.sendgrid_url, timeout
        )
        self._clock = clock
        self.allowance: RateLimitStatus | None = None

    def send(self, email: Email) -> str:
        """Send one email and return SendGrid's X-Message-Id."""
        return self.post(payload(email))

    def post(self, request: dict[str, Any]) -> str:
        """Post a mail/send request, for one reader or many. Raises SendError."""
        response = self._answer(request)
        if response.status_code != ACCEPTED:
            raise self.error_for(response.status_code, response.body, response.headers)
        return str(response.headers.get("X-Message-Id", ""))

    def try_out(self, email: Email) -> int:
        """Validate a mail in sandbox mode: nothing is delivered, counted or billed.

        Returns the status: 200, or 202 if the server does not know the sandbox. Raises SendError.
        """
        response = self._answer(payload(email) | {"mail_settings": SANDBOX})
        if response.status_code not in {VALIDATED, ACCEPTED}:
            raise self.error_for(response.status_code, response.body, response.headers)
        return int(response.status_code)

    def _answer(self, request: dict[str, Any]) -> Any:  # noqa: ANN401 - the library is untyped
        from python_http_client.exceptions import HTTPError

        try:
            response = self._client.send(request)
        except HTTPError as error:
            body, headers = error.body or b"", error.headers
            self.allowance = http_headers.read_rate_limit(headers, *RATE_HEADERS) or self.allowance
            raise self.error_for(error.status_code, body, headers) from None
        except urllib.error.URLError as error:
            message = f"SendGrid cannot be reached: {error.reason}"
            raise SendError(SendFailure.UNSENT, message) from None
        except (OSError, HTTPException) as error:
            message = f"incomplete response from SendGrid: {error!r}"
            raise SendError(SendFailure.UNKNOWN, message) from None
        self.allowance = (
            http_headers.read_rate_limit(response.headers, *RATE_HEADERS) or self.allowance
        )
        return response

    def error_for(self, status: int, body: bytes, headers: HTTPMessage) -> SendError:
        """The error for a response other than 202, with what it proves."""
        errors = _errors(body)
        said = "; ".join(str(error.get("message", "")) for error in errors)[:300]
        reason = f"SendGrid answered {status}" + (f": {said}" if said else "")
        if status == TOO_MANY:
            return SendError(SendFailure.THROTTLED, reason, retry_after(headers, self._clock()))
        if status >= SERVER_ERROR or status in AMBIGUOUS:
            return SendError(SendFailure.UNKNOWN, reason)
        if status == BAD_REQUEST and errors and all(map(_names_recipient, errors)):
            return self.refused(errors, reason)
        fix = FIXES.get(status, "check NEWSLETTER_SENDGRID_URL and the sender's settings")
        return SendError(SendFailure.HALT, f"{reason}; {fix}")

    def refused(self, _errors: list[dict[str, Any]], reason: str) -> SendError:
        """The error for a response that blames recipients only."""
        return SendError(SendFailure.REFUSED, reason)


def payload(email: Email) -> dict[str, Any]:
    """The request for one email. Custom arguments hold the delivery id, never an address or name.

    They are in the personalization: at message level twilio/sendgrid-oai has described them as
    text, while the service and its libraries want an object.
    """
    recipient = {"email": email.to_email}
    if email.to_name:
        recipient["name"] = email.to_name
    reader: dict[str, Any] = {"to": [recipient]}
    if email.delivery_id:
        reader["custom_args"] = {"dg_delivery_id": email.delivery_id}
    return {
        "personalizations": [reader],
        "from": {"email": email.from_email, "name": email.from_name or email.from_email},
        "reply_to": {"email": email.reply_to},
        "subject": email.subject,
        "content": [
            {"type": "text/plain", "value": email.text},
            {"type": "text/html", "value": email.html},
        ],
        "headers": {"Message-ID": email.message_id, **dict(email.headers)},
        "tracking_settings": NO_TRACKING,
    }


def _errors(body: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(body)
    except ValueError:
        return []
    errors = found.get("errors") if isinstance(found, dict) else None
    return [e for e in errors if isinstance(e, dict)] if isinstance(errors, list) else []


def _names_recipient(error: dict[str, Any]) -> bool:
    """Whether the error is about this recipient only, not about the sender or the content."""
    return bool(THIS_RECIPIENT.fullmatch(str(error.get("field") or "")))


_: type[Mailer] = SendGridMailer
