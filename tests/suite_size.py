"""The size and the speed of the test suite. `tests/conftest.py` imports the pytest hooks from here.

By default a test uses about a hundred of what it counts. `make test-large` sets LARGE: the
thousands that were promised, and twenty times as many Hypothesis examples.
"""

from __future__ import annotations

import gc
import os

from hypothesis import settings

LARGE = bool(os.environ.get("NEWSLETTER_TEST_LARGE"))

# No deadline: on a busy machine one example may take any time.
settings.register_profile("newsletter", max_examples=500 if LARGE else 25, deadline=None)
settings.load_profile("newsletter")

# Thousands of collected tests stay in memory: scanning them for garbage takes seconds.
gc.disable()


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait for a lease or for a lock's timeout."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
