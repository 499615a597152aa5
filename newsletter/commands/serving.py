"""`serve`: the mornings and the pages, in one process, until it is told to stop."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from newsletter import housekeeping, wiring
from newsletter.schedule import Mornings, scheduler
from newsletter.settings import read_settings
from newsletter.stopping import SIGNALS
from newsletter.trouble import Trouble
from newsletter.web.app import create_app
from newsletter.web.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator

    import uvicorn

    from newsletter.room import Room

log = logging.getLogger(__name__)

GRACE_SECONDS = 30


def show_serve(host: str, port: int, *, web: bool, schedule: bool) -> int:
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
    with _mornings(room) if schedule else nullcontext() as ended:
        if web:
            with _listening(host, port) as door:
                _serve_pages(room, door, ended)
        else:
            log.info("the mornings run, without pages")
            while not (room.stop.wait(1) or (ended and ended.is_set())):
                pass
    return 0


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
    import uvicorn

    desk = Desk(
        store=room.store,
        links=room.links,
        rubrics=room.rubrics,
        settings=room.settings,
        mailer=room.mailer,
        renderer=room.renderer,
        sender=room.sender,
        clock=room.clock,
    )
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(desk),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    if ended is not None:
        threading.Thread(target=_follow, args=(ended, server), daemon=True).start()
    host, port = door.getsockname()[:2]
    log.info("pages at http://%s:%s, links lead to %s", host, port, room.links.public_url)
    server.run(sockets=[door])


def _follow(ended: threading.Event, server: uvicorn.Server) -> None:
    ended.wait()
    server.should_exit = True


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        message = f"cannot listen on {host} port {port}: {error.strerror}; choose another --port"
        raise Trouble(message) from error
