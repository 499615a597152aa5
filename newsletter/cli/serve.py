"""`serve`: the schedule and the web pages in one process, until a signal stops it."""

from __future__ import annotations

import logging
import socket
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from newsletter import bootstrap, logs, process
from newsletter.context import no_progress
from newsletter.domain.findings import FindingState
from newsletter.jobs.daemon import run_scheduler, single_instance
from newsletter.jobs.worker import run_worker
from newsletter.operations.doctor.local import keys_found
from newsletter.settings import SettingsError, read_settings
from newsletter.web.app import create_app
from newsletter.web.context import Site
from newsletter.web.server import listen
from newsletter.web.server import serve as serve_http

if TYPE_CHECKING:
    from newsletter.context import App
    from newsletter.jobs.scheduler_watchdog import SchedulerWatchdog
    from newsletter.settings import Settings

log = logging.getLogger(__name__)


def show_serve(host: str, port: int, *, web: bool, schedule: bool, work: bool) -> int:
    if not web and not schedule:
        message = "--no-web and --no-schedule leave nothing to serve; give only one of them"
        raise SettingsError(message)
    settings = read_settings()
    _refuse_invalid_keys(settings)
    logs.set_up(settings, "info")
    app = bootstrap.build_app(settings)
    # Uvicorn stops on a signal and raises it again, which would kill the scheduler.
    process.set_on_signal(app.stop)
    lock = single_instance(app.store) if schedule else nullcontext()
    worker = _working(app) if schedule and work else nullcontext()
    with lock, worker, run_scheduler(app) if schedule else nullcontext() as watchdog:
        if web:
            with listen(host, port) as listener:
                _serve_pages(app, listener, watchdog)
        else:
            log.info("schedule running without web pages")
            while not (app.stop.wait(1) or (watchdog and watchdog.ended.is_set())):
                pass
    return 0


def _refuse_invalid_keys(settings: Settings) -> None:
    """Raise SettingsError for an invalid webhook key: every event would be refused."""
    webhook_keys = [
        one for one in keys_found(settings) if one.check in {"event key", "inbound key"}
    ]
    if wrong := [
        f"{one.said}; {one.fix}" for one in webhook_keys if one.state is FindingState.FAIL
    ]:
        raise SettingsError(*wrong)


def _working(app: App) -> AbstractContextManager[None]:
    """Run tasks in this process too: a single `serve` needs no worker."""
    return run_worker(app, process.default_worker_name("serve"), no_progress)


def _serve_pages(app: App, listener: socket.socket, watchdog: SchedulerWatchdog | None) -> None:
    """Serve web pages until a signal, or until the scheduler ends."""
    pages = create_app(Site(app, watchdog.problem if watchdog else str))
    host, port = listener.getsockname()[:2]
    log.info("web pages at http://%s:%s, links use %s", host, port, app.links.public_url)
    serve_http(pages, listener, app.stop, *([watchdog.ended] if watchdog else []))
