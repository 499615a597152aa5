"""Runs uvicorn until the process stops."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from newsletter.errors import OperatorError

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette


GRACE_SECONDS = 30


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        message = f"cannot listen on {host} port {port}: {error.strerror}; choose another --port"
        raise OperatorError(message) from error


def uvicorn_config(app: Starlette) -> uvicorn.Config:
    """Uvicorn's configuration, with the limits of `connection_limits.py`."""
    import uvicorn

    from newsletter.web.connection_limits import Connection

    # web/middleware.py decides which proxies are trusted: it must see the peer's address.
    return uvicorn.Config(
        app,
        http=Connection,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def serve(app: Starlette, listener: socket.socket, *stop_events: threading.Event) -> None:
    """Serve until a signal or one of `stop_events`: a signal may come before uvicorn handles it."""
    import uvicorn

    server = uvicorn.Server(uvicorn_config(app))
    for event in stop_events:
        threading.Thread(target=_stop_with, args=(event, server), daemon=True).start()
    server.run(sockets=[listener])


def _stop_with(event: threading.Event, server: uvicorn.Server) -> None:
    event.wait()
    server.should_exit = True
