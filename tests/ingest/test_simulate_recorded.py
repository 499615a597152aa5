"""Some days of what arXiv really announced, lived through with its own list and without."""

from __future__ import annotations

from datetime import date

import pytest

from tests.fakes.recorded import Service, Span, compare, read
from tests.simulations.simulate_recorded import RECORDING, days_of

DAYS = Span(date(2026, 4, 30), date(2026, 5, 5), ("hep-lat", "hep-th"))

pytestmark = pytest.mark.skipif(not RECORDING.exists(), reason=f"{RECORDING} is absent")


@pytest.mark.parametrize("feed", [True, False])
def test_recorded_papers_come_on_their_days(store, feed):
    """2507.12051 is an old paper, cross-listed on 1 May: only arXiv's list names it."""
    service = Service(store, DAYS, read(RECORDING), () if feed else days_of(DAYS))
    service.live()
    found = compare(service)
    assert found.papers > 200
    assert (found.twice, found.early, found.unsaid) == ([], [], [])
    assert bool(found.never) is not feed
    old = [case for case in (found.later if feed else found.never) if "2507.12051" in case]
    assert len(old) == 2
    assert max(service.counts.values()) <= 4
