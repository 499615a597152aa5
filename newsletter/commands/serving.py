"""`serve`: the mornings and the pages, in one process, until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from newsletter import daily, housekeeping, wiring
from newsletter.commands.pages import GRACE_SECONDS, answer, desk_of, listening
from newsletter.room import no_report
from newsletter.schedule import Mornings, scheduler
from newsletter.settings import read_settings
from newsletter.stopping import SIGNALS
from newsletter.trouble import Trouble
from newsletter.web.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.room import Room

log = logging.getLogger(__name__)


def show_serve(host: str, port: int, *, web: bool, schedule: bool, work: bool) -> int:
    if not web and not schedule:
        message = "--no-web and --no-schedule leave nothing to serve; give one of them"
        raise Trouble(message)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("apscheduler", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    room = wiring.build(read_settings())
    # Uvicorn stops on a signal and then raises it again: by itself that would kill the mornings.
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: room.stop.set())
    hands = _working(room) if schedule and work else nullcontext()
    with hands, _mornings(room) if schedule else nullcontext() as ended:
        if web:
            with listening(host, port) as door:
                _serve_pages(room, door, ended)
        else:
            log.info("the mornings run, without pages")
            while not (room.stop.wait(1) or (ended and ended.is_set())):
                pass
    return 0


def _working(room: Room) -> AbstractContextManager[None]:
    """Be a worker too, where there are any: a single `serve` needs no other process."""
    name = f"serve-{socket.gethostname()}-{os.getpid()}"
    return room.engine.working(partial(daily.work, room, no_report), room.stop, name)


@contextmanager
def _mornings(room: Room) -> Iterator[threading.Event]:
    """Run the scheduler in a thread of its own; the event says that it ended.

    Raises Trouble when it ended by itself: a scheduler that died is never kept quiet.
    """
    clock = scheduler(Mornings(room))
    housekeeping.add_to(clock, room)
    ended = threading.Event()

    def run() -> None:
        try:
            clock.start()
        finally:
            ended.set()

    thread = threading.Thread(target=run, name="mornings", daemon=True)
    thread.start()
    yield ended
    if ended.is_set():
        message = "the scheduler died, the log says why; start the service again"
        raise Trouble(message)
    room.stop.set()
    if clock.running:
        clock.shutdown(wait=True)
    thread.join(GRACE_SECONDS)


def _serve_pages(room: Room, door: socket.socket, ended: threading.Event | None) -> None:
    """Until a signal, or until the mornings end."""
    app = create_app(desk_of(room))
    host, port = door.getsockname()[:2]
    log.info("pages at http://%s:%s, links lead to %s", host, port, room.links.public_url)
    answer(app, door, ended)
