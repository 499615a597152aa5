"""SendGrid's suppression lists: bounces, blocks, complaints, invalid addresses, unsubscribes.

twilio.com/docs/sendgrid/api-reference: `GET /v3/suppression/...` with limit and offset,
`/v3/asm/suppressions/global`. The key needs the permission "Suppressions" besides "Mail Send".
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from newsletter.domain.paging import paged
from newsletter.mailers import ListedAddress, ListName, SuppressionLists, SuppressionListsError
from newsletter.mailers.sendgrid.client import client, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from newsletter.settings import Settings

TIMEOUT_SECONDS = 30.0
PAGE = 500
MAX_PAGES = 2000
"""A million addresses: a longer list repeats itself."""
ADDRESSES_PER_REQUEST = 500
LATEST_SECOND = 4_102_444_800
NOT_THERE = 404
FORBIDDEN = (401, 403)
SUCCESS = range(200, 300)


class SendGridSuppressions:
    def __init__(self, settings: Settings, *, timeout: float = TIMEOUT_SECONDS) -> None:
        key = settings.sendgrid_api_key.get_secret_value()
        self._client = client(key, settings.sendgrid_url, timeout).client

    def read(self, name: ListName) -> Iterator[list[ListedAddress]]:
        endpoint = self._client.suppression._(name.value)
        for page in range(MAX_PAGES):
            asked = {"limit": PAGE, "offset": page * PAGE}
            found = _rows(_body(partial(endpoint.get, query_params=asked)))
            yield [one for row in found if (one := _listed(row))]
            if len(found) < PAGE:
                return

    def add(self, emails: Sequence[str]) -> None:
        for page in paged(emails, ADDRESSES_PER_REQUEST):
            _body(partial(self._unsubscribed.post, request_body={"recipient_emails": page}))

    def remove(self, email: str) -> None:
        _body(self._unsubscribed._(quote(email, safe="@")).delete, gone=True)

    def free(self, email: str) -> None:
        self.remove(email)
        for name in (ListName.BOUNCES, ListName.BLOCKS, ListName.INVALID):
            one = self._client.suppression._(name.value)._(quote(email, safe="@"))
            _body(one.delete, gone=True)

    def erase(self, emails: Sequence[str]) -> None:
        """Twilio's Recipients' Data Erasure API; the key needs the permission "erasejob"."""
        endpoint = self._client.recipients.erasejob
        for page in paged(emails, ADDRESSES_PER_REQUEST):
            _body(partial(endpoint.post, request_body={"email_addresses": page}))

    @property
    def _unsubscribed(self) -> Any:  # noqa: ANN401 - the library is untyped
        return self._client.asm.suppressions._("global")


def _body(ask: Callable[[], Any], *, gone: bool = False) -> bytes:
    """The body of a successful response; with `gone`, 404 is one. Raises SuppressionListsError."""
    from python_http_client.exceptions import HTTPError

    try:
        answer = ask()
    except HTTPError as error:
        if gone and error.status_code == NOT_THERE:
            return b""
        hint = "; give SENDGRID_API_KEY the permission Suppressions" * (
            error.status_code in FORBIDDEN
        )
        message = f"SendGrid answered {error.status_code} about its suppression lists{hint}"
        raise SuppressionListsError(message) from None
    except (OSError, HTTPException) as error:
        message = f"SendGrid's suppression lists cannot be reached: {reason_of(error)}"
        raise SuppressionListsError(message) from None
    if answer.status_code not in SUCCESS:
        message = f"SendGrid answered {answer.status_code}; check NEWSLETTER_SENDGRID_URL"
        raise SuppressionListsError(message)
    return bytes(answer.body)


def _rows(body: bytes) -> list[Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        message = "SendGrid's suppression list is not a JSON list; check NEWSLETTER_SENDGRID_URL"
        raise SuppressionListsError(message)
    return found


def _listed(row: object) -> ListedAddress | None:
    """None for a row without an address or a time."""
    if not isinstance(row, dict):
        return None
    email, second = row.get("email"), row.get("created")
    if not isinstance(email, str) or not isinstance(second, int) or isinstance(second, bool):
        return None
    if email.count("@") != 1 or not 0 < second < LATEST_SECOND:
        return None
    reason = f"{row.get('status') or ''} {row.get('reason') or ''}".strip()
    email = email.replace("\0", "")
    return ListedAddress(email, datetime.fromtimestamp(second, UTC), reason.replace("\0", "")[:500])


_: type[SuppressionLists] = SendGridSuppressions
