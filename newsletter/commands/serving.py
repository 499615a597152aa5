"""`serve`: the mornings and the pages, in one process, until it is told to stop."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from newsletter import wiring
from newsletter.schedule import Mornings, scheduler
from newsletter.settings import read_settings
from newsletter.trouble import Trouble
from newsletter.web import create_app
from newsletter.web.desk import Desk

if TYPE_CHECKING:
    import uvicorn
    from apscheduler.schedulers.blocking import BlockingScheduler

    from newsletter.daily import Room

log = logging.getLogger(__name__)

GRACE_SECONDS = 30


def show_serve(host: str, port: int, *, web: bool, schedule: bool) -> int:
    if not web and not schedule:
        message = "--no-web and --no-schedule leave nothing to serve; give one of them"
        raise Trouble(message)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    room = wiring.build(read_settings())
    clock = scheduler(Mornings(room)) if schedule else None
    if not web and clock is not None:
        return _only_mornings(room, clock)
    return _with_pages(room, _server(room, host, port), clock)


def _server(room: Room, host: str, port: int) -> uvicorn.Server:
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
    return uvicorn.Server(
        uvicorn.Config(
            create_app(desk),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )


def _with_pages(room: Room, server: uvicorn.Server, clock: BlockingScheduler | None) -> int:
    """The pages answer signals in this thread; the mornings run in another, which is watched."""
    mornings = threading.Thread(target=_run, args=(clock, server), name="mornings")
    if clock is not None:
        mornings.start()
    server.run()
    died = clock is not None and not mornings.is_alive()
    room.stop.set()
    if clock is not None and not died:
        clock.shutdown(wait=False)
        mornings.join(GRACE_SECONDS)
    if died:
        message = "the scheduler died, the log says why; start the service again"
        raise Trouble(message)
    if not server.started:
        message = f"cannot listen on port {server.config.port}; is another process using it?"
        raise Trouble(message)
    return 0


def _run(clock: BlockingScheduler, server: uvicorn.Server) -> None:
    """A scheduler that ends for whatever reason takes the service with it, never silently."""
    try:
        clock.start()
    finally:
        server.should_exit = True


def _only_mornings(room: Room, clock: BlockingScheduler) -> int:
    import signal

    def stop(_number: int, _frame: object) -> None:
        room.stop.set()
        clock.shutdown(wait=False)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    clock.start()
    return 0
