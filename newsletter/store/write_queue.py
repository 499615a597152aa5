"""The processes that write to one SQLite file wait for one another in a line.

SQLite alone lets whoever asks at the right moment have the write lock: a process that writes page
after page would take it again before another one, which asks ten times a second, sees it free.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL_SECONDS = 0.005


@contextmanager
def next_writer(path: str, patience: float) -> Iterator[None]:
    """Be the one process that asks for the write lock of the file at `path`.

    Left as soon as the lock is there, so that one process writes and one is next. Raises OSError,
    of which TimeoutError is one.
    """
    place = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + patience
        while not _locked(place):
            if time.monotonic() > end:
                message = f"others were before us for {patience:g} seconds"
                raise TimeoutError(message)
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(place)


def _locked(place: int) -> bool:
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
