"""SendGrid's HTTP client: time limit, no redirects, one TLS context."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from newsletter.domain import http_headers
from newsletter.network import proxy_for, tls_context

if TYPE_CHECKING:
    from http.client import HTTPMessage


def retry_after(headers: HTTPMessage, now: float) -> float | None:
    """Seconds to wait by Retry-After, else by X-RateLimit-Reset; None if neither is usable."""
    at = datetime.fromtimestamp(now, UTC)
    wait = http_headers.retry_after(headers.get("Retry-After"), at)
    return http_headers.reset_after(headers.get("X-RateLimit-Reset"), at) if wait is None else wait


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow no redirect: urllib would send the key to the new host and report success."""


def reason_of(error: Exception) -> str:
    """Why a request had no response. urllib wraps what failed before it was sent."""
    return str(error.reason) if isinstance(error, urllib.error.URLError) else repr(error)


def _opener(host: str) -> urllib.request.OpenerDirector:
    """Create one and keep it: it reads the environment and all certificate authorities.

    Thread-safe. Raises SettingsError.
    """
    context, proxy = tls_context("http/1.1"), proxy_for(host)
    return urllib.request.build_opener(
        _NoRedirect,
        urllib.request.HTTPSHandler(context=context),
        urllib.request.ProxyHandler({urlsplit(host).scheme: proxy} if proxy else {}),
    )


def client(key: str, host: str, timeout: float) -> Any:  # noqa: ANN401 - the library is untyped
    """SendGrid's own client, with a timeout and without redirects, which it does not offer."""
    from python_http_client.client import Client, Response
    from sendgrid.sendgrid import SendGridAPIClient

    # The library prints the key and every payload at DEBUG.
    logging.getLogger("python_http_client").setLevel(logging.WARNING)
    opener = _opener(host)

    class BoundedClient(Client):
        def _build_client(self, name: str | None = None) -> BoundedClient:
            return BoundedClient(  # type: ignore[no-untyped-call]
                host=self.host,
                version=self._version,
                request_headers=self.request_headers,
                url_path=[*self._url_path, name] if name else self._url_path,
                timeout=self.timeout,
            )

        def post(self, request_body: object = None) -> Response:
            """Like the library's, which builds an opener and formats the payload for a log line
            for each mail: most of the time of a mail.
            """
            address = self._build_url(None)  # type: ignore[no-untyped-call]
            request = _post_request(address, self.request_headers, request_body)
            return Response(self._make_request(None, request))  # type: ignore[no-untyped-call]

        def _make_request(
            self, _own: object, request: urllib.request.Request, timeout: float | None = None
        ) -> Any:  # noqa: ANN401 - the library is untyped
            return super()._make_request(  # type: ignore[no-untyped-call]
                opener, request, timeout
            )

    api: Any = SendGridAPIClient(key, host=host)  # type: ignore[no-untyped-call]
    api.client = BoundedClient(  # type: ignore[no-untyped-call]
        host=host, request_headers=api.client.request_headers, version=3, timeout=timeout
    )
    return api


def _post_request(address: str, headers: dict[str, str], body: object) -> urllib.request.Request:
    """Without a body there is no Content-Type."""
    data = None if body is None else json.dumps(body).encode()
    typed = {} if body is None else {"Content-Type": "application/json"}
    return urllib.request.Request(  # noqa: S310 - the operator's own setting
        address, data, headers | typed, method="POST"
    )
