"""`worker`: one more machine that does what `serve` plans."""

from __future__ import annotations

import logging
import os
import signal
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from newsletter import bootstrap, logs
from newsletter.context import no_progress
from newsletter.errors import OperatorError
from newsletter.jobs.daily import handle_task
from newsletter.process import SIGNALS
from newsletter.settings import SettingsError, read_settings
from newsletter.web.app import create_monitoring_app
from newsletter.web.server import listen, site_of
from newsletter.web.server import serve as serve_http

if TYPE_CHECKING:
    from newsletter.settings import Settings

log = logging.getLogger(__name__)


USUAL_PORT = 8001


def show_worker(host: str, port: int | None, name: str) -> int:
    """Without a port the usual one, or where that is taken any: several share a machine."""
    settings = read_settings()
    refuse_alone(settings)
    logs.set_up(settings, "info")
    app = bootstrap.build_app(settings)
    name = name or f"{socket.gethostname()}-{os.getpid()}"
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: app.stop.set())
    do = partial(handle_task, app, no_progress)
    with _door(host, port) as door, app.engine.working(do, app.stop, name):
        log.info("worker %s takes work; its health is at port %d", name, door.getsockname()[1])
        try:
            serve_http(create_monitoring_app(site_of(app)), door, app.stop)
        finally:
            app.stop.set()
    log.info("worker %s has ended", name)
    return 0


def _door(host: str, port: int | None) -> socket.socket:
    if port is None:
        with suppress(OperatorError):
            return listen(host, USUAL_PORT)
    return listen(host, port or 0)


def refuse_alone(settings: Settings) -> None:
    """Raise SettingsError where there is no work to take: `serve` does its own."""
    if settings.engine == "local":
        message = (
            "NEWSLETTER_ENGINE: with local, serve does all the work itself and nothing is left to "
            "a worker; set dbos, for all processes alike, and a PostgreSQL database"
        )
        raise SettingsError(message)
