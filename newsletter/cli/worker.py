"""`worker`: runs tasks that `serve` plans, on one more machine."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from newsletter import bootstrap, logs, process
from newsletter.context import no_progress
from newsletter.errors import OperatorError
from newsletter.jobs.worker import run_worker
from newsletter.settings import SettingsError, read_settings
from newsletter.web.app import create_monitoring_app
from newsletter.web.context import Site
from newsletter.web.server import listen
from newsletter.web.server import serve as serve_http

if TYPE_CHECKING:
    from newsletter.settings import Settings

log = logging.getLogger(__name__)


USUAL_PORT = 8001


def show_worker(host: str, port: int | None, name: str) -> int:
    """Without a port: the usual one, or any free one, as several may share a machine."""
    settings = read_settings()
    refuse_local_engine(settings)
    logs.set_up(settings, "info")
    app = bootstrap.build_app(settings)
    name = name or process.default_worker_name()
    process.set_on_signal(app.stop)
    with _listener(host, port) as listener, run_worker(app, name, no_progress):
        log.info("worker %s started; health pages at port %d", name, listener.getsockname()[1])
        try:
            serve_http(create_monitoring_app(Site(app)), listener, app.stop)
        finally:
            app.stop.set()
    log.info("worker %s stopped", name)
    return 0


def _listener(host: str, port: int | None) -> socket.socket:
    if port is None:
        with suppress(OperatorError):
            return listen(host, USUAL_PORT)
    return listen(host, port or 0)


def refuse_local_engine(settings: Settings) -> None:
    """Raise SettingsError under the local engine: `serve` runs all tasks itself."""
    if settings.engine == "local":
        message = (
            "NEWSLETTER_ENGINE: with local, serve runs all tasks itself and a worker has none; "
            "set dbos for all processes, and a PostgreSQL database"
        )
        raise SettingsError(message)
