"""A hundred rubrics of readers beside twenty of the operator's, in one morning."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from newsletter.domain.model import Outcome
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.store import digests
from newsletter.store.reports.reader_rubrics import totals
from newsletter.store.tables import call
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.installation import Installation
from tests.fakes.reader_rubrics import add_reader, catalog_of, save_rubric, text
from tests.fakes.scoring import claude, month_total, sum_of_calls
from tests.fakes.simulated_service import TUESDAY, Service

if TYPE_CHECKING:
    from pathlib import Path

    from newsletter.store import Store

OPERATORS = [f"topic-{number}" for number in range(20)]
BUDGET = 0.0025
SPEED = 20
NANOS = 1_000_000_000
MANY = "cs.LG, cs.CL, astro-ph.GA, astro-ph.SR, quant-ph"


def scores_of(title: str, _abstract: str) -> dict[str, Any]:
    relevant = len(title) > 90
    return {"m": int(relevant), "c": "fits" * relevant, "r": 8 if relevant else 2, "n": 8, "x": 1}


class QuickStop(threading.Event):
    """Waits as long as the quick clock says."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(timeout and timeout / SPEED)


def wishes() -> list[str]:
    """Fifty are copies of the operator's with other cut-offs, thirty are ten texts, twenty differ
    and choose so many categories that their budget does not suffice.
    """
    copies = [text(name).replace("public: true", "relevance: 9") for name in OPERATORS]
    return [
        *(copies[number % 20] for number in range(50)),
        *(text(f"Shared {number % 10}") for number in range(30)),
        *(text(f"Single {number}", MANY) for number in range(20)),
    ]


def test_a_hundred_beside_twenty(store: Store, tmp_path: Path) -> None:
    catalog = catalog_of(store, tmp_path / "rubrics", *OPERATORS)
    for number, name in enumerate(OPERATORS):
        add_reader(store, 1000 + number, name)
    own = [
        save_rubric(store, add_reader(store, number // 2, OPERATORS[0]), markdown)
        if number % 2 == 0
        else save_rubric(store, f"{number // 2:032x}", markdown)
        for number, markdown in enumerate(wishes())
    ]
    service = Service(store, reader_rubrics=2, reader_rubric_budget_usd=BUDGET)
    with FakeAnthropic(scores_of) as fake:
        # Equal rubrics wait for each other's answers: this clock must go on, and quickly.
        began = time.monotonic()
        service.app = replace(
            service.app,
            rubrics=catalog,
            scorer=claude(fake),
            stop=QuickStop(),
            clock=lambda: service.now + timedelta(seconds=SPEED * (time.monotonic() - began)),
        )
        service.next_announcement()
        service.build_digests()
        bill = fake.bill_nanos
        asked = Counter(
            (criteria_of(seen.body), title)
            for seen in fake.answered
            for title in seen.titles.values()
        )
    with store.read() as tx:
        made = {slug: digests.load(tx, slug, TUESDAY) for slug in catalog}
        query = select(call.c.rubric, func.sum(call.c.cost_nanos)).group_by(call.c.rubric)
        spent = {slug: int(nanos) for slug, nanos in tx.execute(query)}
    assert len(catalog) == 120
    assert None not in made.values()
    assert max(asked.values()) == 1, "no paper is bought twice for one text"
    assert sum(spent.values()) == bill == sum_of_calls(store) == month_total(store)
    assert not [slug for slug in own[:50] if slug in spent], "copies of the operator's cost nothing"
    assert len([slug for slug in own[50:80] if slug in spent]) <= 3 * 10
    for slug, nanos in spent.items():
        assert nanos <= (BUDGET * NANOS if is_reader_rubric(slug) else 0.15 * NANOS)
    for slug in own[80:]:
        coverage = made[slug][1].coverage  # type: ignore[index]
        left = coverage.count(Outcome.UNSCORED_BUDGET)
        assert coverage.scanned + left == coverage.announced
        assert coverage.scanned >= 16
        assert left > 0
    for slug in (*OPERATORS, *own[:80]):
        coverage = made[slug][1].coverage  # type: ignore[index]
        assert coverage.scanned == coverage.announced
    _has_one_line(store, tmp_path, sum(spent.get(slug, 0) for slug in own))


def _has_one_line(store: Store, folder: Path, nanos: int) -> None:
    url = store.url.render_as_string(hide_password=False)
    service = Installation(folder, NEWSLETTER_DATABASE_URL=url, NEWSLETTER_READER_RUBRICS="2")
    now = datetime(TUESDAY.year, TUESDAY.month, TUESDAY.day, 12, tzinfo=UTC)
    with store.read() as tx:
        assert totals(tx, now).month_nanos == totals(tx, now).day_nanos == nanos
    facts = json.loads(service.newsletter("status", "--json").out)["reader_rubrics"]
    assert (facts["active"], facts["readers"]) == (100, 50)
    said = service.newsletter("status").out
    assert said.count("reader rubrics: ") == 1
    # The alert of the day, by the real clock, that arXiv was not polled: it names one of them.
    assert said.count("own-") == said.count("of them, the first own-") <= 1


def criteria_of(body: dict[str, Any]) -> str:
    """The title of the first criterion that a request names."""
    said = str(body)
    start = said.index("\\n1. ") + 5 if "\\n1. " in said else said.index("1. ") + 3
    return said[start : start + 12]
