"""A short stretch of the simulated year, with all its troubles."""

from __future__ import annotations

from datetime import date, timedelta

from bench.simulate_year import check, simulate
from tests.fakes.year import Year

SPAN = timedelta(days=9)


def test_ten_days_with_every_trouble_serve_everyone_once_and_in_time(tmp_path):
    first = date(2025, 10, 20)
    year = Year(first, first + SPAN)
    year.readers = year.readers[::3] + year.readers[-4:]
    service = simulate(year, tmp_path)
    found = check(year, service)
    service.close()
    assert found.wrong == []
    assert min(found.checked.values()) > 0
    assert len(found.checked) == 10
