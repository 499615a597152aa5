"""Check key, mail, domain and webhooks at SendGrid, for `newsletter doctor`.

Free, and changes nothing: GET requests, and one mail in sandbox mode, which is not delivered.

twilio.com/docs/sendgrid/api-reference: scopes, domain-authentication, webhooks,
settings-inbound-parse.
"""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from newsletter.domain.findings import CheckError, CheckResult, DnsRecord, Finding, fail, ok, warn
from newsletter.domain.http_headers import http_date
from newsletter.mailers import MailCheck, SendError
from newsletter.mailers.sendgrid.client import client, reason_of
from newsletter.mailers.sendgrid.mailer import VALIDATED, SendGridMailer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from newsletter.domain.mail import Email
    from newsletter.settings import Settings

UNAUTHORIZED, FORBIDDEN, OK = 401, 403, 200
SEND = "mail.send"
LISTS = "suppression"
SCHEDULED_SENDS = "user.scheduled_sends"
"""Permissions begin with these names, alone or followed by a dot."""
REPORTED = ("delivered", "bounce", "dropped", "deferred", "spam_report", "unsubscribe")
"""Events that must be reported: an address with an unreported bounce is mailed for ever."""
EVENTS, INBOUND = "/hooks/sendgrid/events", "/hooks/sendgrid/inbound/"
SHOWN_INBOUND = f"{INBOUND}<NEWSLETTER_INBOUND_SECRET>"


class _NotAllowedError(CheckError):
    """The key lacks the permission to read this; that does not prevent sending."""


class SendGridCheck:
    def __init__(self, settings: Settings, timeout: float) -> None:
        key = settings.sendgrid_api_key.get_secret_value()
        self._client = client(key, settings.sendgrid_url, timeout).client
        self._mailer = SendGridMailer(settings, timeout=timeout)
        self._settings = settings
        self._date: datetime | None = None

    def account(self) -> CheckResult:
        try:
            found = self._ask("scopes")
        except CheckError as error:
            return CheckResult(
                (fail("sendgrid key", str(error), "check SENDGRID_API_KEY"),), self._date
            )
        scopes = [str(one) for one in _list(found, "scopes")]
        return CheckResult((_permissions(scopes),), self._date)

    def check_mail(self, email: Email) -> CheckResult:
        check, asked = "sendgrid mail", "POST /v3/mail/send in sandbox mode, to the operator"
        try:
            status = self._mailer.try_out(email)
        except SendError as error:
            fix = "fix this before the next digest: it would not be sent either"
            return CheckResult((fail(check, f"{asked}: {error}", fix),))
        if status != VALIDATED:
            said = f"{asked}: {status}, not {VALIDATED}; this mail may have been sent"
            return CheckResult((warn(check, said, "see NEWSLETTER_SENDGRID_URL"),))
        return CheckResult((ok(check, f"{asked}: {status}, accepted; nothing was delivered"),))

    def records(self) -> Sequence[DnsRecord]:
        domain = self._settings.from_email.rpartition("@")[2].lower()
        rows = [
            row for row in _list(self._ask("whitelabel", "domains"), "") if _covers(row, domain)
        ]
        if not rows:
            return []
        best = max(rows, key=lambda row: len(str(row["domain"])))
        given = best.get("dns")
        named = given.values() if isinstance(given, dict) else []
        return [record for one in named if (record := _record(one))]

    def hooks(self) -> CheckResult:
        found = [*self._events(), *self._inbound()]
        return CheckResult(tuple(found), self._date)

    def _events(self) -> Iterator[Finding]:
        check, url = "event webhook", f"{self._settings.public_url}{EVENTS}"
        try:
            settings = self._ask("user", "webhooks", "event", "settings", "all")
        except CheckError as error:
            yield _unseen(check, error, f"Event Webhook to {url}, signed")
            return
        ours = [
            row for row in _list(settings, "webhooks") if _url(row) == url and row.get("enabled")
        ]
        if not ours:
            fix = (
                f"Settings > Mail Settings > Event Webhook: add {url}, with Signature Verification"
            )
            yield fail(check, "SendGrid reports events to none of our addresses", fix)
            return
        yield self._event_settings(check, ours[0])

    def _event_settings(self, check: str, row: dict[str, Any]) -> Finding:
        if missing := [name for name in REPORTED if row.get(name) is not True]:
            fix = "turn these events on in Settings > Mail Settings > Event Webhook"
            return warn(check, f"SendGrid does not report {', '.join(missing)}", fix)
        key = str(row.get("public_key") or "")
        ours = [one.strip() for one in self._settings.sendgrid_event_key.split(",")]
        if not key:
            fix = "turn Signature Verification on and set NEWSLETTER_SENDGRID_EVENT_KEY"
            return warn(check, "SendGrid does not sign events", fix)
        if key not in ours:
            fix = "copy the key SendGrid shows to NEWSLETTER_SENDGRID_EVENT_KEY"
            return fail(check, "SendGrid signs with a key that is not set here", fix)
        return ok(check, "SendGrid reports events to us, signed with our key")

    def _inbound(self) -> Iterator[Finding]:
        secret = self._settings.inbound_secret.get_secret_value()
        if not secret:
            return
        check, host = "inbound parse", self._settings.reply_host
        shown = f"{self._settings.public_url}{SHOWN_INBOUND}"
        right = f"Settings > Inbound Parse: host {host}, URL {shown}, POST the raw message"
        try:
            settings = self._ask("user", "webhooks", "parse", "settings")
        except CheckError as error:
            yield _unseen(check, error, right)
            return
        rows = [row for row in _list(settings, "result") if row.get("hostname") == host]
        if not rows:
            yield fail(check, f"SendGrid receives no mail for {host}", right)
        elif _url(rows[0]) != f"{self._settings.public_url}{INBOUND}{secret}":
            yield fail(check, f"mail for {host} is posted to another address", right)
        elif rows[0].get("send_raw") is not True:
            yield fail(check, f"mail for {host} is not posted raw", right)
        else:
            yield ok(check, f"mail for {host} is posted to us, raw")

    def _ask(self, *path: str) -> Any:  # noqa: ANN401 - JSON
        """GET a path and parse its JSON. Raises CheckError."""
        from python_http_client.exceptions import HTTPError

        endpoint = self._client
        for part in path:
            endpoint = endpoint._(part)
        try:
            answer = endpoint.get()
        except HTTPError as error:
            self._keep_date(error.headers or {})
            raise _refused(error.status_code) from None
        except (OSError, HTTPException) as error:
            message = f"SendGrid cannot be reached: {reason_of(error)}"
            raise CheckError(message) from None
        self._keep_date(answer.headers)
        if answer.status_code != OK:
            raise _refused(answer.status_code)
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            message = "SendGrid's response is not JSON; check NEWSLETTER_SENDGRID_URL"
            raise CheckError(message) from None

    def _keep_date(self, headers: Any) -> None:  # noqa: ANN401 - the library is untyped
        self._date = http_date(headers.get("Date"))


def _permissions(scopes: Sequence[str]) -> Finding:
    check = "sendgrid key"
    if SEND not in scopes:
        fix = "give SENDGRID_API_KEY the permission Mail Send"
        return fail(check, "key is valid but lacks the Mail Send permission", fix)
    if not any(scope == LISTS or scope.startswith(f"{LISTS}.") for scope in scopes):
        fix = "give SENDGRID_API_KEY the permission Suppressions: the nightly comparison needs it"
        return warn(check, "key may send mail, but not read the suppression lists", fix)
    if not any(scope.startswith(SCHEDULED_SENDS) for scope in scopes):
        fix = "give SENDGRID_API_KEY the permission Scheduled Sends, needed above that many readers"
        return warn(check, "key may not cancel batches (above NEWSLETTER_GROUP_AUDIENCE)", fix)
    return ok(check, "key may send mail, cancel batches, and read the suppression lists")


def _refused(status: int) -> CheckError:
    if status == UNAUTHORIZED:
        return CheckError("SendGrid refused the key (401)")
    if status == FORBIDDEN:
        return _NotAllowedError("the key lacks the permission to read this (403)")
    return CheckError(f"SendGrid answered {status}")


def _unseen(check: str, error: CheckError, right: str) -> Finding:
    return warn(check, f"not checked: {error}", f"compare by hand: {right}")


def _covers(row: dict[str, Any], domain: str) -> bool:
    known = str(row.get("domain") or "").lower()
    return bool(known) and (domain == known or domain.endswith(f".{known}"))


def _record(given: object) -> DnsRecord | None:
    if not isinstance(given, dict):
        return None
    host, kind, value = (str(given.get(name) or "") for name in ("host", "type", "data"))
    kind = kind.upper()
    if kind not in {"CNAME", "TXT", "MX"} or not host or not value:
        return None
    return DnsRecord(host, kind, f"10 {value}" if kind == "MX" and " " not in value else value)


def _url(row: dict[str, Any]) -> str:
    return str(row.get("url") or "").rstrip("/")


def _list(found: Any, name: str) -> list[Any]:  # noqa: ANN401 - JSON
    """The list under a name, or the response itself without one; entries of the wrong type are
    dropped.
    """
    inside = found.get(name) if name and isinstance(found, dict) else found
    rows = inside if isinstance(inside, list) else []
    return [row for row in rows if isinstance(row, str if name == "scopes" else dict)]


_: type[MailCheck] = SendGridCheck
