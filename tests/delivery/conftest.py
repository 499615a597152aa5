"""Fixtures of the delivery tests: a town of subscribers, and SendGrid on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.mail import Town
from tests.fakes.sendgrid import FakeSendGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.store import Store


@pytest.fixture
def town(store: Store) -> Town:
    return Town(store)


@pytest.fixture
def fake() -> Iterator[FakeSendGrid]:
    with FakeSendGrid() as running:
        yield running
