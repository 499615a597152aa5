"""SIGTERM and Ctrl-C: what is under way is ended, nothing new begins."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from newsletter.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Trouble):
    """Mailing or scoring was stopped on request; our tables say what became of each."""


@contextmanager
def draining(stop: threading.Event) -> Iterator[None]:
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
