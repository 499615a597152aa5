"""Reader rubrics in the database: a draft counts for nothing until the mailed link confirms it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from newsletter.domain.mail import SubscriberState, Subscription
from newsletter.domain.model import Usage
from newsletter.domain.reader_rubrics import (
    Confirmation,
    PausedBy,
    ReaderRubricState,
    VersionState,
    is_reader_rubric,
    new_slug,
    trial_account,
)
from newsletter.scorers import ScoringCall, ScoringRequest
from newsletter.store import ledger, reader_rubrics, restore_subscriber, subscribers, subscriptions
from newsletter.store.ledger import Account, Budget
from newsletter.store.reports.personal_data import stored_about
from newsletter.store.tables import call as calls
from newsletter.store.tables import reader_rubric, reader_rubric_version
from tests.fakes.scoring import RUBRIC

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from newsletter.store import Store

NOW = datetime(2025, 9, 23, 6, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ANN, BOB = "a" * 32, "b" * 32


@pytest.fixture
def readers(store: Store) -> Store:
    for key in (ANN, BOB):
        with store.begin() as tx:
            one = Subscription(key, f"{key[0]}@example.org", "models")
            subscriptions.insert_new(tx, one, NOW)
    return store


def create(store: Store, text: str = "one", reader: str = ANN, limit: int = 3) -> str:
    with store.begin() as tx:
        return reader_rubrics.create(tx, reader, text, NOW, limit=limit)


def save(store: Store, slug: str, text: str = "") -> int:
    """Submit the draft, or this text, and confirm it; return its version."""
    with store.begin() as tx:
        if text:
            assert reader_rubrics.save_draft(tx, slug, text, LATER)
        version = reader_rubrics.submit(tx, slug, LATER)
        assert version is not None
        confirmed = reader_rubrics.confirm(tx, slug, version, LATER)
        assert confirmed in (Confirmation.FIRST, Confirmation.CHANGED)
    return version


def states(store: Store, slug: str) -> list[tuple[int, str, str]]:
    with store.read() as tx:
        return [(one.version, one.text, one.state) for one in reader_rubrics.versions(tx, slug)]


def active(store: Store) -> dict[tuple[str, int], str]:
    with store.read() as tx:
        return reader_rubrics.load_active(tx)


def test_slugs_are_own_and_twelve_letters() -> None:
    assert new_slug(bytes(16)) == "own-aaaaaaaaaaaa"
    made = {new_slug(bytes([n]) * 16) for n in range(200)}
    assert len(made) == 200
    assert all(is_reader_rubric(one) and len(one) == 16 for one in made)
    assert not is_reader_rubric("models")


def test_a_rubric_is_active_once_its_link_was_confirmed(readers: Store) -> None:
    slug = create(readers)
    assert not active(readers)
    with readers.begin() as tx:
        version = reader_rubrics.submit(tx, slug, NOW)
        assert version == 1
        assert reader_rubrics.submit(tx, slug, LATER) == 1, "repeated: the same version"
        assert reader_rubrics.confirm(tx, slug, 1, LATER) is Confirmation.FIRST
        number = reader_rubrics.change_number(tx)
        assert reader_rubrics.confirm(tx, slug, 1, LATER) is Confirmation.REPEATED
        assert reader_rubrics.change_number(tx) == number
    assert active(readers) == {(slug, 1): "one"}
    with readers.read() as tx:
        [own] = [one for one in subscriptions.of_subscriber(tx, ANN) if one.rubric == slug]
        [known] = reader_rubrics.of_reader(tx, ANN)
    assert own.state is SubscriberState.ACTIVE
    assert "link" in own.consent
    assert known.state is ReaderRubricState.ACTIVE


def test_an_edit_counts_when_it_is_confirmed_and_keeps_the_old_text(readers: Store) -> None:
    slug = create(readers)
    save(readers, slug)
    with readers.begin() as tx:
        reader_rubrics.save_draft(tx, slug, "two", LATER)
        reader_rubrics.submit(tx, slug, LATER)
        reader_rubrics.save_draft(tx, slug, "three", LATER)
        reader_rubrics.save_draft(tx, slug, "thr33", LATER)
    assert active(readers) == {(slug, 1): "one"}
    with readers.begin() as tx:
        assert reader_rubrics.submit(tx, slug, LATER) == 3
        assert reader_rubrics.confirm(tx, slug, 2, LATER) is Confirmation.REPLACED
        assert reader_rubrics.confirm(tx, slug, 3, LATER) is Confirmation.CHANGED
        assert reader_rubrics.confirm(tx, slug, 1, LATER) is Confirmation.REPLACED
        assert reader_rubrics.submit(tx, slug, LATER) is None
    assert states(readers, slug) == [
        (3, "thr33", VersionState.ACTIVE),
        (2, "two", VersionState.OLD),
        (1, "one", VersionState.OLD),
    ]
    assert active(readers) == {(slug, 3): "thr33"}


def test_known_texts_are_not_loaded_again(readers: Store) -> None:
    first, second = create(readers), create(readers, "two", BOB)
    save(readers, first)
    save(readers, second)
    with readers.read() as tx:
        found = reader_rubrics.load_active(tx, {(first, 1)})
    assert found == {(first, 1): "", (second, 1): "two"}


def test_a_reader_has_so_many_rubrics_and_one_draft(readers: Store) -> None:
    first = create(readers, limit=2)
    assert create(readers, "again", limit=2) == first, "one draft a reader"
    assert states(readers, first) == [
        (2, "again", VersionState.DRAFT),
        (1, "one", VersionState.OLD),
    ]
    save(readers, first)
    save(readers, create(readers, limit=2))
    with pytest.raises(reader_rubrics.TooManyRubrics):
        create(readers, limit=2)
    assert create(readers, reader=BOB, limit=2), "of one reader alone"


def test_twenty_old_versions_are_kept(readers: Store) -> None:
    slug = create(readers)
    for number in range(23):
        save(readers, slug, f"text {number}")
    kept = [version for version, _, _ in states(readers, slug)]
    assert kept == list(range(23, 2, -1))


def test_the_operators_pause_and_the_readers_are_two(readers: Store) -> None:
    slug = create(readers)
    with readers.begin() as tx:
        assert not reader_rubrics.pause(tx, slug, PausedBy.OPERATOR, NOW), "a draft"
    save(readers, slug)
    with readers.begin() as tx:
        assert reader_rubrics.pause(tx, slug, PausedBy.READER, NOW)
        assert reader_rubrics.pause(tx, slug, PausedBy.OPERATOR, NOW, "too dear")
    with readers.begin() as tx:
        assert reader_rubrics.resume(tx, slug, PausedBy.READER, NOW)
        assert not reader_rubrics.resume(tx, slug, PausedBy.READER, NOW)
        one = reader_rubrics.by_slug(tx, slug)
        assert one is not None
        assert (one.state, one.paused_by) == (ReaderRubricState.PAUSED, (PausedBy.OPERATOR,))
        assert one.reason == "too dear"
    assert not active(readers)
    with readers.begin() as tx:
        assert reader_rubrics.resume(tx, slug, PausedBy.OPERATOR, NOW)
    assert active(readers) == {(slug, 1): "one"}


def test_deleting_ends_the_subscription(readers: Store) -> None:
    slug = create(readers)
    save(readers, slug)
    with readers.begin() as tx:
        assert reader_rubrics.delete(tx, slug, LATER)
        assert not reader_rubrics.delete(tx, slug, LATER)
        assert reader_rubrics.confirm(tx, slug, 1, LATER) is Confirmation.GONE
        assert not reader_rubrics.save_draft(tx, slug, "x", LATER)
        left = {one.rubric: one.state for one in subscriptions.of_subscriber(tx, ANN)}
        [gone] = [one for one in subscriptions.of_subscriber(tx, ANN) if one.rubric == slug]
        assert not subscriptions.restore(tx, gone.id, "page", LATER), "there is nothing to read"
        assert not restore_subscriber.left(tx, gone.email, [slug])
    assert left == {"models": SubscriberState.ACTIVE, slug: SubscriberState.UNSUBSCRIBED}


def test_all_texts_are_downloaded_and_erased_with_the_reader(readers: Store) -> None:
    slug, other = create(readers), create(readers, "Bob's", BOB)
    save(readers, slug)
    save(readers, slug, "two")
    with readers.read() as tx:
        found = stored_about(tx, ANN)
    assert [row["text"] for row in found["reader_rubric_version"]] == ["one", "two"]
    assert [row["slug"] for row in found["reader_rubric"]] == [slug]
    with readers.begin() as tx:
        subscribers.erase(tx, ANN, LATER)
        assert reader_rubrics.confirm(tx, slug, 2, LATER) is Confirmation.GONE
        for table in (reader_rubric, reader_rubric_version):
            assert tx.scalars(select(table.c.slug)).all() == [other]


def test_who_left_everything_confirms_nothing(readers: Store) -> None:
    slug = create(readers)
    with readers.begin() as tx:
        reader_rubrics.submit(tx, slug, NOW)
        subscriptions.leave_all(tx, ANN, "reply", NOW)
        assert reader_rubrics.confirm(tx, slug, 1, LATER) is Confirmation.GONE
    assert not active(readers)


def test_drafts_that_nobody_writes_to_are_deleted(readers: Store) -> None:
    old, kept = create(readers), create(readers, reader=BOB)
    with readers.begin() as tx:
        reader_rubrics.save_draft(tx, kept, "newer", LATER)
        assert reader_rubrics.delete_old_drafts(tx, LATER) == 1
        assert tx.scalar(select(func.count()).select_from(reader_rubric)) == 1
        assert reader_rubrics.by_slug(tx, old) is None


def test_a_draft_knows_the_papers_that_it_was_drafted_from(readers: Store) -> None:
    with readers.begin() as tx:
        slug = reader_rubrics.create(tx, ANN, "one", NOW, limit=1, liked=["2", "1"])
        assert reader_rubrics.by_slug(tx, slug).liked == ("1", "2")
        assert reader_rubrics.create(tx, ANN, "two", NOW, limit=1, liked=["3"]) == slug
    save(readers, slug, "three")
    with readers.read() as tx:
        assert reader_rubrics.by_slug(tx, slug).liked == ("3",)
        assert stored_about(tx, ANN)["reader_rubric"][0]["liked"] == ["3"]
    create(readers)
    with readers.read() as tx:
        assert {one.liked for one in reader_rubrics.of_reader(tx, ANN)} == {("3",), ()}


def test_erasure_takes_what_the_model_wrote_for_the_reader_and_leaves_its_cost(
    readers: Store,
) -> None:
    paid_drafts(readers)
    with readers.begin() as tx:
        subscribers.erase(tx, ANN, LATER)
    assert raw_answers(readers) == [
        (trial_account(ANN), None, 200),
        (trial_account(BOB), b"answer", 200),
    ]


def test_erasure_and_deletion_take_answers_that_were_not_parsed_or_not_counted(
    readers: Store,
) -> None:
    """Their process was killed, or the provider gave no usage."""
    slug = create(readers)
    for account, usage in (
        (slug, Usage("m", 3, 1, input_nanos=200)),
        (trial_account(ANN), None),
        (trial_account(ANN), Usage("m", 3, 1, input_nanos=200)),
    ):
        with readers.begin() as tx:
            ledger.store_answer(tx, reserved(tx, account), b"answer", usage, NOW)
    with readers.begin() as tx:
        before = ledger.spent_of_month(tx, NOW)
        subscribers.erase(tx, ANN, LATER)
        assert ledger.spent_of_month(tx, NOW) == before == 900
        assert ledger.spent(tx, slug, NOW.date()) == 200
    assert {raw for _, raw, _ in raw_answers(readers)} == {None}


def test_no_draft_is_stored_for_a_reader_who_was_erased_meanwhile(readers: Store) -> None:
    with readers.begin() as tx:
        subscribers.erase(tx, ANN, LATER)
        with pytest.raises(reader_rubrics.ReaderErased):
            reader_rubrics.create(tx, ANN, "text", LATER, limit=2)
        assert tx.scalar(select(func.count()).select_from(reader_rubric_version)) == 0


def test_answers_for_drafts_are_deleted_with_old_drafts(readers: Store) -> None:
    paid_drafts(readers)
    for before, kept in ((NOW, b"answer"), (LATER, None)):
        with readers.begin() as tx:
            reader_rubrics.delete_old_drafts(tx, before)
        assert {(raw, cost) for _, raw, cost in raw_answers(readers)} == {(kept, 200)}


def paid_drafts(readers: Store) -> None:
    """One answer of a model for each reader."""
    for reader in (ANN, BOB):
        with readers.begin() as tx:
            call_id = reserved(tx, trial_account(reader))
            ledger.store_answer(tx, call_id, b"answer", Usage("m", 3, 1, input_nanos=200), NOW)
            ledger.mark_done(tx, call_id)


def reserved(tx: Connection, name: str) -> str:
    account = Account(name, name, "m/draft-1", NOW.date(), "here")
    call = ScoringCall(ScoringRequest(RUBRIC, ()), "m", {}, 500, NOW)
    return ledger.reserve(tx, account, call, Budget(1000), LATER)


def raw_answers(readers: Store) -> list[tuple[str, bytes | None, int]]:
    with readers.read() as tx:
        rows = tx.execute(select(calls.c.rubric, calls.c.raw, calls.c.cost_nanos))
        return sorted((tuple(row) for row in rows), key=str)
