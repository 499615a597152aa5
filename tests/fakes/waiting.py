"""Waiting for what another thread or process does: as long as a busy machine may take."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import newsletter

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PACKAGE = str(Path(newsletter.__file__).parent)


def wait_until(true: Callable[[], object], seconds: float = 240) -> bool:
    """Whether it becomes true."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def let_threads_end() -> None:
    """Wait until no other thread runs code of the package; an idle one of a pool does not."""
    assert wait_until(lambda: not running()), f"not ended with the test: {running()}"


def running() -> list[str]:
    """The other threads that run code of the package, each with its name and its place there."""
    frames = sys._current_frames()
    others = (one for one in threading.enumerate() if one is not threading.current_thread())
    places = ((thread.name, _place(frames.get(thread.ident or 0))) for thread in others)
    return [f"{name} at {place}" for name, place in places if place]


def _place(frame: FrameType | None) -> str:
    """The innermost line of the package on a stack; empty if there is none."""
    while frame:
        if frame.f_code.co_filename.startswith(PACKAGE):
            return f"{frame.f_code.co_filename.removeprefix(PACKAGE)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
