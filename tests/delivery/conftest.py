"""Fixtures of the delivery tests: subscribers with a digest to send, and SendGrid on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.mail import DeliveryScenario
from tests.fakes.sendgrid import FakeSendGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.store import Store


@pytest.fixture
def scenario(store: Store) -> DeliveryScenario:
    return DeliveryScenario(store)


@pytest.fixture
def fake() -> Iterator[FakeSendGrid]:
    with FakeSendGrid() as running:
        yield running
