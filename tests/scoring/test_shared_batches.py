"""Several rubrics in batches: they share the papers, whose cache is written before."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, insert, select, update

from newsletter.domain.model import Outcome
from newsletter.scorers.claude.scorer import ClaudeScorer
from newsletter.scoring.chunks import ASSUMED_HITS, FirstPassWay, cheapest_way
from newsletter.scoring.run import ScoringTarget, score_all
from newsletter.scoring.shared_pass import HITS_WINDOW, expected_hits
from newsletter.store import Store
from newsletter.store.ledger import CallState
from newsletter.store.papers import keep
from newsletter.store.tables import call, score
from tests.fakes.anthropic_rules import blocks
from tests.fakes.scoring import (
    MORNING,
    RUBRIC,
    claude,
    limits,
    papers,
    scores_in_abstract,
    settings,
    uncertain,
    wall_clock,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from newsletter.domain.model import Paper
    from newsletter.scoring.run import RubricScores, ScoringLimits
    from tests.fakes.anthropic import FakeAnthropic, Seen

RUBRICS = [replace(RUBRIC, slug=f"r{n:02d}", preface=f"Reader {n}.") for n in range(12)]
SCORER = ClaudeScorer(settings()).name
DAY = [replace(one, abstract=one.abstract + " More words." * 80) for one in papers(32)]


def in_batch(**more: Any) -> ScoringLimits:
    return limits(**({"mode": "batch", "batch_poll_seconds": 0.01} | more))


def scored(
    store: Store,
    fake: FakeAnthropic,
    some: ScoringLimits | None = None,
    *,
    days: Sequence[Sequence[Paper]] = (DAY,) * len(RUBRICS),
    clock: Callable[[], datetime] = wall_clock,
) -> list[RubricScores]:
    with store.begin() as tx:
        keep(tx, list({one.id: one for day in days for one in day}.values()))
    targets = [ScoringTarget(rubric, day) for rubric, day in zip(RUBRICS, days, strict=False)]
    given = some or in_batch()
    return score_all(store, claude(fake), MORNING.date(), targets, given, clock=clock)


def holds(fake: FakeAnthropic, results: Sequence[RubricScores]) -> None:
    """Every rubric has every score, each paper was paid once by each, and the bill is right."""
    for result in results:
        assert result.outcomes == {one.id: Outcome.SCORED for one in DAY}
        for given in DAY:
            wanted = scores_in_abstract(given.title, given.abstract)
            assert result.scores[given.id].relevance == wanted["r"]
    paid = Counter(fake.papers_paid)
    assert paid == {one.title: len(results) for one in DAY}
    assert sum(map(uncertain, results)) == 0
    booked = sum(usage.total_nanos for result in results for usage in result.usage)
    assert booked == fake.bill_nanos


def papers_first(seen: Seen) -> bool:
    content = seen.body["messages"][0]["content"]
    return bool(content[-1]["text"].startswith("<rubric>"))


def remember_hits(store: Store, hits: float, at: datetime) -> None:
    """A batch call with shared papers in the ledger, whose tokens show this share of hits."""
    usage = {"cache_read_tokens": round(8_000 * hits), "cache_write_tokens": 8_000}
    usage["cache_write_tokens"] -= usage["cache_read_tokens"]
    texts = ("id", "rubric", "fingerprint", "model", "request_hash", "owner", "batch_id")
    row: dict[str, Any] = dict.fromkeys(texts, f"{at:%m%d}")
    row |= {"scorer": SCORER, "state": "done", "reading": 1, "upper_nanos": 0}
    row |= {"date": at.date(), "papers": {}, "usage": {"model": "m", **usage}}
    with store.begin() as tx:
        tx.execute(insert(call).values(**row, lease_until=at, started_at=at))


def test_papers_are_shared_in_batches_whose_cache_is_written_before(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.batches.hits = 1.0
    results = scored(store, fake)
    holds(fake, results)
    assert len(fake.requests) == 2, "one direct call a chunk"
    assert all(papers_first(seen) for seen in fake.answered)
    marks = [one["cache_control"] for seen in fake.answered for one in blocks(seen.body)[1:2]]
    assert marks == [{"type": "ephemeral", "ttl": "1h"}] * 24
    written = fake.till.kinds["cache_creation_input_tokens"]
    assert fake.till.kinds["cache_read_input_tokens"] == 11 * written > 0
    writers = [result for result in results if result.usage[0].cache_write_tokens]
    assert len(writers) == 2, "the rubrics take turns"


def test_with_few_rubrics_each_has_its_own_batch(store: Store, fake: FakeAnthropic) -> None:
    results = scored(store, fake, days=(DAY,) * 5)
    holds(fake, results)
    assert fake.requests == []
    assert not any(papers_first(seen) for seen in fake.answered)


def test_where_batches_missed_the_cache_auto_asks_directly_and_batches_the_second_pass(
    store: Store, fake: FakeAnthropic
) -> None:
    remember_hits(store, 0.4, wall_clock() - timedelta(days=2))
    auto = in_batch(mode="auto", wanted_by=wall_clock() + timedelta(hours=9))
    holds(fake, scored(store, fake, auto))
    assert len(fake.requests) == 24
    assert fake.batches.held == {}
    assert "'ttl'" not in str([seen.body for seen in fake.requests])


def test_mode_batch_asks_nothing_directly_where_batches_missed_the_cache(
    store: Store, fake: FakeAnthropic
) -> None:
    remember_hits(store, 0.4, wall_clock() - timedelta(days=2))
    holds(fake, scored(store, fake))
    assert fake.requests == []


def test_hits_are_those_of_the_last_two_weeks(store: Store) -> None:
    now = wall_clock()
    remember_hits(store, 0.1, now - HITS_WINDOW - timedelta(days=1))
    assert expected_hits(store, SCORER, now) == ASSUMED_HITS
    remember_hits(store, 0.5, now - timedelta(days=1))
    remember_hits(store, 0.75, now - timedelta(days=3))
    assert expected_hits(store, SCORER, now) == 0.625
    assert expected_hits(store, "another/1", now) == ASSUMED_HITS


def test_killed_between_two_batches_nothing_is_bought_twice(
    store: Store, fake: FakeAnthropic
) -> None:
    """By SIGKILL, after the batches of a third of the rubrics were taken."""
    killed = threading.Event()
    fake.batches.after_submission = lambda: len(fake.batches.held) == 4 and killed.wait(240)
    url = store.url.render_as_string(hide_password=False)
    pid = os.fork()
    if not pid:
        try:
            scored(Store(url), fake)
        finally:
            os._exit(1)
    while len(fake.batches.held) < 4:
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    killed.set()
    holds(fake, scored(store, fake))
    assert len(fake.batches.held) == len(RUBRICS)


def test_killed_after_the_first_direct_call_nothing_is_bought_twice(
    store: Store, fake: FakeAnthropic
) -> None:
    """By SIGKILL, while the second direct call has not been sent."""
    url = store.url.render_as_string(hide_password=False)
    pid = os.fork()
    if not pid:
        try:
            own = Store(url)
            scored(own, fake, in_batch(concurrency=1), clock=dying_clock(own))
        finally:
            os._exit(1)
    os.waitpid(pid, 0)
    assert len(fake.answered) == 1
    holds(fake, scored(store, fake))


def dying_clock(store: Store) -> Callable[[], datetime]:
    """Kills the process that asks for the time once the scores of a call are stored."""
    done = select(call.c.id).where(call.c.state == CallState.DONE)

    def clock() -> datetime:
        with store.read() as tx:
            if tx.scalars(done).first():
                os.kill(os.getpid(), signal.SIGKILL)
        return wall_clock()

    return clock


def test_a_shared_call_about_papers_of_other_rubrics_is_collected(
    store: Store, fake: FakeAnthropic
) -> None:
    """Half of a chunk is the last rubric's own. Red before: its batch was never read."""
    days = [*[DAY[:16]] * 11, DAY[:10]]
    results = scored(store, fake, days=days)
    assert [set(one.outcomes.values()) for one in results] == [{Outcome.SCORED}] * 12
    assert set(results[-1].scores) == {one.id for one in DAY[:10]}
    assert len(fake.requests) == 1
    assert sum(map(uncertain, results)) == 0


def test_an_answer_about_papers_of_other_rubrics_is_parsed_after_a_kill(
    store: Store, fake: FakeAnthropic
) -> None:
    """Stored raw, not parsed: it was bought again, because one paper was not the rubric's."""
    scorer, own = claude(fake), papers(15)
    with store.begin() as tx:
        keep(tx, papers(16))
    ask = partial(score_all, store, scorer, MORNING.date(), limits=limits(), clock=wall_clock)
    ask([ScoringTarget(RUBRIC, papers(16))])
    with store.begin() as tx:
        tx.execute(delete(score))
        tx.execute(update(call).values(state="answered"))
    [again] = ask([ScoringTarget(RUBRIC, own)])
    assert set(again.outcomes.values()) == {Outcome.SCORED}
    assert len(fake.requests) == 1


def test_batches_that_never_end_are_all_cancelled_at_once(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.batches.looks, fake.batches.spoil = 10_000, "canceled"
    began = wall_clock()

    def clock() -> datetime:
        late = len(fake.batches.held) == 3 and fake.batches.looked > 2
        return wall_clock() + timedelta(hours=8 if late else 0)

    auto = in_batch(mode="auto", wanted_by=began + timedelta(hours=8), batch_poll_seconds=0.2)
    results = scored(store, fake, auto, days=(DAY,) * 3, clock=clock)
    assert [set(one.outcomes.values()) for one in results] == [{Outcome.SCORED}] * 3
    assert all(one.cancelled for one in fake.batches.held.values())
    assert fake.batches.looked <= 3 + 2 * 3


@pytest.mark.parametrize(
    ("rubrics", "hits", "direct", "way"),
    [
        (1, 0.98, True, FirstPassWay.BATCH),
        (3, 0.98, True, FirstPassWay.BATCH),
        (10, 0.98, True, FirstPassWay.WARMED_BATCH),
        (10, 0.75, True, FirstPassWay.BATCH),
        (10, 0.5, True, FirstPassWay.DIRECT),
        (10, 0.5, False, FirstPassWay.BATCH),
        (100, 0.9, True, FirstPassWay.WARMED_BATCH),
        (100, 0.6, True, FirstPassWay.DIRECT),
        (100, 0.6, False, FirstPassWay.WARMED_BATCH),
        (100, 0.3, False, FirstPassWay.BATCH),
    ],
)
def test_the_cheapest_way_of_a_first_pass(
    rubrics: int,
    hits: float,
    direct: bool,  # noqa: FBT001 - a parameter of the test
    way: FirstPassWay,
) -> None:
    assert cheapest_way(16, rubrics, hits, direct=direct) is way


def test_one_paper_alone_is_not_shared() -> None:
    assert cheapest_way(1, 100, 0.98, direct=True) is FirstPassWay.BATCH
