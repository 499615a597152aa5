"""Under `serve` scores are bought in bulk when nobody waits for them yet."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import date

import pytest

from newsletter.store import digests
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.scoring import honest
from tests.jobs.test_scheduler import House

RUBRIC = """---
title: {name}
categories: [cs.LG]
---

## Criteria

Reader {name} asks.

1. Compression
   - Relevant: quantization and pruning.
"""
PENDING = 10_000
"""Looks until a batch has ended: never, in a test."""


@pytest.fixture
def fake():
    with FakeAnthropic(honest) as serving:
        yield serving


@pytest.fixture
def living(tmp_path, fake):
    """Makes a house in the same place each time: each is another life of one service."""
    rubrics = tmp_path / "rubrics"
    rubrics.mkdir()
    for name in ("ants", "bees", "cats"):
        (rubrics / f"{name}.md").write_text(RUBRIC.format(name=name), encoding="utf-8")
    lives = []

    def live(**more):
        lives.append(
            House(
                tmp_path,
                scorer="claude",
                rubrics_dir=rubrics,
                anthropic_api_key="sk-test",
                anthropic_base_url=fake.url,
                **more,
            )
        )
        return lives[-1]

    yield live
    for house in lives:
        house.app.store.close()


@contextmanager
def making(house, fake, batches):
    """The job that makes, in its thread, once that many batches are away; it is stopped after."""
    thread = threading.Thread(target=house.daily_scheduler.build)
    thread.start()
    deadline = time.monotonic() + 20
    while len(fake.batches.held) < batches and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield
    finally:
        house.app.stop.set()
        thread.join(20)
    assert not thread.is_alive()


def paid_once(fake) -> bool:
    return len(fake.papers_paid) == len(set(fake.papers_paid)) > 0


def test_six_hours_ahead_scores_are_bought_in_bulk(living, fake):
    house = living()
    house.join("ada@example.org", "ants", timezone="Europe/Berlin")
    house.join("bob@example.org", "ants", timezone="America/New_York")
    assert house.served("18T00:00") == []
    assert len(fake.batches.held) == 1
    assert fake.requests == []
    assert paid_once(fake)
    assert house.served("18T06:00") == ["a"]
    assert house.served("18T12:00") == ["a", "b"]


def test_one_hour_ahead_they_are_bought_now(living, fake):
    house = living()
    house.join("ada@example.org", "ants", timezone="Europe/Berlin")
    house.join("bob@example.org", "ants", timezone="America/New_York")
    assert house.served("18T05:00") == []
    assert fake.batches.held == {}
    assert paid_once(fake)
    assert house.served("18T06:00") == ["a"]


def test_who_wants_no_mail_that_day_hurries_nobody(living, fake):
    house = living()
    house.join("ada@example.org", "ants", days=("wed",), timezone="Europe/Berlin")
    house.join("bob@example.org", "ants", timezone="America/New_York")
    house.served("18T05:00")
    assert (len(fake.batches.held), fake.requests) == (1, [])


def test_two_rubrics_wait_together(living, fake):
    fake.batches.looks = PENDING
    house = living()
    house.join("ada@example.org", "ants")
    house.join("bob@example.org", "bees")
    with making(house, fake, batches=2):
        assert len(fake.batches.held) == 2


def test_from_three_rubrics_on_the_papers_are_shared_now(living, fake):
    house = living()
    for who, rubric in (("ada", "ants"), ("bob", "bees"), ("cho", "cats")):
        house.join(f"{who}@example.org", rubric)
    house.served("18T01:00")
    assert fake.batches.held == {}
    assert fake.requests


def test_a_restart_finds_the_batch_and_pays_nothing_again(living, fake):
    fake.batches.looks = PENDING
    first = living()
    first.join("ada@example.org", "ants")
    with making(first, fake, batches=1):
        pass
    assert fake.batches.held["msgbatch_1"].cancelled is False
    fake.batches.held["msgbatch_1"].looks = 1
    second = living()
    assert second.served("18T07:00") == ["a"]
    assert len(fake.batches.held) == 1
    assert fake.requests == []
    assert paid_once(fake)


def test_others_are_served_while_a_batch_is_away(living, fake):
    house = living()
    house.join("ada@example.org", "ants")
    assert house.served("18T01:00") == []
    house.join("bob@example.org", "bees", timezone="America/New_York")
    fake.batches.looks = PENDING
    house.at("18T06:55")
    with making(house, fake, batches=2):
        house.at("18T07:00")
        house.daily_scheduler.send_due()
        assert house.mailed() == ["a"]
        house.daily_scheduler.build()
        assert len(fake.batches.held) == 2


def test_trouble_of_scoring_is_met_again_only_after_a_rest(living, fake):
    house = living()
    house.join("ada@example.org", "ants")
    fake.fault(401, times=100)
    assert house.served("18T07:00") == []
    asked = len(fake.requests)
    assert house.served("18T07:14") == []
    assert len(fake.requests) == asked > 0
    fake.faults.clear()
    assert house.served("18T07:15") == ["a"]


def test_an_outage_before_the_hour_delays_the_digest_and_does_not_cut_it(living, fake):
    """The time by which scores are wanted ends no paper as unscored."""
    house = living()
    house.join("ada@example.org", "ants")
    fake.fault(401, times=100)
    house.served("18T06:50")
    fake.faults.clear()
    assert house.served("18T07:10") == ["a"]
    assert paid_once(fake)
    with house.app.store.read() as tx:
        [(digest_id, *_)] = digests.ids_since(tx, date(2025, 11, 1))
        coverage = digests.by_id(tx, digest_id).coverage
    assert coverage.scanned == coverage.announced > 0
