"""Two operators, ada and bo, on pages with a clock, a mailbox and suppression lists."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes.browser import served
from tests.fakes.operators import HEADER, Lists, Person
from tests.fakes.pages import Clock, Mailbox, application

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.store import Store

PATIENCE = timedelta(minutes=5)
"""No test depends on how fast a page's own work is."""


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def lists() -> Lists:
    return Lists()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ada(store: Store, mailbox: Mailbox, lists: Lists, clock: Clock) -> Iterator[Person]:
    app = application(store, mailbox, clock, operator_header=HEADER)
    free = replace(app, suppression_lists=lists)  # type: ignore[arg-type]
    with served(create_app(Site(free, patience=PATIENCE))) as web:
        yield Person(web, "ada")


@pytest.fixture
def bo(ada: Person) -> Person:
    return Person(ada.web, "bo")
