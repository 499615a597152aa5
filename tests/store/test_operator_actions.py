"""The log of what operators did."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest
from sqlalchemy import text

from newsletter.operations.undo import Reversal, UndoOutcome, is_possible, undo
from newsletter.store import StoreError, subscribers
from newsletter.store.operator import actions
from newsletter.store.operator.actions import ActionKind, OperatorAction
from newsletter.store.reports import personal_data
from tests.fakes.pages import NOW, reader

PAUSED = OperatorAction(
    "1" * 32,
    NOW,
    "ada",
    "5e551011",
    ActionKind.PAUSE_READER,
    "r1",
    before={"state": "active"},
    after={"state": "paused"},
    subscriber_id="r1",
)


def test_an_action_is_listed_as_it_was_recorded_newest_first(store):
    later = replace(PAUSED, id="2" * 32, at=NOW + timedelta(minutes=1), subscriber_id=None)
    with store.begin() as tx:
        for action in (PAUSED, later):
            actions.record(tx, action)
    with store.read() as tx:
        assert actions.newest(tx, 9) == [later, PAUSED]
        assert actions.newest(tx, 1, 1) == [PAUSED]
        assert actions.count(tx) == 2
        assert actions.by_id(tx, PAUSED.id) == PAUSED
        assert actions.by_id(tx, "3" * 32) is None
        assert actions.last_of(tx, "r1") == later
        assert actions.last_of(tx, "r2") is None


def test_the_log_keeps_nothing_of_a_change_that_fails(store):
    def fail(tx):
        actions.record(tx, PAUSED)
        tx.execute(text("SELECT nothing FROM nowhere"))

    with pytest.raises(StoreError), store.begin() as tx:
        fail(tx)
    with store.read() as tx:
        assert actions.count(tx) == 0


def test_operators_change_one_after_the_other(store):
    """The second finds what the first recorded, and not nothing."""
    locked, found = Event(), []

    def second():
        locked.wait(240)
        with store.begin() as tx:
            actions.lock(tx)
            found.append(actions.by_id(tx, PAUSED.id))

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second)
        with store.begin() as tx:
            actions.lock(tx)
            locked.set()
            actions.record(tx, PAUSED)
        waiting.result(240)
    assert found == [PAUSED]


def test_erasing_a_reader_blanks_their_actions_and_their_download_lists_them(store):
    person = reader(store)
    with store.begin() as tx:
        actions.record(tx, replace(PAUSED, subscriber_id=person.subscriber_id))
        listed = personal_data.stored_about(tx, person.subscriber_id)["operator_action"]
        assert [row["kind"] for row in listed] == ["pause reader"]
        subscribers.erase(tx, person.subscriber_id, NOW)
        [left] = actions.newest(tx, 9)
    assert (left.before, left.after, left.kind) == ({}, {}, ActionKind.PAUSE_READER)
    assert not is_possible(left, {ActionKind.PAUSE_READER: Reversal(None, None)})


def test_undo_happens_once_and_only_while_nothing_else_changed(store):
    state, reverted = {"state": "paused"}, []

    def revert(_tx, action, _now):
        reverted.append(action.before)

    reversals = {ActionKind.PAUSE_READER: Reversal(lambda *_: dict(state), revert)}
    with store.begin() as tx:
        actions.record(tx, PAUSED)

    def press(action_id=PAUSED.id, known=reversals):
        with store.begin() as tx:
            return undo(tx, action_id, "bo", NOW + timedelta(hours=1), known)

    assert press("4" * 32) is UndoOutcome.UNKNOWN
    assert press(known={}) is UndoOutcome.IMPOSSIBLE
    state["state"] = "unsubscribed"
    assert press() is UndoOutcome.CHANGED
    state["state"] = "paused"
    assert press() is UndoOutcome.UNDONE
    assert press() is UndoOutcome.ALREADY
    assert reverted == [{"state": "active"}]
    with store.read() as tx:
        [left] = actions.newest(tx, 9)
    assert (left.undone_by, left.undone_at) == ("bo", NOW + timedelta(hours=1))


def test_the_log_forgets_after_a_year_and_blanks_readers_who_are_no_more(store):
    person = reader(store)
    old = replace(PAUSED, id="5" * 32, at=NOW - timedelta(days=366), subscriber_id=person.id)
    with store.begin() as tx:
        for one in (old, PAUSED, replace(PAUSED, id="6" * 32, subscriber_id=person.id)):
            actions.record(tx, one)
        actions.delete_old(tx, NOW)
        left = {one.id[0]: one.after for one in actions.newest(tx, 9)}
    assert left == {"1": {}, "6": PAUSED.after}
