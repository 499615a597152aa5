"""Fixtures of the scoring tests: Anthropic on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.scoring import month_total, scores_in_abstract, sum_of_calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.store import Store


@pytest.fixture(autouse=True)
def month_costs_add_up(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test of this folder the month's total is the sum over its calls."""
    if "store" not in request.fixturenames:
        yield
        return
    store: Store = request.getfixturevalue("store")
    yield
    assert month_total(store) == sum_of_calls(store)


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(scores_in_abstract) as serving:
        yield serving
