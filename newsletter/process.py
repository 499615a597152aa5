"""Process identity and liveness, so that work of dead processes is recovered; stop signals.

On SIGTERM and Ctrl-C running work is finished and no new work begins.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn
from uuid import uuid4

from newsletter.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

GARBAGE_THRESHOLDS = 200_000, 20, 20
"""Objects before a collection. Python's 700 costs a tenth of a command's processor time: what a
command loads and reads is no garbage. Loading makes less than 200,000 objects.
"""
_RANDOM_PART = uuid4().hex[:12]


def collect_garbage_less_often() -> None:
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def process_id() -> str:
    """Host, process id, and a random part, because the system reuses process ids."""
    return f"{socket.gethostname()[:64]}/{os.getpid()}/{_RANDOM_PART}"


def process_id_of(owner: str) -> str:
    """The process id in an owner id, which may also name a worker: `host/pid/random/worker`."""
    return "/".join(owner.split("/")[:3])


def display_name(owner: str) -> str:
    """The name of an owner id on pages and in logs: that of its worker, else `host/pid`."""
    parts = owner.split("/", 3)
    return parts[3] if len(parts) > 3 else "/".join(parts[:2])  # noqa: PLR2004 - host, pid, mark


def default_worker_name(role: str = "") -> str:
    """`serve-host-1234`; without a role `host-1234`."""
    return f"{f'{role}-' if role else ''}{socket.gethostname()}-{os.getpid()}"


def is_dead(owner: str) -> bool:
    """True if `owner` certainly does not run. Unknown for other hosts: only their lease tells."""
    host, _, rest = owner.partition("/")
    pid, _, _random = rest.partition("/")
    mine_host, _, mine = process_id().partition("/")
    # An owner may also name the worker in the process: `.../random/worker`.
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


def set_on_signal(stop: threading.Event) -> None:
    """Set `stop` on each signal from now on. Only the main thread may call it."""
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: stop.set())


@contextmanager
def stop_on_signal(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on a signal. Raises Stopped at the end if `stop` was set.

    Only the main thread can receive signals; in another thread its caller sets `stop`.
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


def exit_now(status: int) -> NoReturn:
    """Flush the output and exit without waiting for threads or freeing memory.

    A thread that a library left behind may wait forever, for example for a database that is gone.
    Its work is recovered as after a kill. Freeing all modules would take a second.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # a full disk, or a pipe that is closed
            status = status or 1
    os._exit(status)
