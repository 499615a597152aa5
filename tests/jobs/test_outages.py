"""An outage of the database is logged once a minute, everything else always."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError, OperationalError

from newsletter.errors import OperatorError
from newsletter.jobs.outages import ONCE_PER_MINUTE, OncePerMinute, log_problem
from newsletter.store import StoreError

if TYPE_CHECKING:
    import pytest


def test_an_outage_is_logged_once_a_minute_and_in_one_line() -> None:
    told = OncePerMinute()

    def passes(at: float, level: int = logging.WARNING) -> str:
        record = logging.LogRecord("dbos", level, "", 1, "no answer: %s\nSQL: SELECT", ("x",), None)
        record.created = at
        return record.getMessage() if told.filter(record) else ""

    assert passes(1000.0) == "no answer: x"
    assert [passes(1000.0 + n) for n in range(1, 60)] == [""] * 59
    assert passes(1060.0) == "no answer: x"
    assert passes(1061.0, logging.ERROR) == "no answer: x\nSQL: SELECT"


def of_driver(kind: type[OperationalError | IntegrityError]) -> StoreError:
    error = StoreError(f"no answer: {kind.__name__}")
    error.__cause__ = kind("SELECT 1", {}, Exception())
    return error


def test_an_outage_is_one_line_for_all_loggers_and_other_problems_are_not_held_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ONCE_PER_MINUTE._last = 0.0
    problems = [of_driver(OperationalError), of_driver(IntegrityError), OperatorError("no key")]
    for _ in range(3):
        for problem in problems:
            log_problem(logging.getLogger("newsletter.any"), problem, "poll")
    told = [record.getMessage() for record in caplog.records]
    assert told.count("poll: no answer: OperationalError") == 1
    assert told.count("poll: no answer: IntegrityError") == told.count("poll: no key") == 3
