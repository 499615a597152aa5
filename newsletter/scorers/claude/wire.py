"""The connection to the Messages API: one client, and what each way of failing proves."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from newsletter.network import proxy_for, tls_context
from newsletter.scorers import Failure, ScorerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import anthropic

FIXES = {
    400: "the request was refused as malformed",
    401: "the key was refused; set ANTHROPIC_API_KEY to a valid key",
    402: "no credit; add some in the console, then run again",
    403: "the key may not do this; use one with access to the Messages API in ANTHROPIC_API_KEY",
    404: "the model or address is unknown there; check NEWSLETTER_MODEL and ANTHROPIC_BASE_URL",
    413: "the request is too large",
}
BUSY = {408, 409, 429}
TOO_MANY = 429
SERVER_FAULTS, TOO_LARGE, MALFORMED, NO_CREDIT = 500, 413, 400, 402


class Wire:
    """Makes its client on first use: the library takes a second to load."""

    def __init__(self, key: str, base_url: str, timeout: float) -> None:
        self._key = key
        self._base_url = base_url
        self._timeout = timeout
        self._proxy = proxy_for(base_url)
        self._client: anthropic.Anthropic | None = None
        self._lock = threading.Lock()

    def client(self) -> anthropic.Anthropic:
        import anthropic
        import httpx2

        with self._lock:
            if self._client is None:
                # Retries of the library are invisible to the ledger. A connection kept open may be
                # closed by the other side just as a request leaves, and that looks like a paid
                # answer that was lost. Proxy and authorities are those of every vendor, network.py.
                self._client = anthropic.Anthropic(
                    api_key=self._key,
                    # The library sends a key as a bearer token; the vendor's pages ask for this.
                    default_headers={"x-api-key": self._key},
                    base_url=self._base_url,
                    max_retries=0,
                    timeout=self._timeout,
                    http_client=httpx2.Client(
                        trust_env=False,
                        proxy=self._proxy,
                        verify=tls_context(),
                        timeout=self._timeout,
                        limits=httpx2.Limits(max_keepalive_connections=0),
                    ),
                )
            return self._client

    @contextmanager
    def proving(self, at: datetime) -> Iterator[None]:
        """Turn the library's errors into ScorerError."""
        import anthropic
        import httpx2

        try:
            yield
        except anthropic.APIStatusError as error:
            raise self._refused(error, at) from None
        except anthropic.APIConnectionError as error:
            raise _broken(error.__cause__) from None
        except httpx2.HTTPError as error:
            raise _broken(error) from None

    def _refused(self, error: anthropic.APIStatusError, at: datetime) -> ScorerError:
        status = error.status_code
        said = " ".join(error.message.replace(self._key, "***").split())[:200]
        if status in BUSY or status >= SERVER_FAULTS:
            wait = retry_after(error.response.headers.get("retry-after", ""), at)
            reason = f"Anthropic answered {status}: {said}"
            return ScorerError(Failure.BUSY, reason, wait, throttled=status == TOO_MANY)
        too_large = status == TOO_LARGE or (status == MALFORMED and "too long" in said)
        failure = Failure.TOO_LARGE if too_large else Failure.FATAL
        # An account without money was told with 400 before it was told with 402.
        poor = status == MALFORMED and "credit balance" in said
        fix = FIXES.get(NO_CREDIT if poor else status, "the request was refused")
        return ScorerError(failure, f"Anthropic answered {status}: {fix} ({said})")


def _broken(cause: BaseException | None) -> ScorerError:
    import httpx2

    what = f"{type(cause).__name__}: {cause}" if cause else "no connection"
    never_left = httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError
    if isinstance(cause, never_left):
        return ScorerError(Failure.UNREACHABLE, f"Anthropic cannot be reached ({what})")
    return ScorerError(Failure.LOST, f"the connection to Anthropic broke ({what})")


def retry_after(value: str, now: datetime) -> float | None:
    """Seconds, from a number or a date (RFC 9110, section 10.2.3)."""
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
