"""What keeps the suite short. `tests/conftest.py` takes the hooks from here.

What shows with a hundred of something is shown with a hundred; `make test-large` takes the
thousands that were promised, and twenty times as many of what Hypothesis makes up.
"""

from __future__ import annotations

import gc
import os

from hypothesis import settings

LARGE = bool(os.environ.get("NEWSLETTER_TEST_LARGE"))

# A machine that has other work may take any time for one example.
settings.register_profile("ours", max_examples=500 if LARGE else 25, deadline=None)
settings.load_profile("ours")

# Four thousand tests are collected and stay: looking them through for garbage takes seconds.
gc.disable()


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait for a lease, or for a lock to be given up."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
