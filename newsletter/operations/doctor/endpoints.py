"""Checks that pages and webhooks answer at the public address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.domain.findings import CheckResult, Finding, fail, ok, warn
from newsletter.errors import OperatorError
from newsletter.network import session
from newsletter.settings import DEFAULT_PUBLIC_URL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.settings import Settings

EVENTS, INBOUND = "/hooks/sendgrid/events", "/hooks/sendgrid/inbound/"
WRONG_SECRET = "the-doctor-asks"  # noqa: S105 - nobody's: it must be refused
OK, FORBIDDEN, UNAVAILABLE, NOT_FOUND = 200, 403, 503, 404
REDIRECTS = range(300, 400)
UP = "start newsletter serve, and let the proxy pass this address to it"


class _NoResponseError(OperatorError):
    """The address did not respond."""


def check(settings: Settings, timeout: float) -> CheckResult:
    return CheckResult(tuple(_check(settings, timeout)))


def _check(settings: Settings, timeout: float) -> Iterator[Finding]:
    try:
        pages = _pages(settings, timeout)
        yield pages
        if pages.state == "ok" or settings.public_url.startswith("https:"):
            yield from _hooks(settings, timeout)
    except _NoResponseError as silent:
        tried_out = settings.mailer_name == "outbox" or settings.operator_only
        yield (warn if tried_out else fail)("pages", f"{settings.public_url}: {silent}", UP)


def _pages(settings: Settings, timeout: float) -> Finding:
    real = settings.mailer_name != "outbox" and not settings.operator_only
    url = settings.public_url
    if real and url == DEFAULT_PUBLIC_URL:
        return fail("pages", f"{url} is not reachable by readers", "set NEWSLETTER_PUBLIC_URL")
    if real and not url.startswith("https:"):
        fix = "set NEWSLETTER_PUBLIC_URL to an https address: one-click unsubscribe needs it"
        return fail("pages", f"{url} is not https", fix)
    status = _ask("GET", f"{url}/healthz", timeout)
    if status == OK:
        return ok("pages", f"{url} answers")
    if status in REDIRECTS:
        fix = "set NEWSLETTER_PUBLIC_URL to the address that it redirects to"
        return fail("pages", f"{url} redirects ({status})", fix)
    return (fail if real else warn)("pages", f"{url}/healthz answers {status}", UP)


def _hooks(settings: Settings, timeout: float) -> Iterator[Finding]:
    if settings.sendgrid_event_key:
        status = _ask("POST", f"{settings.public_url}{EVENTS}", timeout)
        yield _hook("event hook", EVENTS, status, FORBIDDEN)
    if settings.inbound_secret.get_secret_value():
        status = _ask("POST", f"{settings.public_url}{INBOUND}{WRONG_SECRET}", timeout)
        yield _hook("inbound hook", INBOUND, status, UNAVAILABLE)


def _hook(check: str, path: str, status: int, right: int) -> Finding:
    """Check the response to an unsigned request: this program must reject it."""
    if status == right:
        return ok(check, f"{path} rejects unsigned requests ({status})")
    if status in REDIRECTS:
        said = f"{path} is redirected ({status}), and SendGrid does not follow"
        return fail(check, said, "let the proxy pass it on without a redirect")
    if status == NOT_FOUND:
        said = f"{path} is off in the service that runs (404)"
        return fail(check, said, "restart it with the settings of this machine")
    said = f"{path} answers {status} to an unsigned request, not {right}"
    return fail(check, said, "let the proxy pass /hooks/ to newsletter serve, without a login")


def _ask(method: str, url: str, timeout: float) -> int:
    import requests

    try:
        with (
            session(url) as opened,
            opened.request(
                method,
                url,
                data=b"" if method == "GET" else b"[]",
                timeout=timeout,
                allow_redirects=False,
                stream=True,
            ) as answer,
        ):
            return answer.status_code
    except requests.exceptions.SSLError as error:
        message = "its certificate is not valid"
        raise _NoResponseError(message) from error
    except (requests.RequestException, OSError) as error:
        message = f"no response ({type(error).__name__})"
        raise _NoResponseError(message) from error
