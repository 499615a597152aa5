"""Kill -9 while a reader's rubric is saved, and while it is scored."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select

from newsletter.domain.mail import SubscriberState
from newsletter.domain.reader_rubrics import VersionState
from newsletter.store import Store, digests, reader_rubrics, subscriptions
from newsletter.store.tables import call
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.reader_rubrics import WRITTEN, add_reader, catalog_of, save_rubric, text
from tests.fakes.scoring import claude, month_total, sum_of_calls
from tests.fakes.simulated_service import TUESDAY, Service
from tests.simulations.crash import ForkServer
from tests.simulations.kill_point import KillPoint, KillPointStore

READER = f"{1:032x}"
KILLED = -9
STEPS = [(step, times) for step in ("before a commit", "after a commit") for times in (1, 2, 3)]
SPEED = 20
OWN = ("Galaxies", "Quasars", "Comets")


def save(order: dict[str, Any]) -> None:
    """Write, submit and confirm as the pages do, each in a transaction of its own."""
    store = KillPointStore(order["database"], KillPoint(order["step"], order["times"]))
    with store.begin() as tx:
        saved = [one for one in reader_rubrics.of_reader(tx, READER) if one.active_version]
        slug = (
            saved[0].slug if saved else reader_rubrics.create(tx, READER, text(), WRITTEN, limit=1)
        )
    with store.begin() as tx:
        version = reader_rubrics.submit(tx, slug, WRITTEN)
    with store.begin() as tx:
        reader_rubrics.confirm(tx, slug, version or 1, WRITTEN)


def half_done(store: Store) -> list[str]:
    """What is stored of a rubric that is neither a draft nor active with all that belongs to it."""
    with store.read() as tx:
        mine = reader_rubrics.of_reader(tx, READER)
        states = [one.state for one in mine for one in reader_rubrics.versions(tx, one.slug)]
        read = [one.rubric for one in subscriptions.of_subscriber(tx, READER)]
        texts = reader_rubrics.load_active(tx)
        changes = reader_rubrics.change_number(tx)
    active = [one for one in mine if one.active_version]
    facts = {
        "rubrics": len(mine) <= 1,
        "versions": Counter(states)[VersionState.ACTIVE] == len(active),
        "subscription": sorted(read) == sorted(["models", *(one.slug for one in active)]),
        "text": [slug for slug, _ in texts] == [one.slug for one in active],
        "changes": changes == len(active),
    }
    return [name for name, holds in facts.items() if not holds]


@pytest.mark.parametrize(("step", "times"), STEPS)
def test_a_save_that_is_killed_is_whole_or_not_there_and_repeated_once(
    store_url: str, step: str, times: int
) -> None:
    store = Store(store_url)
    store.migrate()
    add_reader(store, 1)
    store.close()
    server = ForkServer(save)
    order = {"database": store_url, "step": step, "times": times}
    assert server.wait(server.begin(order)) == KILLED
    assert half_done(store) == []
    for _ in range(2):
        assert server.wait(server.begin(order | {"step": ""})) == 0
    server.close()
    assert half_done(store) == []
    with store.read() as tx:
        [one] = reader_rubrics.of_reader(tx, READER)
        states = [version.state for version in reader_rubrics.versions(tx, one.slug)]
        # A text that waited for its link when its process was killed was written again.
        assert states in (["active"], ["active", "old"])
        own = [sub for sub in subscriptions.of_subscriber(tx, READER) if sub.rubric == one.slug]
        assert [sub.state for sub in own] == [SubscriberState.ACTIVE]
    store.close()


def scores_of(title: str, _abstract: str) -> dict[str, Any]:
    relevant = int(len(title) > 90)
    return {"m": relevant, "c": "fits" * relevant, "r": 8 if relevant else 2, "n": 8, "x": 1}


def build(order: dict[str, Any]) -> None:
    """A morning's build in a child of the fork server; the model's stand-in is in the parent."""
    store = KillPointStore(order["database"], KillPoint("after a commit", order["times"]))
    service = Service(store, reader_rubrics=3, monthly_budget_usd=1)
    stand_in: Any = SimpleNamespace(url=order["url"])
    began = time.monotonic()
    service.app = replace(
        service.app,
        rubrics=catalog_of(store, Path(order["folder"])),
        scorer=claude(stand_in),
        clock=lambda: service.now + timedelta(seconds=SPEED * (time.monotonic() - began)),
    )
    service.next_announcement()
    service.build_digests()


def test_a_run_that_is_killed_again_and_again_pays_and_makes_all_once(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'newsletter.db'}"
    store = Store(database)
    store.migrate()
    catalog_of(store, tmp_path / "rubrics", "Models")
    reader = add_reader(store, 1)
    slugs = [save_rubric(store, reader, text(title)) for title in OWN]
    slugs.append(save_rubric(store, reader, text(OWN[0])))
    store.close()
    server = ForkServer(build, ("anthropic", "httpx2"))
    with FakeAnthropic(scores_of) as fake:
        order = {"database": database, "url": fake.url, "folder": str(tmp_path / "rubrics")}
        kills = 0
        for times in (4, 9, 14, 22, 30, 41, 1000):
            kills += server.wait(server.begin(order | {"times": times})) == KILLED
        server.close()
        paid = Counter(
            (rubric_of(seen.body), title)
            for seen in fake.answered
            for title in seen.titles.values()
        )
        bill = fake.bill_nanos
    assert kills >= 3
    with store.read() as tx:
        assert digests.rubrics_with_digest(tx, TUESDAY) == {"models", *slugs}
        stored = [digests.load(tx, slug, TUESDAY) for slug in ("models", *slugs)]
        lost = tx.scalar(select(func.count()).where(call.c.state == "lost")) or 0
        spent = tx.scalar(select(func.sum(call.c.cost_nanos))) or 0
    for found in stored:
        assert found is not None
        assert found[1].coverage.scanned == found[1].coverage.announced
    again = sum(number - 1 for number in paid.values())
    assert again <= 16 * lost, "only what was in flight at a kill is asked about again"
    assert spent <= bill <= month_total(store)
    assert month_total(store) == sum_of_calls(store)
    assert {title for title, _ in paid} == {"Models", *OWN}
    store.close()


def rubric_of(body: dict[str, Any]) -> str:
    [title] = {name for name in ("Models", *OWN) if f"1. {name}" in str(body)}
    return title
