"""Whose word counts about who asks: the proxies that FORWARDED_ALLOW_IPS names, or 127.0.0.1.

From anybody else neither `X-Forwarded-For` nor the operator's header is believed, even where the
service can be reached around its proxy.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send


TRUSTED = "FORWARDED_ALLOW_IPS"
OURSELVES = "127.0.0.1"
MARK = "newsletter.by_proxy"


class Peers:
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
