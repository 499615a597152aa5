"""The operator's way back: from unsubscribed and bounced, never from complained or erased."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.bounce_codes import IN_A_ROW, SPAN
from newsletter.domain.mail import EventKind
from newsletter.store import (
    Store,
    events,
    restore_subscriber,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter.store.events import Event
from newsletter.store.suppressions import Reason
from tests.fakes.installation import Installation, sendgrid_environment
from tests.fakes.mail import START, reader
from tests.fakes.sendgrid_lists import FakeLists

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.installation import CommandResult

RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
ADA = "ada@example.org"
NOW = datetime.now(UTC)


@pytest.fixture
def fake() -> Iterator[FakeLists]:
    with FakeLists() as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path, store_url: str, fake: FakeLists) -> Installation:
    made = Installation(
        tmp_path, NEWSLETTER_DATABASE_URL=store_url, **sendgrid_environment(fake.url)
    )
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    made.create_database()
    made.subscribe(f"{ADA},one,Asia/Tokyo", header="email,rubric,timezone")
    return made


def ending(installation: Installation, kind: EventKind) -> None:
    """What an event of that kind leaves behind."""
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.begin() as tx:
        events.apply(tx, [Event(kind, ADA, NOW)], NOW)
    store.close()


def restore(
    installation: Installation, address: str = ADA, consent: str = "wrote on Monday"
) -> CommandResult:
    return installation.newsletter("subscribers", "restore", address, "--consent", consent)


def ada(installation: Installation) -> dict[str, object]:
    [one] = json.loads(installation.newsletter("subscribers", "list", "--json").out)
    assert isinstance(one, dict)
    return one


@pytest.mark.parametrize("kind", [EventKind.UNSUBSCRIBE, EventKind.HARD_BOUNCE])
def test_who_left_or_bounced_is_brought_back_here_and_at_the_provider(
    installation: Installation, fake: FakeLists, kind: EventKind
):
    ending(installation, kind)
    for name in ("unsubscribes", "bounces", "blocks", "invalid_emails", "spam_reports"):
        fake.put(name, ADA)
        fake.put(name, "other@example.org")
    done = restore(installation, "Ada@Example.org")
    assert (done.status, done.out) == (0, f"{ADA}: active again, with 'one'\n"), done.err
    one = ada(installation)
    assert (one["state"], one["consent"], one["timezone"]) == (
        "active",
        "wrote on Monday",
        "Asia/Tokyo",
    )
    for name in ("unsubscribes", "bounces", "blocks", "invalid_emails"):
        assert fake.emails(name) == ["other@example.org"]
    assert fake.emails("spam_reports") == [ADA, "other@example.org"]
    again = restore(installation)
    assert (again.status, "is active: no change" in again.out) == (0, True)


def test_nobody_is_brought_back_who_complained(installation: Installation, fake: FakeLists):
    ending(installation, EventKind.UNSUBSCRIBE)
    ending(installation, EventKind.COMPLAINT)
    done = restore(installation)
    assert (done.status, ada(installation)["state"]) == (1, "complained")
    assert "reported a digest as unwanted" in done.err
    assert fake.changes == []


@pytest.mark.parametrize("later", [(), (EventKind.HARD_BOUNCE,)])
def test_nobody_is_brought_back_who_was_erased(installation: Installation, fake: FakeLists, later):
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.begin() as tx:
        known = subscriptions.find(tx, ADA)
        assert known
        subscribers.erase(tx, known.id, NOW)
    store.close()
    for kind in later:
        ending(installation, kind)
    done = restore(installation)
    assert (done.status, "asked to be forgotten" in done.err) == (1, True)
    assert fake.changes == []


def test_a_provider_that_refuses_keeps_everything_as_it_is(
    installation: Installation, fake: FakeLists
):
    ending(installation, EventKind.UNSUBSCRIBE)
    fake.faults["remove"] = 403
    done = restore(installation)
    assert (done.status, ada(installation)["state"]) == (1, "unsubscribed")
    assert "permission Suppressions" in done.err


def test_an_address_that_is_only_suppressed_may_be_added_again(installation: Installation):
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.begin() as tx:
        suppressions.suppress(tx, "bo@example.org", Reason.UNSUBSCRIBED, "the provider's list", NOW)
    store.close()
    add = ["subscribers", "add", "bo@example.org", "--rubric", "one", "--consent", "x"]
    assert ": suppressed" in installation.newsletter(*add).out
    assert "may be mailed again" in restore(installation, "bo@example.org").out
    assert ": added" in installation.newsletter(*add).out


def test_words_that_are_missing_or_wrong(installation: Installation):
    assert installation.newsletter("subscribers", "restore", ADA).status == 2
    assert restore(installation, consent=" ").status == 2
    assert restore(installation, "nonsense").status == 2
    nobody = restore(installation, "nobody@example.org")
    assert (nobody.status, "is no subscriber" in nobody.err) == (1, True)


def test_soft_bounces_of_before_count_no_more(store: Store):
    person = reader()
    told = [
        Event(EventKind.SOFT_BOUNCE, person.email, START + number * SPAN)
        for number in range(IN_A_ROW)
    ]
    restored = told[-1].at + timedelta(days=1)
    with store.begin() as tx:
        subscriptions.insert_new(tx, person, START)
        events.apply(tx, told, told[-1].at)
        assert subscribers.count_states(tx).keys() == {"bounced"}
        assert restore_subscriber.restore(tx, person.email, (), "asked", restored)
        later = restored + timedelta(hours=1)
        events.apply(tx, [Event(EventKind.SOFT_BOUNCE, person.email, later)], later)
        assert subscribers.count_states(tx).keys() == {"active"}
