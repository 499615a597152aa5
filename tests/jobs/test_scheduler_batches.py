"""Under `serve` scores are bought in bulk when nobody waits for them yet."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import date
from string import ascii_lowercase

import pytest

from newsletter.store import digests
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.scoring import scores_in_abstract
from tests.jobs.test_scheduler import ScheduledService

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
    with FakeAnthropic(scores_in_abstract) as serving:
        yield serving


@pytest.fixture
def service_in_same_folder(tmp_path, fake):
    """Makes a service in the same folder each time, as after a restart."""
    rubrics = tmp_path / "rubrics"
    rubrics.mkdir()
    for name in ("ants", "bees", "cats"):
        (rubrics / f"{name}.md").write_text(RUBRIC.format(name=name), encoding="utf-8")
    services = []

    def make(**more):
        services.append(
            ScheduledService(
                tmp_path,
                scorer="claude",
                rubrics_dir=rubrics,
                anthropic_api_key="sk-test",
                anthropic_base_url=fake.url,
                **more,
            )
        )
        return services[-1]

    yield make
    for service in services:
        service.app.store.close()


@contextmanager
def making(service, fake, submitted):
    """The job that makes, in its thread, once that many batches are away; it is stopped after."""
    thread = threading.Thread(target=service.daily_scheduler.build)
    thread.start()
    deadline = time.monotonic() + 240
    while len(fake.batches.held) < submitted and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield
    finally:
        service.app.stop.set()
        thread.join(240)
    assert not thread.is_alive()


def paid_once(fake) -> bool:
    return len(fake.papers_paid) == len(set(fake.papers_paid)) > 0


def test_six_hours_ahead_scores_are_bought_in_bulk(service_in_same_folder, fake):
    service = service_in_same_folder()
    service.join("ada@example.org", "ants", timezone="Europe/Berlin")
    service.join("bob@example.org", "ants", timezone="America/New_York")
    assert service.served("18T00:00") == []
    assert len(fake.batches.held) == 1
    assert fake.requests == []
    assert paid_once(fake)
    assert service.served("18T06:00") == ["a"]
    assert service.served("18T12:00") == ["a", "b"]


def test_one_hour_ahead_they_are_bought_now(service_in_same_folder, fake):
    service = service_in_same_folder()
    service.join("ada@example.org", "ants", timezone="Europe/Berlin")
    service.join("bob@example.org", "ants", timezone="America/New_York")
    assert service.served("18T05:00") == []
    assert fake.batches.held == {}
    assert paid_once(fake)
    assert service.served("18T06:00") == ["a"]


def test_who_wants_no_mail_that_day_hurries_nobody(service_in_same_folder, fake):
    service = service_in_same_folder()
    service.join("ada@example.org", "ants", days=("wed",), timezone="Europe/Berlin")
    service.join("bob@example.org", "ants", timezone="America/New_York")
    service.served("18T05:00")
    assert (len(fake.batches.held), fake.requests) == (1, [])


def test_three_rubrics_wait_together(service_in_same_folder, fake):
    fake.batches.looks = PENDING
    service = service_in_same_folder()
    for who, rubric in (("ada", "ants"), ("bob", "bees"), ("cho", "cats")):
        service.join(f"{who}@example.org", rubric)
    with making(service, fake, submitted=3):
        assert len(fake.batches.held) == 3


@pytest.mark.parametrize(("rubrics", "held"), [(22, 22), (25, 0)])
def test_two_hours_ahead_as_many_rubrics_wait_as_could_be_scored_directly_after_that(
    service_in_same_folder, fake, tmp_path, rubrics, held
):
    """A hundred minutes for two batches leave twenty: 25 rubrics would take 22."""
    service = service_in_same_folder()
    for number in range(rubrics):
        text = RUBRIC.format(name=f"reader {number}")
        (tmp_path / "rubrics" / f"r{number}.md").write_text(text, encoding="utf-8")
    service.app.rubrics.reread()
    for number in range(rubrics):
        address = f"{ascii_lowercase[number]}@example.org"
        service.join(address, f"r{number}", timezone="Europe/Berlin")
    service.served("18T04:00")
    assert len(fake.batches.held) == held
    assert fake.requests


def test_a_restart_finds_the_batch_and_pays_nothing_again(service_in_same_folder, fake):
    fake.batches.looks = PENDING
    first = service_in_same_folder()
    first.join("ada@example.org", "ants")
    with making(first, fake, submitted=1):
        pass
    assert fake.batches.held["msgbatch_1"].cancelled is False
    fake.batches.held["msgbatch_1"].looks = 1
    second = service_in_same_folder()
    assert second.served("18T07:00") == ["a"]
    assert len(fake.batches.held) == 1
    assert fake.requests == []
    assert paid_once(fake)


def test_others_are_served_while_a_batch_is_away(service_in_same_folder, fake):
    service = service_in_same_folder()
    service.join("ada@example.org", "ants")
    assert service.served("18T01:00") == []
    service.join("bob@example.org", "bees", timezone="America/New_York")
    fake.batches.looks = PENDING
    service.at("18T06:55")
    with making(service, fake, submitted=2):
        service.at("18T07:00")
        service.daily_scheduler.send_due()
        assert service.mailed() == ["a"]
        service.daily_scheduler.build()
        assert len(fake.batches.held) == 2


def test_trouble_of_scoring_is_met_again_only_after_a_rest(service_in_same_folder, fake):
    service = service_in_same_folder()
    service.join("ada@example.org", "ants")
    fake.fault(401, times=100)
    assert service.served("18T07:00") == []
    asked = len(fake.requests)
    assert service.served("18T07:14") == []
    assert len(fake.requests) == asked > 0
    fake.faults.clear()
    assert service.served("18T07:15") == ["a"]


def test_an_outage_before_the_hour_delays_the_digest_and_does_not_cut_it(
    service_in_same_folder, fake
):
    """The time by which scores are wanted ends no paper as unscored."""
    service = service_in_same_folder()
    service.join("ada@example.org", "ants")
    fake.fault(401, times=100)
    service.served("18T06:50")
    fake.faults.clear()
    assert service.served("18T07:10") == ["a"]
    assert paid_once(fake)
    with service.app.store.read() as tx:
        [(digest_id, *_)] = digests.ids_since(tx, date(2025, 11, 1))
        coverage = digests.by_id(tx, digest_id).coverage
    assert coverage.scanned == coverage.announced > 0
