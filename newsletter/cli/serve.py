"""`serve`: the mornings and the pages, in one process, until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from newsletter import bootstrap, logs
from newsletter.context import no_progress
from newsletter.domain.findings import FindingState
from newsletter.jobs import daily
from newsletter.jobs.daemon import _run_scheduler, single_instance
from newsletter.operations.doctor.local import keys_found
from newsletter.process import SIGNALS
from newsletter.settings import SettingsError, read_settings
from newsletter.web.app import create_app
from newsletter.web.server import listen, site_of
from newsletter.web.server import serve as serve_http

if TYPE_CHECKING:
    from newsletter.context import App
    from newsletter.jobs.watchdog import SchedulerWatchdog
    from newsletter.settings import Settings

log = logging.getLogger(__name__)


def show_serve(host: str, port: int, *, web: bool, schedule: bool, work: bool) -> int:
    if not web and not schedule:
        message = "--no-web and --no-schedule leave nothing to serve; give one of them"
        raise SettingsError(message)
    settings = read_settings()
    _refuse_deaf(settings)
    logs.set_up(settings, "info")
    app = bootstrap.build_app(settings)
    # Uvicorn stops on a signal and then raises it again: by itself that would kill the mornings.
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: app.stop.set())
    alone = single_instance(app.store) if schedule else nullcontext()
    hands = _working(app) if schedule and work else nullcontext()
    with alone, hands, _run_scheduler(app) if schedule else nullcontext() as pulse:
        if web:
            with listen(host, port) as door:
                _serve_pages(app, door, pulse)
        else:
            log.info("the mornings run, without pages")
            while not (app.stop.wait(1) or (pulse and pulse.ended.is_set())):
                pass
    return 0


def _refuse_deaf(settings: Settings) -> None:
    """Raise SettingsError for a webhook's key that is none: every event would be turned away."""
    of_hooks = [one for one in keys_found(settings) if one.check in {"event key", "inbound key"}]
    if wrong := [f"{one.said}; {one.fix}" for one in of_hooks if one.state is FindingState.FAIL]:
        raise SettingsError(*wrong)


def _working(app: App) -> AbstractContextManager[None]:
    """Be a worker too, where there are any: a single `serve` needs no other process."""
    name = f"serve-{socket.gethostname()}-{os.getpid()}"
    return app.engine.working(partial(daily.handle_task, app, no_progress), app.stop, name)


def _serve_pages(app: App, door: socket.socket, pulse: SchedulerWatchdog | None) -> None:
    """Until a signal, or until the mornings end."""
    pages = create_app(site_of(app, pulse.trouble if pulse else str))
    host, port = door.getsockname()[:2]
    log.info("pages at http://%s:%s, links lead to %s", host, port, app.links.public_url)
    serve_http(pages, door, app.stop, *([pulse.ended] if pulse else []))
