"""ASGI middleware: paths without NUL, security headers, and trust in proxies.

`X-Forwarded-For` and the operator's header are accepted only from the proxies that the environment
variable FORWARDED_ALLOW_IPS lists (default 127.0.0.1).
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
    # URLs contain tokens: no other site may see them as a referrer.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
A_YEAR = "max-age=31536000"


class PathsWithoutNul:
    """Replaces NUL characters in paths: PostgreSQL refuses them as part of a value."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "\0" in scope["path"]:
            scope = {**scope, "path": scope["path"].replace("\0", "\ufffd")}
        await self._app(scope, receive, send)


class SecurityHeaders:
    """Adds the security headers. `secure` if the public URL is https."""

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
LOCALHOST = "127.0.0.1"
BY_PROXY_KEY = "newsletter.by_proxy"


class TrustedProxies:
    """Records whether a trusted proxy forwarded the request, then applies X-Forwarded-For."""

    def __init__(self, app: ASGIApp) -> None:
        self._proxy_headers = ProxyHeadersMiddleware(app, os.environ.get(TRUSTED) or LOCALHOST)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            peer = scope.get("client")
            scope[BY_PROXY_KEY] = bool(peer and peer[0] in self._proxy_headers.trusted_hosts)
        await self._proxy_headers(scope, receive, send)  # type: ignore[arg-type]


def by_proxy(request: Request) -> bool:
    """Whether a trusted proxy forwarded this request."""
    return bool(request.scope.get(BY_PROXY_KEY))
