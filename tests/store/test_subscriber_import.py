"""Many subscribers at once end as they would one by one, and a rehearsal counts as the act."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from newsletter.domain.mail import SubscriberState
from newsletter.domain.subscriber_csv import SubscriberRow
from newsletter.store import subscriber_import, subscriptions, suppressions
from newsletter.store.subscribers import SubscriberChange
from newsletter.store.suppressions import Reason
from tests.fakes.installation import Installation
from tests.fakes.mail import RUBRIC as READS
from tests.fakes.mail import START, reader

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from newsletter.domain.mail import Subscription
    from newsletter.store import Store

LATER = START + timedelta(days=1)
RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"


def known_before(tx: Connection) -> None:
    """Some of every state a file may meet."""
    for number, state in enumerate(SubscriberState):
        subscriptions.insert_new(tx, reader(number, state=state), START)
    gone = reader(20)
    subscriptions.insert_new(tx, gone, START)
    subscriptions.leave(tx, gone.id, "reply", START)
    suppressions.suppress(tx, "reader21@example.org", Reason.COMPLAINED, "event", START)


def row(number: int, **changes: Any) -> SubscriberRow:
    said = {"line": number, "email": f"reader{number}@example.org", "rubric": READS}
    return SubscriberRow(**{**said, **changes})


def given() -> list[SubscriberRow]:
    rows = [row(number, name=f"Reader {number}") for number in range(1_030)]
    rows += [
        row(1_031, email="READER7@example.org.", name="Reader 7"),
        row(1_029, name="Ada"),
        row(1_029, email="Reader1029@EXAMPLE.org", name="Bo"),
        row(20, email="Reader20@example.org"),
    ]
    return rows


def stored(tx: Connection) -> list[Subscription]:
    return [
        replace(one, since=None, id="", subscriber_id="")
        for one in subscriptions.all_subscriptions(tx)
    ]


def test_20_many_at_once_end_as_one_by_one(store: Store):
    with store.begin() as tx:
        known_before(tx)
        trial = tx.begin_nested()
        one_by_one = Counter[SubscriberChange]()
        for one in given():
            one_by_one += subscriber_import.save_all(tx, [one], "asked", LATER).counts
        expected = stored(tx)
        trial.rollback()
        at_once = subscriber_import.save_all(tx, given(), "asked", LATER).counts
        assert stored(tx) == expected
    assert +at_once == one_by_one
    assert min(at_once[change] for change in SubscriberChange) > 0
    assert at_once.total() == len(given())


def test_20_a_thousand_rows_are_a_few_statements(store: Store):
    asked: list[str] = []
    listen = (store.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    event.listen(*listen)
    try:
        with store.begin() as tx:
            subscriber_import.save_all(tx, [row(number) for number in range(1_000)], "asked", START)
    finally:
        event.remove(*listen)
    assert len(asked) < 20


@pytest.fixture
def installation(tmp_path: Path, store_url: str) -> Installation:
    made = Installation(tmp_path, NEWSLETTER_DATABASE_URL=store_url)
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    made.create_database()
    return made


def test_20_a_dry_run_counts_as_the_import_does(installation: Installation):
    installation.subscribe(
        "ada@example.org,one,", "bo@example.org,one,", header="email,rubric,name"
    )
    assert installation.newsletter("subscribers", "remove", "bo@example.org", "--yes").status == 0
    rows = ["email,rubric,name", "Ada@example.org,one,Ada", "bo@example.org,one,", "cy@x,one,"]
    rows += [f"reader{number}@example.org,one," for number in range(20)]
    (installation.folder / "more.csv").write_text("\n".join(rows), encoding="utf-8")
    words = ["subscribers", "import", "more.csv", "--skip-bad", "--consent", "asked"]
    rehearsed = installation.newsletter(*words, "--dry-run")
    before = installation.newsletter("subscribers", "list", "--json").out
    real = installation.newsletter(*words)
    assert (rehearsed.status, real.status) == (0, 0), rehearsed.err + real.err
    counts = "20 added, 1 updated, 0 unchanged, 1 suppressed"
    assert rehearsed.out.startswith(f"{counts} (dry run: nothing was saved)")
    assert real.out.startswith(f"{counts}\n")
    assert before.count('"email"') == 2
    assert rehearsed.err == real.err
    assert "cy@x" in real.err
