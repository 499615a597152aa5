"""Client of the Messages API, and the mapping of its errors to ScorerError."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from newsletter.domain.sanitize import strip_invisible
from newsletter.network import proxy_for, tls_context
from newsletter.scorers import CallFailure, ScorerError
from newsletter.scorers.claude.errors import ErrorResponse, RequestTarget, to_scorer_error
from newsletter.scorers.claude.response import parse_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import anthropic
    import httpx2


API_VERSION = "2026-10-21"
"""The library sends the same; a test compares them."""


class AnthropicClient:
    """Creates the library's client on first use: the import takes a second and 39 MB.

    What needs no library is posted without it.
    """

    def __init__(self, key: str, base_url: str, timeout: float) -> None:
        self._key = key
        self._base_url = base_url
        self._timeout = timeout
        self._proxy = proxy_for(base_url)
        self._client: anthropic.Anthropic | None = None
        self._http: httpx2.Client | None = None
        self._lock = threading.RLock()

    def http(self) -> httpx2.Client:
        """Without keep-alive: the server may close a kept connection just as a request leaves,
        which looks like a lost paid answer. Proxy and certificate authorities: see network.py.
        """
        import httpx2

        with self._lock:
            if self._http is None:
                self._http = httpx2.Client(
                    trust_env=False,
                    proxy=self._proxy,
                    verify=tls_context("http/1.1"),
                    timeout=self._timeout,
                    limits=httpx2.Limits(max_keepalive_connections=0),
                )
            return self._http

    def client(self) -> anthropic.Anthropic:
        import anthropic

        with self._lock:
            if self._client is None:
                # The library's retries would be invisible to the ledger.
                self._client = anthropic.Anthropic(
                    api_key=self._key,
                    # The library sends a bearer token; the API reference asks for x-api-key.
                    default_headers={"x-api-key": self._key},
                    base_url=self._base_url,
                    max_retries=0,
                    timeout=self._timeout,
                    http_client=self.http(),
                )
            return self._client

    def count_tokens(
        self, body: Mapping[str, Any], at: datetime, about: RequestTarget
    ) -> httpx2.Response:
        """The answer of the counting endpoint, without the library. Raises ScorerError."""
        import httpx2

        headers = {"x-api-key": self._key, "anthropic-version": API_VERSION}
        url = f"{self._base_url.rstrip('/')}/v1/messages/count_tokens"
        try:
            response = self.http().post(url, json=body, headers=headers)
        except httpx2.HTTPError as error:
            raise _connection_error(error) from None
        if not response.is_success:
            raise to_scorer_error(error_response(response, self._key), about, at)
        return response

    @contextmanager
    def translated_errors(
        self, at: datetime, about: RequestTarget = RequestTarget.MODEL
    ) -> Iterator[None]:
        """Turn the library's errors into ScorerError."""
        import anthropic
        import httpx2

        try:
            yield
        except anthropic.APIStatusError as error:
            raise to_scorer_error(error_response(error.response, self._key), about, at) from None
        except anthropic.APIConnectionError as error:
            raise _connection_error(error.__cause__) from None
        except (anthropic.AnthropicError, httpx2.HTTPError) as error:
            raise _connection_error(error) from None


def error_response(response: httpx2.Response, key: str) -> ErrorResponse:
    """The API's error object, or the text of a proxy that stands before it; without the key."""
    error = parse_message(response.content).get("error")
    found = error if isinstance(error, dict) else {}
    details = found.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    said = found.get("message")
    if not isinstance(said, str):
        said = response.text.strip() or f"Error code: {response.status_code}"
    return ErrorResponse(
        status=response.status_code,
        said=said.replace(key, "***"),
        request_id=response.headers.get("request-id", ""),
        code=code if isinstance(code, str) else "",
        retry_after=response.headers.get("retry-after", ""),
        from_api=isinstance(found.get("type"), str),
    )


def _connection_error(cause: BaseException | None) -> ScorerError:
    import httpx2

    what = strip_invisible(f"{type(cause).__name__}: {cause}") if cause else "no connection"
    never_left = httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError
    if isinstance(cause, never_left):
        return ScorerError(CallFailure.UNREACHABLE, f"Anthropic cannot be reached ({what})")
    return ScorerError(CallFailure.LOST, f"the connection to Anthropic broke ({what})")
