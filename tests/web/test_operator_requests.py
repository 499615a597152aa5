"""Requests to the operator's pages that no page of ours sends, or that come too late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from newsletter.domain.mail import SubscriberState
from newsletter.store import subscriptions
from tests.fakes.pages import NOW, reader

if TYPE_CHECKING:
    from newsletter.store import Store
    from tests.fakes.operators import Lists, Person

READERS = "/operator/readers"
ACTIONS = ("edit", "pause", "resume", "remove", "restore", "invite")


@pytest.mark.parametrize("action", ACTIONS)
def test_a_stranger_learns_from_no_form_whether_a_reader_exists(
    store: Store, ada: Person, action: str
):
    for subscriber_id in (reader(store).subscriber_id, "0" * 32):
        assert ada.web.post(f"{READERS}/{subscriber_id}/{action}", {}).status == 403


def test_a_nul_character_is_no_value(store: Store, ada: Person):
    """PostgreSQL refuses it: the pages said that the database does not answer."""
    page = f"{READERS}/{reader(store).subscriber_id}"
    paths = [f"{READERS}/a%00b", f"{page}?done=%00", f"{READERS}?rubric=%00", "/operator?done=%00"]
    assert {path: ada.get(path).status for path in paths} == dict.fromkeys(paths, 404)
    found = ada.fill(ada.get(READERS), READERS, text="a\0da")
    assert "ada@example.org" in found.words


def test_an_undo_that_is_refused_frees_no_address_at_the_provider(
    store: Store, ada: Person, lists: Lists
):
    person = reader(store)
    page = f"{READERS}/{person.subscriber_id}"
    removed = ada.shown(ada.fill(ada.get(f"{page}/remove"), f"{page}/remove"))
    with store.begin() as tx:
        subscriptions.end_all(tx, person.id, SubscriberState.COMPLAINED, "spam report", NOW)
    refused = ada.undo(removed)
    assert refused.status == 409
    assert lists.freed == []
