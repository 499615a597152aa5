"""Fixtures of the scorers tests: Anthropic on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.scoring import scores_in_abstract

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(scores_in_abstract) as serving:
        yield serving
