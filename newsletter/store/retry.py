"""Retry writes while the database is unavailable, for results that exist nowhere else.

Such a result is proof of an accepted mail, or a paid answer.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import (
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
)

from newsletter.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_TRIES = 300
"""About so many seconds: less than any lease. Afterwards the lease ends and the row is unknown."""
MAX_TRIES_AT_SHUTDOWN = 8
"""After this process was asked to stop."""
PAUSE_SECONDS = 1.0


def retry_while_unavailable(
    act: Callable[[], T],
    stop: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
    failed: Callable[[], None] = lambda: None,
) -> T:
    """Repeat `act` while the database is unavailable. Raises StoreError in the end.

    `failed` is called once, after the first failure.
    """
    tries = 0
    while True:
        try:
            return act()
        except StoreError as error:
            tries += 1
            if tries == 1:
                failed()
            limit = MAX_TRIES_AT_SHUTDOWN if stop() else MAX_TRIES
            if tries >= limit or not is_unavailable(error):
                raise
            if tries == 1:
                log.warning("%s; retrying the write until the database is back", error)
        sleep(PAUSE_SECONDS)


def is_outage(error: StoreError) -> bool:
    """Whether the connection failed: it will do again once the database is back."""
    return isinstance(error.__cause__, (OperationalError, InterfaceError, InternalError))


def is_unavailable(error: StoreError) -> bool:
    """Whether the database failed, and not the data to be written."""
    return not isinstance(error.__cause__, (DataError, IntegrityError))
