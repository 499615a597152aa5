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
from newsletter.context import no_report
from newsletter.domain.findings import State
from newsletter.jobs import daily
from newsletter.jobs.daemon import _mornings, only_one
from newsletter.operations.doctor.local import keys_found
from newsletter.process import SIGNALS
from newsletter.settings import SettingsError, read_settings
from newsletter.web.app import create_app
from newsletter.web.server import answer, desk_of, listening

if TYPE_CHECKING:
    from newsletter.context import Room
    from newsletter.jobs.watchdog import Pulse
    from newsletter.settings import Settings

log = logging.getLogger(__name__)


def show_serve(host: str, port: int, *, web: bool, schedule: bool, work: bool) -> int:
    if not web and not schedule:
        message = "--no-web and --no-schedule leave nothing to serve; give one of them"
        raise SettingsError(message)
    settings = read_settings()
    _refuse_deaf(settings)
    logs.set_up(settings, "info")
    room = bootstrap.build(settings)
    # Uvicorn stops on a signal and then raises it again: by itself that would kill the mornings.
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: room.stop.set())
    alone = only_one(room.store) if schedule else nullcontext()
    hands = _working(room) if schedule and work else nullcontext()
    with alone, hands, _mornings(room) if schedule else nullcontext() as pulse:
        if web:
            with listening(host, port) as door:
                _serve_pages(room, door, pulse)
        else:
            log.info("the mornings run, without pages")
            while not (room.stop.wait(1) or (pulse and pulse.ended.is_set())):
                pass
    return 0


def _refuse_deaf(settings: Settings) -> None:
    """Raise SettingsError for a webhook's key that is none: every event would be turned away."""
    of_hooks = [one for one in keys_found(settings) if one.check in {"event key", "inbound key"}]
    if wrong := [f"{one.said}; {one.fix}" for one in of_hooks if one.state is State.FAIL]:
        raise SettingsError(*wrong)


def _working(room: Room) -> AbstractContextManager[None]:
    """Be a worker too, where there are any: a single `serve` needs no other process."""
    name = f"serve-{socket.gethostname()}-{os.getpid()}"
    return room.engine.working(partial(daily.work, room, no_report), room.stop, name)


def _serve_pages(room: Room, door: socket.socket, pulse: Pulse | None) -> None:
    """Until a signal, or until the mornings end."""
    app = create_app(desk_of(room, pulse.trouble if pulse else str))
    host, port = door.getsockname()[:2]
    log.info("pages at http://%s:%s, links lead to %s", host, port, room.links.public_url)
    answer(app, door, room.stop, *([pulse.ended] if pulse else []))
