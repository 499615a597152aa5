"""Queue for the write lock of an SQLite file, over all processes.

SQLite gives the write lock to a process that asks at the right moment: one that writes page after
page would get it again before another one, which polls ten times a second, sees it free.
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
def next_writer(path: str, timeout: float) -> Iterator[None]:
    """Be the only process that asks for the write lock of the file at `path`.

    Left as soon as it has the lock: one process writes and one is next. Raises OSError,
    of which TimeoutError is one.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + timeout
        while not _locked(descriptor):
            if time.monotonic() > end:
                message = f"other processes were writing for {timeout:g} seconds"
                raise TimeoutError(message)
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
