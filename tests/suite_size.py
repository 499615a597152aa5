"""Size, order and speed of the test suite. `tests/conftest.py` imports the pytest hooks from here.

By default a test uses about a hundred of what it counts. `make test-large` sets LARGE: the
thousands that were promised, and twenty times as many Hypothesis examples.
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

from hypothesis import settings

from newsletter.process import collect_garbage_less_often
from tests.fakes import command
from tests.fakes.database import share_compiled_statements

if TYPE_CHECKING:
    import pytest

LARGE = bool(os.environ.get("NEWSLETTER_TEST_LARGE"))

# No deadline: on a busy machine one example may take any time.
settings.register_profile("newsletter", max_examples=500 if LARGE else 25, deadline=None)
settings.load_profile("newsletter")

# Thousands of collected tests stay in memory: scanning them for garbage takes seconds.
gc.disable()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three more than there are cores: many tests wait for a process, a lease or a lock.

    Simulations start processes of their own, so there is one more.
    """
    simulations = all("simulations" in folder for folder in config.args)
    return (os.cpu_count() or 1) + (1 if simulations else 3)


WAITING = (
    "test_25_locked_database",
    "test_a_service_that_hangs_ends_by_itself_with_the_reason",
    "test_09_",
    "test_due_mail_that_did_not_leave",
    "test_the_service_reads_its_mailbox",
    "test_a_job_that_hangs_keeps_the_process",
)
"""Tests that wait for seconds, for example for SQLite's lock timeout of 30 s."""


def pytest_configure(config: pytest.Config) -> None:
    """All workers of pytest-xdist start commands by one process that has loaded everything."""
    share_compiled_statements()
    if config.getoption("tx", None):
        command.share_fork_server()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the waiting tests first: one that began last would be waited for alone."""
    items.sort(key=lambda item: not item.name.startswith(WAITING))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
    collect_garbage_less_often()
