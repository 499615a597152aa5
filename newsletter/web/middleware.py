"""The headers every answer bears: what a browser may load, and what it may tell others.

Whose word counts about who asks: the proxies that FORWARDED_ALLOW_IPS names, or 127.0.0.1.

From anybody else neither `X-Forwarded-For` nor the operator's header is believed, even where the
service can be reached around its proxy.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Tokens stand in our addresses: no other site may learn them from a link that was followed.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
A_YEAR = "max-age=31536000"


class SecurityHeaders:
    """ASGI middleware. `secure` when readers reach us by https."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._headers = {**HEADERS, **({"Strict-Transport-Security": A_YEAR} if secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


TRUSTED = "FORWARDED_ALLOW_IPS"
OURSELVES = "127.0.0.1"
MARK = "newsletter.by_proxy"


class TrustedProxies:
    """Notes whether a trusted proxy passed a request on, before its peer becomes who asked it."""

    def __init__(self, app: ASGIApp) -> None:
        self._named = ProxyHeadersMiddleware(app, os.environ.get(TRUSTED) or OURSELVES)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            peer = scope.get("client")
            scope[MARK] = bool(peer and peer[0] in self._named.trusted_hosts)
        await self._named(scope, receive, send)  # type: ignore[arg-type]


def by_proxy(request: Request) -> bool:
    """Whether a proxy of ours passed this on."""
    return bool(request.scope.get(MARK))
