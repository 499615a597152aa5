"""Which life of the program a row belongs to, so that what a dead one left can be taken up.

SIGTERM and Ctrl-C: what is under way is ended, nothing new begins.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from newsletter.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_BIRTH = uuid4().hex[:12]


def process_id() -> str:
    """The running process: host, process id, and a mark no later process of that id has."""
    return f"{socket.gethostname()[:64]}/{os.getpid()}/{_BIRTH}"


def of_owner(owner: str) -> str:
    """The process id in an owner id, which may name the work in the process, too."""
    return "/".join(owner.split("/")[:3])


def is_dead(owner: str) -> bool:
    """True when `owner` certainly runs no more. Of other hosts nothing is certain but the lease."""
    host, _, rest = owner.partition("/")
    pid, _, _birth = rest.partition("/")
    mine_host, _, mine = process_id().partition("/")
    # A row may name the work in the process, too: `.../birth/work`.
    if host != mine_host or f"{rest}/".startswith(f"{mine}/"):
        return False
    if pid == str(os.getpid()):
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return True
    except PermissionError:
        return False
    return False


SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signal(stop: threading.Event) -> Iterator[None]:
    """Turn the signals into `stop` for a while. Raises Stopped at the end if `stop` was set.

    Only the main thread can receive signals; elsewhere `stop` is set by whoever started it.
    """
    main = threading.current_thread() is threading.main_thread()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = [signal.signal(number, ask) for number in SIGNALS] if main else []
    try:
        yield
    finally:
        for number, handler in zip(SIGNALS, before, strict=False):
            signal.signal(number, handler)
    if stop.is_set():
        message = "stopped on request, with nothing left half sent; run it again to go on"
        raise Stopped(message)
