"""Answer the web until the process is to end."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from newsletter.errors import OperatorError
from newsletter.web.context import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    import uvicorn
    from starlette.applications import Starlette

    from newsletter.context import App

GRACE_SECONDS = 30


def site_of(app: App, scheduler_problem: Callable[[], str] = str) -> Site:
    return Site(
        app=app,
        store=app.store,
        links=app.links,
        rubrics=app.rubrics,
        settings=app.settings,
        mailer=app.mailer,
        renderer=app.renderer,
        sender=app.sender,
        clock=app.clock,
        scheduler_problem=scheduler_problem,
    )


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        message = f"cannot listen on {host} port {port}: {error.strerror}; choose another --port"
        raise OperatorError(message) from error


def uvicorn_config(app: Starlette) -> uvicorn.Config:
    """How uvicorn serves our pages, each connection within its limits."""
    import uvicorn

    from newsletter.web.connection_limits import Connection

    # Of whom `X-Forwarded-For` is believed is said in `web/middleware.py`, which has to see the
    # peer.
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
    """Until a signal, or until one of `ended`: a signal may come before uvicorn listens for it."""
    import uvicorn

    server = uvicorn.Server(uvicorn_config(app))
    for event in stop_events:
        threading.Thread(target=_stop_with, args=(event, server), daemon=True).start()
    server.run(sockets=[listener])


def _stop_with(stop_events: threading.Event, server: uvicorn.Server) -> None:
    stop_events.wait()
    server.should_exit = True
