"""What came back from outside is written down, though the database be away for a while.

It is proof that nobody else has: a mail that was taken, an answer that was paid for.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DataError, IntegrityError

from newsletter.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_TRIES = 300
"""Seconds, about: less than any lease. After it the row's lease ends, and it is in doubt."""
MAX_TRIES_AT_SHUTDOWN = 8
"""Once somebody asks this process to end."""
PAUSE_SECONDS = 1.0


def retry_while_unavailable(
    act: Callable[[], T],
    stop: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
    failed: Callable[[], None] = lambda: None,
) -> T:
    """Do what writes, again and again while the database is away. Raises StoreError in the end.

    `failed` is done once, after the first time.
    """
    tries = 0
    while True:
        try:
            return act()
        except StoreError as error:
            tries += 1
            if tries == 1:
                failed()
            patience = MAX_TRIES_AT_SHUTDOWN if stop() else MAX_TRIES
            if tries >= patience or not is_unavailable(error):
                raise
            if tries == 1:
                log.warning("%s; what has come back is written down when it answers", error)
        sleep(PAUSE_SECONDS)


def is_unavailable(error: StoreError) -> bool:
    """Whether the database is to blame, and not what was to be written to it."""
    return not isinstance(error.__cause__, (DataError, IntegrityError))
