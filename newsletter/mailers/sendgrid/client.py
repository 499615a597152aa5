"""SendGrid's HTTP client: time limit, no redirects, one TLS context."""

from __future__ import annotations

import json
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
        """Follow nowhere: urllib would take the key along, and call the answer a success."""


def _opener(host: str) -> urllib.request.OpenerDirector:
    """To be made once: it reads the environment and all certificate authorities. Open to many
    threads. Raises SettingsError.
    """
    context, proxy = tls_context(), proxy_for(host)
    context.set_alpn_protocols(["http/1.1"])
    return urllib.request.build_opener(
        _NoRedirect,
        urllib.request.HTTPSHandler(context=context),
        urllib.request.ProxyHandler({urlsplit(host).scheme: proxy} if proxy else {}),
    )


def client(key: str, host: str, timeout: float) -> Any:  # noqa: ANN401 - the library is untyped
    """SendGrid's client with a time limit and without redirects. It is given neither by
    itself.
    """
    from python_http_client.client import Client, Response
    from sendgrid.sendgrid import SendGridAPIClient

    quiet = _opener(host)

    class Still(Client):
        def _build_client(self, name: str | None = None) -> Still:
            return Still(  # type: ignore[no-untyped-call]
                host=self.host,
                version=self._version,
                request_headers=self.request_headers,
                url_path=[*self._url_path, name] if name else self._url_path,
                timeout=self.timeout,
            )

        def post(self, request_body: object = None) -> Response:
            """As the library's own, which makes an opener and prints the payload for each mail,
            whether anybody logs it or not: that takes longer than everything else here.
            """
            address = self._build_url(None)  # type: ignore[no-untyped-call]
            request = _posted(address, self.request_headers, request_body)
            return Response(self._make_request(None, request))  # type: ignore[no-untyped-call]

        def _make_request(
            self, opener: object, request: urllib.request.Request, timeout: float | None = None
        ) -> Any:  # noqa: ANN401 - the library is untyped
            del opener
            return super()._make_request(  # type: ignore[no-untyped-call]
                quiet, request, timeout
            )

    api: Any = SendGridAPIClient(key, host=host)  # type: ignore[no-untyped-call]
    api.client = Still(  # type: ignore[no-untyped-call]
        host=host, request_headers=api.client.request_headers, version=3, timeout=timeout
    )
    return api


def _posted(address: str, headers: dict[str, str], body: object) -> urllib.request.Request:
    """Without a body it says nothing of its type."""
    data = None if body is None else json.dumps(body).encode()
    typed = {} if body is None else {"Content-Type": "application/json"}
    return urllib.request.Request(  # noqa: S310 - the operator's own setting
        address, data, headers | typed, method="POST"
    )
