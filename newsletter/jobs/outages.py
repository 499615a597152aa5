"""Log outages of the database once a minute: every thread meets them several times a second."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from newsletter.store import StoreError
from newsletter.store.retry import is_outage

if TYPE_CHECKING:
    from newsletter.errors import OperatorError

LOG_SECONDS = 60


class OncePerMinute(logging.Filter):
    """Pass one warning a minute, and of it the first line."""

    def __init__(self) -> None:
        super().__init__()
        self._last = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        if 0 <= record.created - self._last < LOG_SECONDS:
            return False
        self._last = record.created
        record.msg, record.args = record.getMessage().partition("\n")[0], ()
        return True


ONCE_PER_MINUTE = OncePerMinute()
"""One for all loggers that it is added to."""
outage_log = logging.getLogger(__name__)
outage_log.addFilter(ONCE_PER_MINUTE)


def log_problem(log: logging.Logger, problem: OperatorError, what: str = "") -> None:
    """Log a problem of `what`; an outage as such, once a minute."""
    if isinstance(problem, StoreError) and is_outage(problem):
        log = outage_log
    log.warning("%s%s", f"{what}: " if what else "", problem)
