"""Client of the Messages API, and the mapping of its errors to ScorerError."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from newsletter.domain.sanitize import strip_invisible
from newsletter.network import proxy_for, tls_context
from newsletter.scorers import CallFailure, ScorerError
from newsletter.scorers.claude.errors import ErrorResponse, RequestTarget, to_scorer_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import anthropic


class AnthropicClient:
    """Creates the library's client on first use: the import takes a second."""

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
                # The library's retries would be invisible to the ledger. The server may close a
                # kept-alive connection just as a request leaves, which looks like a lost paid
                # answer. Proxy and certificate authorities: see network.py.
                self._client = anthropic.Anthropic(
                    api_key=self._key,
                    # The library sends a bearer token; the API reference asks for x-api-key.
                    default_headers={"x-api-key": self._key},
                    base_url=self._base_url,
                    max_retries=0,
                    timeout=self._timeout,
                    http_client=httpx2.Client(
                        trust_env=False,
                        proxy=self._proxy,
                        verify=tls_context("http/1.1"),
                        timeout=self._timeout,
                        limits=httpx2.Limits(max_keepalive_connections=0),
                    ),
                )
            return self._client

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
            raise to_scorer_error(self._error_response(error), about, at) from None
        except anthropic.APIConnectionError as error:
            raise _connection_error(error.__cause__) from None
        except (anthropic.AnthropicError, httpx2.HTTPError) as error:
            raise _connection_error(error) from None

    def _error_response(self, error: anthropic.APIStatusError) -> ErrorResponse:
        said = error.api_message if isinstance(error.api_message, str) else error.message
        return ErrorResponse(
            status=error.status_code,
            said=said.replace(self._key, "***"),
            request_id=error.request_id or "",
            code=error.error_code or "",
            retry_after=error.response.headers.get("retry-after", ""),
            from_api=isinstance(error.type, str),
        )


def _connection_error(cause: BaseException | None) -> ScorerError:
    import httpx2

    what = strip_invisible(f"{type(cause).__name__}: {cause}") if cause else "no connection"
    never_left = httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError
    if isinstance(cause, never_left):
        return ScorerError(CallFailure.UNREACHABLE, f"Anthropic cannot be reached ({what})")
    return ScorerError(CallFailure.LOST, f"the connection to Anthropic broke ({what})")
