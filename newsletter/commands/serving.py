"""`serve`: the mornings and the pages, in one process, until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from newsletter import daily, housekeeping, logs, wiring
from newsletter.commands.alone import only_one
from newsletter.commands.pages import GRACE_SECONDS, answer, desk_of, listening
from newsletter.findings import State
from newsletter.premises import keys_found
from newsletter.room import no_report
from newsletter.schedule import Mornings, scheduler, wake
from newsletter.settings import SettingsError, read_settings
from newsletter.stopping import SIGNALS
from newsletter.store import StoreError
from newsletter.trouble import Trouble
from newsletter.web.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apscheduler.schedulers.base import BaseScheduler

    from newsletter.leading import Leader
    from newsletter.pulse import Pulse
    from newsletter.room import Room
    from newsletter.settings import Settings

log = logging.getLogger(__name__)

JUMP_SECONDS = 60
RESIGN_SECONDS = 5
WHAT_NOW = "the log may say why; start the service again"


def show_serve(host: str, port: int, *, web: bool, schedule: bool, work: bool) -> int:
    if not web and not schedule:
        message = "--no-web and --no-schedule leave nothing to serve; give one of them"
        raise SettingsError(message)
    settings = read_settings()
    _refuse_deaf(settings)
    logs.set_up(settings, "info")
    room = wiring.build(settings)
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


@contextmanager
def _mornings(room: Room) -> Iterator[Pulse]:
    """Run the scheduler in a thread of its own, and watch it; the pulse says how it is.

    Raises Trouble when it ended by itself or hangs: such a process is started again, not kept.
    """
    mornings = Mornings(room)
    pulse = mornings.pulse
    clock = scheduler(mornings)
    housekeeping.add_to(clock, room, pulse)

    def run() -> None:
        try:
            clock.start()
        finally:
            pulse.ended.set()

    thread = threading.Thread(target=run, name="mornings", daemon=True)
    thread.start()
    threading.Thread(target=watch, args=(room.stop, clock, pulse), daemon=True).start()
    yield pulse
    trouble = "" if room.stop.is_set() else pulse.trouble()
    room.stop.set()
    if clock.running:
        clock.shutdown(wait=False)
    thread.join(GRACE_SECONDS)
    drained = pulse.drained(GRACE_SECONDS)
    _resign(mornings.leader)
    if not drained:
        log.warning("not all work came to its end in %d seconds; it is taken up", GRACE_SECONDS)
        _end_at_once(trouble)
    if trouble:
        message = f"{trouble}, {WHAT_NOW}"
        raise Trouble(message)


def _resign(leader: Leader) -> None:
    """Give the lease back, if the database lets us: a job that hangs may be in its way."""

    def act() -> None:
        with suppress(StoreError):
            leader.resign()

    giving = threading.Thread(target=act, daemon=True)
    giving.start()
    giving.join(RESIGN_SECONDS)


def _end_at_once(trouble: str) -> NoReturn:
    """An interpreter waits at its end for every thread of a pool: for one that hangs, for ever.

    What that one has in hand is taken up as after a kill: it is held by the id of a process that
    is no more, and by a lease.
    """
    if trouble:
        log.error("%s, %s", trouble, WHAT_NOW)
    logging.shutdown()
    os._exit(1 if trouble else 0)


def watch(
    stop: threading.Event,
    clock: BaseScheduler,
    pulse: Pulse,
    *,
    wall: Callable[[], float] = time.time,
    steady: Callable[[], float] = time.monotonic,
    glance_seconds: float = 1.0,
) -> None:
    """Wake the scheduler when a job calls for it, or when the wall clock was set: its next wake-ups
    are hours away then.

    And end it, by the pulse, when it hangs.
    """
    apart = wall() - steady()
    while not (stop.wait(glance_seconds) or pulse.ended.is_set()):
        now = wall() - steady()
        if abs(now - apart) > JUMP_SECONDS:
            log.warning("the clock was set by %+d seconds", now - apart)
            pulse.called.set()
        if pulse.called.is_set():
            pulse.called.clear()
            wake(clock)
        apart = now
        if trouble := pulse.trouble():
            log.error("%s", trouble)
            pulse.ended.set()


def _serve_pages(room: Room, door: socket.socket, pulse: Pulse | None) -> None:
    """Until a signal, or until the mornings end."""
    app = create_app(desk_of(room, pulse.trouble if pulse else str))
    host, port = door.getsockname()[:2]
    log.info("pages at http://%s:%s, links lead to %s", host, port, room.links.public_url)
    answer(app, door, room.stop, *([pulse.ended] if pulse else []))
