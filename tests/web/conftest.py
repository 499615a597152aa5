"""Two operators, ada and bo, on pages with a clock, a mailbox and suppression lists."""

from __future__ import annotations

from dataclasses import replace
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
    with served(create_app(Site(replace(app, suppression_lists=lists)))) as web:  # type: ignore[arg-type]
        yield Person(web, "ada")


@pytest.fixture
def bo(ada: Person) -> Person:
    return Person(ada.web, "bo")
