"""The Batch API: half the price, across restarts, and what it leaves open goes the ordinary way."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from newsletter.domain.model import Outcome
from newsletter.errors import Stopped
from newsletter.scorers import CallFailure, ScorerError
from newsletter.scoring import batches
from newsletter.scoring.run import ScoringFailed, ScoringTarget, score_all
from newsletter.store import Store
from newsletter.store.ledger import SUBMITTING
from newsletter.store.papers import keep
from tests.fakes.anthropic_rules import blocks
from tests.fakes.scoring import (
    MORNING,
    RUBRIC,
    billed,
    claude,
    limits,
    papers,
    scored,
    scores_in_abstract,
    uncertain,
    wall_clock,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from newsletter.scoring.run import RubricScores, ScoringLimits
    from tests.fakes.anthropic import FakeAnthropic

COUNT = 37
DAY = papers(COUNT)


def in_batch(**more: Any) -> ScoringLimits:
    return limits(**({"mode": "batch", "batch_poll_seconds": 0.01} | more))


def holds(fake: FakeAnthropic, result: RubricScores, bill: int | None = None) -> None:
    assert result.outcomes == {p.id: Outcome.SCORED for p in DAY}
    for given in DAY:
        wanted = scores_in_abstract(given.title, given.abstract)
        assert result.scores[given.id].relevance == wanted["r"]
    assert uncertain(result) == 0
    assert billed(result) == (fake.bill_nanos if bill is None else bill)


def test_a_day_in_bulk_costs_half(store: Store, fake: FakeAnthropic) -> None:
    result = scored(store, claude(fake), DAY, in_batch())
    holds(fake, result)
    assert fake.requests == []
    assert len(fake.batches.held) == 1
    assert len(fake.papers_paid) == COUNT
    tokens = result.usage[0]
    full = (
        tokens.input_tokens * 100
        + tokens.cache_write_tokens * 200
        + tokens.cache_read_tokens * 10
        + tokens.output_tokens * 500
    )
    assert abs(2 * billed(result) - full) <= 4


def test_the_second_opinion_goes_in_bulk_too(store: Store, fake: FakeAnthropic) -> None:
    holds(fake, scored(store, claude(fake, second_opinion=True), DAY, in_batch()))
    assert len(fake.batches.held) == 2
    assert fake.requests == []


def test_it_is_waited_for(store: Store, fake: FakeAnthropic) -> None:
    fake.batches.looks = 5
    holds(fake, scored(store, claude(fake), DAY, in_batch()))


@pytest.mark.parametrize("spoilt", ["errored", "expired", "canceled"])
def test_what_a_batch_leaves_open_goes_the_ordinary_way(
    store: Store, fake: FakeAnthropic, spoilt: str
) -> None:
    fake.batches.spoil = spoilt
    holds(fake, scored(store, claude(fake), DAY, in_batch()))
    assert len(fake.requests) == 1
    assert len(fake.papers_paid) == COUNT


@pytest.mark.parametrize("status", [429, 500, 529])
def test_a_busy_service_at_submission_means_the_ordinary_way(
    store: Store, fake: FakeAnthropic, status: int
) -> None:
    fake.batches.statuses = [status]
    holds(fake, scored(store, claude(fake), DAY, in_batch()))
    assert fake.batches.held == {}
    assert len(fake.papers_paid) == COUNT


@pytest.mark.parametrize("status", [401, 402])
def test_a_fatal_answer_at_submission_stops(store: Store, fake: FakeAnthropic, status: int) -> None:
    fake.batches.statuses = [status]
    with pytest.raises(ScoringFailed, match=str(status)):
        scored(store, claude(fake), DAY, in_batch())
    assert fake.requests == []
    assert scored(store, claude(fake), DAY, limits()).usage != ()


def test_errors_while_polling_a_batch_are_waited_out(store: Store, fake: FakeAnthropic) -> None:
    fake.batches.trouble_while_looking = [500, 529]
    holds(fake, scored(store, claude(fake), DAY, in_batch()))
    assert fake.requests == []


def test_results_that_fail_to_download_are_asked_for_again(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.batches.trouble_with_results = [500, 529, 500]
    holds(fake, scored(store, claude(fake), DAY, in_batch()))
    assert fake.batches.trouble_with_results == []
    assert fake.requests == []
    assert len(fake.papers_paid) == COUNT


def test_a_dead_life_s_batch_is_collected_and_not_paid_again(
    store: Store, fake: FakeAnthropic
) -> None:
    """The process ends while the batch is away: the next one takes the answers."""
    fake.batches.looks = 10_000
    with pytest.raises(KilledError):
        scored(store, claude(fake), DAY, in_batch(), clock=dying_clock(looks=40))
    fake.batches.held["msgbatch_1"].looks = 1
    result = scored(store, claude(fake), DAY, in_batch())
    holds(fake, result)
    assert len(fake.batches.held) == 1
    assert len(fake.papers_paid) == COUNT


def test_a_batch_whose_name_was_never_learnt_is_found(store: Store, fake: FakeAnthropic) -> None:
    """The process ended between handing over and the reply: rows say SUBMITTING."""
    fake.batches.forget_reply = True
    result = scored(store, claude(fake), DAY, in_batch())
    holds(fake, result)
    assert len(fake.batches.held) == 1
    assert len(fake.papers_paid) == COUNT
    assert SUBMITTING not in fake.batches.held


def test_a_batch_that_never_ends_is_cancelled_before_the_deadline(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.batches.looks = 10_000
    hour = timedelta(hours=1)
    soon = wall_clock() + batches.CANCEL_BEFORE + hour

    def clock() -> datetime:
        return wall_clock() + hour * bool(fake.batches.looked)

    result = scored(store, claude(fake), DAY, in_batch(deadline=soon), clock=clock)
    holds(fake, result)
    assert fake.batches.held["msgbatch_1"].cancelled


def test_auto_gives_a_batch_up_before_the_scores_are_wanted_and_reads_all_of_it(
    store: Store, fake: FakeAnthropic
) -> None:
    """`wanted_by` passes while the rest is asked about: no paper ends as unscored."""
    fake.batches.looks, fake.batches.spoil = 10_000, "canceled"
    hours = iter([0, 0])
    by = wall_clock() + timedelta(hours=6)

    def clock() -> datetime:
        return wall_clock() + timedelta(hours=next(hours, 7))

    result = scored(store, claude(fake), DAY, in_batch(mode="auto", wanted_by=by), clock=clock)
    holds(fake, result)
    assert fake.batches.held["msgbatch_1"].cancelled
    assert len(fake.requests) == 1
    assert len(fake.papers_paid) == COUNT


def test_a_second_reading_that_has_no_time_for_a_batch_is_bought_now(
    store: Store, fake: FakeAnthropic
) -> None:
    began = wall_clock()

    def clock() -> datetime:
        first = fake.batches.held.get("msgbatch_1")
        return wall_clock() + timedelta(hours=5 if first and first.looks <= 0 else 0)

    some = in_batch(mode="auto", wanted_by=began + timedelta(hours=6))
    holds(fake, scored(store, claude(fake, second_opinion=True), DAY, some, clock=clock))
    assert len(fake.batches.held) == 1
    assert fake.requests


def test_a_run_without_a_time_does_not_wait_for_a_batch_of_before(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.batches.looks = 10_000
    with pytest.raises(KilledError):
        scored(store, claude(fake), DAY, in_batch(), clock=dying_clock(looks=40))
    now = in_batch(mode="auto")
    holds(fake, scored(store, claude(fake), DAY, now, clock=dying_clock(looks=500)))
    assert fake.batches.held["msgbatch_1"].cancelled
    assert len(fake.papers_paid) == COUNT


def test_a_stop_ends_the_waiting_at_once_and_loses_nothing(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.batches.looks = 10_000
    stopped = in_batch()
    stopped.stop.set()
    with pytest.raises(Stopped):
        scored(store, claude(fake), DAY, stopped, clock=dying_clock(looks=500))
    fake.batches.held["msgbatch_1"].looks = 1
    holds(fake, scored(store, claude(fake), DAY, in_batch()))
    assert len(fake.papers_paid) == COUNT


def test_a_stop_asks_nothing_more(store: Store, fake: FakeAnthropic) -> None:
    stopped = limits()
    stopped.stop.set()
    with pytest.raises(Stopped):
        scored(store, claude(fake), DAY, stopped)
    assert fake.requests == []


def test_the_budget_holds_at_submission(store: Store, fake: FakeAnthropic) -> None:
    some = limits(0.0015, mode="batch", batch_poll_seconds=0.01)
    result = scored(store, claude(fake), papers(160), some)
    assert fake.bill_nanos == billed(result) <= 1_500_000
    assert Outcome.UNSCORED_BUDGET in result.outcomes.values()


def test_auto_waits_where_there_is_time_for_two_batches_and_for_all_direct_calls() -> None:
    scorer_batcher: Any = object()
    far = limits(deadline=MORNING + timedelta(hours=3))
    near = limits(deadline=MORNING + timedelta(hours=1))
    assert batches.should_use(far, scorer_batcher, 1, MORNING)
    # Four calls at once: 46 rubrics would take 80 minutes.
    assert batches.should_use(far, scorer_batcher, 45, MORNING)
    assert not batches.should_use(far, scorer_batcher, 46, MORNING)
    assert batches.should_use(far, scorer_batcher, 74, MORNING, passes=1)
    assert not batches.should_use(near, scorer_batcher, 1, MORNING)
    assert batches.should_use(limits(wanted_by=far.deadline), scorer_batcher, 2, MORNING)
    assert not batches.should_use(limits(wanted_by=near.deadline), scorer_batcher, 1, MORNING)
    assert not batches.should_use(limits(), scorer_batcher, 1, MORNING)
    assert not batches.should_use(limits(mode="now"), scorer_batcher, 1, MORNING)
    assert batches.should_use(limits(mode="batch"), scorer_batcher, 50, MORNING)
    assert not batches.should_use(limits(mode="batch"), None, 1, MORNING)


def test_without_its_batch_a_day_of_several_rubrics_shares_the_papers(
    store: Store, fake: FakeAnthropic
) -> None:
    rubrics = [replace(RUBRIC, slug=f"r{n}", preface=f"Reader {n}.") for n in range(3)]
    day = [replace(one, abstract=one.abstract + " More words." * 80) for one in papers(32)]
    with store.begin() as tx:
        keep(tx, day)
    fake.batches.statuses = [503] * 6
    targets = [ScoringTarget(rubric, day) for rubric in rubrics]
    results = score_all(store, claude(fake), MORNING.date(), targets, in_batch(), clock=wall_clock)
    assert [set(result.outcomes.values()) for result in results] == [{Outcome.SCORED}] * 3
    first = [seen.body for seen in fake.requests if len(seen.titles) == 16][: 3 * 2]
    assert all(body["messages"][0]["content"][-1]["text"].startswith("<rubric>") for body in first)


class KilledError(Exception):
    pass


def dying_clock(looks: int):
    told = 0

    def clock():
        nonlocal told
        told += 1
        if told > looks:
            raise KilledError
        return wall_clock()

    return clock


def later(fake: FakeAnthropic, minutes: int = 6) -> Callable[[], datetime]:
    """A clock that is some minutes ahead once a batch was looked at."""
    return lambda: wall_clock() + timedelta(minutes=minutes if fake.batches.looked else 0)


def test_answers_that_give_the_model_its_dated_name_are_priced(
    store: Store, fake: FakeAnthropic
) -> None:
    """Red before: StopIteration, with the money spent and the day lost."""
    fake.batches.dated = True
    result = scored(store, claude(fake), DAY, in_batch())
    holds(fake, result)
    assert [usage.model for usage in result.usage] == ["claude-haiku-5-5"]


def test_a_batch_that_is_not_known_yet_is_asked_for_again(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.batches.unknown = 4
    holds(fake, scored(store, claude(fake), DAY, in_batch()))
    assert fake.requests == []
    assert len(fake.papers_paid) == COUNT


def test_a_batch_that_stays_unknown_is_gone_and_its_papers_are_bought_now(
    store: Store, fake: FakeAnthropic
) -> None:
    """Deleted, or created by another workspace's key: its reservation stays as uncertain."""
    fake.batches.unknown = 10_000
    scorer = claude(fake, second_opinion=True)
    result = scored(store, scorer, DAY, in_batch(), clock=later(fake))
    assert set(result.outcomes.values()) == {Outcome.SCORED}
    assert len(fake.batches.held) == 1
    assert len(fake.requests) == 5
    assert uncertain(result) > 0
    assert billed(result) < fake.bill_nanos <= billed(result) + uncertain(result)


def test_a_batch_of_an_earlier_process_that_two_polls_do_not_find_is_gone(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.batches.looks = 10_000
    with pytest.raises(KilledError):
        scored(store, claude(fake), DAY, in_batch(), clock=dying_clock(looks=40))
    fake.batches.held.clear()
    looked = fake.batches.looked
    tomorrow = wall_clock() + timedelta(hours=20)
    result = scored(store, claude(fake), DAY, in_batch(), clock=lambda: tomorrow)
    assert set(result.outcomes.values()) == {Outcome.SCORED}
    assert fake.batches.looked == looked + 2


def test_an_unknown_batch_is_not_told_as_a_wrong_model(fake: FakeAnthropic) -> None:
    batcher = claude(fake).batcher
    assert batcher
    for ask in (
        lambda: batcher.collect("msgbatch_none", {}, MORNING),
        lambda: batcher.cancel("msgbatch_none", MORNING),
    ):
        with pytest.raises(ScorerError, match="batch is unknown there") as caught:
            ask()
        assert caught.value.failure is CallFailure.GONE
        assert "NEWSLETTER_MODEL" not in str(caught.value)


def test_a_batch_names_itself_in_its_custom_ids(store: Store, fake: FakeAnthropic) -> None:
    scored(store, claude(fake), DAY, in_batch())
    ids = [one["custom_id"] for one in fake.batches.held["msgbatch_1"].results]
    assert len(ids) == 4
    assert len({key.rpartition("-")[0] for key in ids}) == 1
    assert all(re.fullmatch(r"newsletter-[0-9a-f]{12}-[0-9a-f]{32}", key) for key in ids)


def somebody_elses(count: int) -> list[dict[str, Any]]:
    return [{"custom_id": f"theirs-{n}", "result": {"type": "errored"}} for n in range(count)]


@pytest.mark.parametrize("count", [3, 4])
def test_after_a_kill_a_running_batch_of_others_is_not_taken_for_ours(
    store: Store, fake: FakeAnthropic, count: int
) -> None:
    """Ours has 4 calls. Red before: the newest that ran was adopted, ours bought again."""
    fake.batches.forget_reply, fake.batches.looks = True, 3
    fake.batches.after_submission = lambda: fake.batches.hold(somebody_elses(count), looks=9)
    result = scored(store, claude(fake), DAY, in_batch())
    holds(fake, result)
    assert len(fake.papers_paid) == COUNT
    assert not any(one.cancelled for one in fake.batches.held.values())


def test_after_a_kill_our_batch_is_found_behind_the_first_hundred(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.batches.forget_reply = True

    def crowd() -> None:
        for _ in range(150):
            fake.batches.hold(somebody_elses(2), looks=0)

    fake.batches.after_submission = crowd
    holds(fake, scored(store, claude(fake), DAY, in_batch()))
    assert len(fake.papers_paid) == COUNT
    assert len(fake.batches.held) == 151


def test_batches_of_other_calls_in_the_ledger_are_not_searched(
    store: Store, fake: FakeAnthropic
) -> None:
    """Another rubric's batch has as many calls: its results are not even fetched."""
    other = replace(RUBRIC, slug="other", keywords="another")
    scored(store, claude(fake), DAY, in_batch(), rubric=other)
    fetched, before = fake.batches.fetched.copy(), fake.bill_nanos
    fake.batches.forget_reply = True
    result = scored(store, claude(fake), DAY, in_batch())
    holds(fake, result, bill=fake.bill_nanos - before)
    assert fake.batches.fetched - fetched == Counter({"msgbatch_2": 2})


def test_in_a_hurry_a_batch_that_may_be_ours_is_waited_for_some_minutes(
    store: Store, fake: FakeAnthropic
) -> None:
    """It can't be cancelled, for it may be another's; what it holds may be billed."""
    fake.batches.forget_reply, fake.batches.looks = True, 10_000
    now = in_batch(mode="auto", wanted_by=wall_clock() + timedelta(hours=3))
    hours = later(fake, minutes=200)
    result = scored(store, claude(fake), DAY, now, clock=hours)
    assert set(result.outcomes.values()) == {Outcome.SCORED}
    assert uncertain(result) > 0
    assert not fake.batches.held["msgbatch_1"].cancelled


def test_calls_in_no_batch_are_made_after_a_second_search(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.batches.drop = True
    result = scored(store, claude(fake), DAY, in_batch())
    holds(fake, result)
    assert fake.batches.held == {}
    assert fake.batches.looked == 2
    assert len(fake.papers_paid) == COUNT


def test_a_batch_keeps_its_cache_for_an_hour(store: Store, fake: FakeAnthropic) -> None:
    scored(store, claude(fake, second_opinion=True), DAY, in_batch())
    marks = [
        block["cache_control"]
        for seen in fake.answered
        for block in blocks(seen.body)
        if "cache_control" in block
    ]
    assert marks
    assert all(mark == {"type": "ephemeral", "ttl": "1h"} for mark in marks)
    scored(store, claude(fake), papers(50))
    assert "'ttl'" not in str(fake.requests[-1].body["system"])


def test_killed_while_its_batch_is_created_nothing_is_bought_twice(
    store: Store, fake: FakeAnthropic
) -> None:
    """By SIGKILL, after the other side has taken the batch and before its reply."""
    killed = threading.Event()
    fake.batches.after_submission = lambda: killed.wait(240)
    url = store.url.render_as_string(hide_password=False)
    pid = os.fork()
    if not pid:
        try:
            scored(Store(url), claude(fake), DAY, in_batch())
        finally:
            os._exit(1)
    while not fake.batches.held:
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    killed.set()
    holds(fake, scored(store, claude(fake), DAY, in_batch()))
    assert len(fake.batches.held) == 1
    assert len(fake.papers_paid) == COUNT


def test_what_another_living_process_is_submitting_is_left_to_it(
    store: Store, fake: FakeAnthropic
) -> None:
    """Its batch can't be in the list yet, and that is no proof that it never will be."""
    arrived, go, told = threading.Event(), threading.Event(), Counter[str]()
    fake.batches.on_arrival = lambda: (arrived.set(), go.wait(240))

    def clock() -> datetime:
        told["times"] += 1
        if told["times"] == 60:  # By then it was looked at many times.
            go.set()
        return wall_clock()

    url = store.url.render_as_string(hide_password=False)
    pid = os.fork()
    if not pid:
        try:
            scored(Store(url), claude(fake), DAY, in_batch())
        finally:
            os._exit(1)
    try:
        assert arrived.wait(240)
        result = scored(store, claude(fake), DAY, in_batch(), clock=clock)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    holds(fake, result)
    assert len(fake.batches.held) == 1
    assert len(fake.papers_paid) == COUNT


def test_what_a_living_process_has_long_been_submitting_is_taken_up(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.batches.drop = True
    url = store.url.render_as_string(hide_password=False)
    pid = os.fork()
    if not pid:
        try:
            scored(Store(url), claude(fake), DAY, in_batch(batch_poll_seconds=60))
        finally:
            os._exit(1)
    try:
        while not fake.batches.looked:
            time.sleep(0.005)
        much_later = later(fake, minutes=11)
        result = scored(store, claude(fake), DAY, in_batch(), clock=much_later)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    holds(fake, result)
    assert len(fake.papers_paid) == COUNT


def test_a_call_that_its_batch_does_not_mention_may_have_been_billed(
    store: Store, fake: FakeAnthropic
) -> None:
    """Red before: it counted as free."""
    fake.batches.after_submission = lambda: fake.batches.held["msgbatch_1"].results.pop(0)
    result = scored(store, claude(fake), DAY, in_batch())
    assert set(result.outcomes.values()) == {Outcome.SCORED}
    assert len(fake.requests) == 1
    assert billed(result) < fake.bill_nanos <= billed(result) + uncertain(result)
