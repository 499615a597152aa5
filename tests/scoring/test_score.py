"""The scorer on the whole: every paper ends somewhere, nothing is paid twice, the bill is right."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from newsletter.domain.model import Criterion, Outcome
from newsletter.scorers import ScoringRequest
from newsletter.scoring.rate_limit import ScoringRateLimiter
from newsletter.scoring.run import (
    ScoringFailed,
    ScoringTarget,
    score,
    score_all,
    sort_by_likelihood,
)
from newsletter.store.papers import keep
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.scoring import (
    DAY,
    DOLLAR,
    MORNING,
    RUBRIC,
    billed,
    claude,
    limits,
    paper,
    papers,
    scored,
    scores_in_abstract,
    uncertain,
    wall_clock,
)
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from datetime import datetime

    from newsletter.domain.model import Paper, Rubric
    from newsletter.scoring.run import RubricScores
    from newsletter.store import Store


def test_every_abstract_is_read_once_sixteen_a_call(store: Store, fake: FakeAnthropic) -> None:
    day = papers(37)
    result = scored(store, claude(fake), day)
    assert sorted(fake.papers_paid) == sorted(p.title for p in day)
    assert sorted(len(seen.titles) for seen in fake.requests) == [1, 4, 16, 16]
    assert set(result.outcomes.values()) == {Outcome.SCORED}
    assert {k: (s.relevance, s.novelty) for k, s in result.scores.items() if s.criterion} == {
        p.id: (8, 8) for p in day[7::8]
    }
    assert result.scores[day[7].id].comment == "Model compression: prunes network 8"
    assert billed(result) == fake.bill_nanos > 0
    assert uncertain(result) == 0


def test_what_is_stored_is_never_asked_again(store: Store, fake: FakeAnthropic) -> None:
    first = scored(store, claude(fake), papers(20))
    before = len(fake.requests)
    again = scored(store, claude(fake), papers(20))
    assert again == first
    assert len(fake.requests) == before
    more = scored(store, claude(fake), papers(21))
    assert len(fake.requests) == before + 1
    assert billed(more) == fake.bill_nanos


def test_a_changed_rubric_is_another_question(store: Store, fake: FakeAnthropic) -> None:
    scored(store, claude(fake), papers(4))
    before = len(fake.requests)
    scored(store, claude(fake), papers(4), rubric=replace(RUBRIC, relevance=3, title="Other"))
    assert len(fake.requests) == before
    scored(store, claude(fake), papers(4), rubric=replace(RUBRIC, preface="Another friend."))
    assert len(fake.requests) == before + 1


@pytest.mark.parametrize(("count", "cold"), [(80, 1), (96, 2), (128, 1)])
def test_the_rubric_is_cached_by_its_first_call(
    store: Store, fake: FakeAnthropic, count: int, cold: int
) -> None:
    """The first call is awaited; one more starts beside it where that saves a round of waiting."""
    answer, fake.latency = fake.scores_of, 0.3

    def scores_of(title: str, said: str) -> dict[str, Any]:
        # On a busy machine the second call could come when the first has long been answered.
        assert wait_until(lambda: len(fake.requests) >= cold)
        return answer(title, said)

    fake.scores_of = scores_of
    scored(store, claude(fake), papers(count), limits(cache_write_seconds=240.0))
    length = fake.till.kinds["cache_creation_input_tokens"] // cold
    calls = count // 16
    assert fake.till.kinds["cache_read_input_tokens"] == (calls - cold) * length > 0


class WritesUntilAllAsked(FakeAnthropic):
    """No answer ends before `calls` requests came; `begun` is set when the first one begins."""

    def __init__(self, calls: int) -> None:
        super().__init__(scores_in_abstract)
        self.calls, self.begun, self.ended = calls, threading.Event(), list[bool]()

    def output_seconds(self, _message: dict[str, Any]) -> float:
        self.begun.set()
        self.ended.append(wait_until(lambda: len(self.requests) == self.calls, 60))
        return 0.0


def test_calls_wait_for_the_cache_to_be_written_and_not_for_the_whole_answer(store: Store) -> None:
    with WritesUntilAllAsked(7) as fake:

        def clock() -> datetime:
            """Stands still until the first answer has begun: then the cache is written."""
            return MORNING + timedelta(minutes=1) * fake.begun.is_set()

        some = limits(concurrency=8, cache_write_seconds=0.05)
        scored(store, claude(fake), papers(112), some, clock=clock)
    assert fake.ended == [True] * 7
    assert (
        fake.till.kinds["cache_read_input_tokens"]
        == 6 * (fake.till.kinds["cache_creation_input_tokens"])
    )


def test_the_second_pass_asks_about_eight_papers_a_call_which_end_together(
    store: Store, fake: FakeAnthropic
) -> None:
    near_cut = [paper(n, 8, 8) for n in range(1, 65)]
    some = limits(concurrency=8, cache_write_seconds=0.1)
    scored(store, claude(fake, second_opinion=True), near_cut, some)
    second = [seen for seen in fake.requests if seen.body["output_config"]["effort"] == "high"]
    assert [len(seen.titles) for seen in second] == [8] * 8
    assert len({title for seen in second for title in seen.titles.values()}) == 64
    assert {seen.body["max_tokens"] for seen in second} == {300 + (90 + 400) * 8}


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
def test_no_call_follows_a_fatal_one(store: Store, fake: FakeAnthropic, status: int) -> None:
    fake.fault(status, times=100)
    with pytest.raises(ScoringFailed, match=str(status)):
        scored(store, claude(fake), papers(200), limits(concurrency=2))
    assert len(fake.requests) <= 2
    assert fake.bill_nanos == 0


def test_a_wrong_key_is_named_with_its_fix_and_never_shown(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.fault(401)
    with pytest.raises(ScoringFailed, match="set ANTHROPIC_API_KEY") as caught:
        scored(store, claude(fake), papers(1))
    assert "sk-test" not in str(caught.value)


def test_paid_answers_survive_a_fatal_end(store: Store, fake: FakeAnthropic) -> None:
    day = papers(36)
    fake.fault(402, match=day[-1].title, times=9)
    with pytest.raises(ScoringFailed, match="credit"):
        scored(store, claude(fake), day, limits(concurrency=1))
    fake.faults.clear()
    result = scored(store, claude(fake), day)
    assert set(result.outcomes.values()) == {Outcome.SCORED}
    assert sorted(fake.papers_paid) == sorted(p.title for p in day)
    assert billed(result) == fake.bill_nanos


def test_an_outage_holds_the_day(store: Store, fake: FakeAnthropic) -> None:
    fake.fault(529, times=1000)
    with pytest.raises(ScoringFailed, match="run again later"):
        scored(store, claude(fake), papers(160))
    assert fake.bill_nanos == 0


def test_unreachable_is_said(store: Store) -> None:
    with FakeAnthropic(scores_in_abstract) as gone:
        scorer = claude(gone)
    with pytest.raises(ScoringFailed, match="cannot be reached"):
        scored(store, scorer, papers(160))


def test_a_budget_of_one_call_is_spent_on_the_likeliest(store: Store, fake: FakeAnthropic) -> None:
    """Mutation: without the reservation every paper is scored, and this is red."""
    day = papers(40)
    one_call = claude(fake).call(ScoringRequest(RUBRIC, tuple(day[:16])), MORNING).upper_nanos
    budget = limits(one_call * 1.1 / DOLLAR)
    result = scored(store, claude(fake), day, budget)
    outcomes = Counter(result.outcomes.values())
    assert outcomes[Outcome.SCORED] + outcomes[Outcome.UNSCORED_BUDGET] == 40
    read = [p.id for p in day if result.outcomes[p.id] is Outcome.SCORED]
    assert read == [p.id for p in day[: len(read)]]
    assert len(read) == 16
    assert billed(result) == fake.bill_nanos <= budget.budget_nanos


@pytest.mark.parametrize("cents", [0, 0.1, 0.5, 1.0])
def test_a_budget_is_never_exceeded(store: Store, fake: FakeAnthropic, cents: float) -> None:
    result = scored(store, claude(fake, second_opinion=True), papers(160), limits(cents / 100))
    assert fake.bill_nanos <= cents * 10_000_000
    assert billed(result) == fake.bill_nanos
    assert len(result.outcomes) == 160


def test_the_month_has_a_budget_over_all_rubrics(store: Store, fake: FakeAnthropic) -> None:
    one_call = (
        claude(fake).call(ScoringRequest(RUBRIC, tuple(papers(16))), wall_clock()).upper_nanos
    )
    month = limits(month_budget_nanos=round(one_call * 1.1))
    first = scored(store, claude(fake), papers(16), month)
    assert set(first.outcomes.values()) == {Outcome.SCORED}
    other = replace(RUBRIC, slug="other", preface="Another friend.")
    second = scored(store, claude(fake), papers(16), month, rubric=other)
    assert set(second.outcomes.values()) == {Outcome.UNSCORED_BUDGET}


def test_the_deadline_beats_a_long_retry_after(store: Store, fake: FakeAnthropic) -> None:
    fake.fault(429, times=100, headers={"retry-after": "86400"})
    now = [MORNING]

    def clock():
        now[0] += timedelta(seconds=1)
        return now[0]

    soon = limits(deadline=MORNING + timedelta(seconds=60), max_backoff=3600)
    result = scored(store, claude(fake), papers(40), soon, clock=clock)
    assert set(result.outcomes.values()) == {Outcome.UNSCORED_DEADLINE}
    assert len(fake.requests) <= 4


def test_a_refused_paper_is_found_and_another_model_asked(store: Store) -> None:
    with FakeAnthropic(scores_in_abstract) as fake:
        # In company of 16, of 4, and alone: three refusals, then the other model's turn.
        fake.fault("refused", match=paper(7).title, times=3)
        result = scored(store, claude(fake), papers(32))
        assert set(result.outcomes.values()) == {Outcome.SCORED}
        assert result.scores[paper(7).id].model == "claude-haiku-4-5"
        assert billed(result) == fake.bill_nanos


def test_a_paper_refused_by_both_is_said_to_be_refused(store: Store) -> None:
    with FakeAnthropic(scores_in_abstract) as fake:
        fake.fault("refused", match=paper(7).title, times=100)
        result = scored(store, claude(fake), papers(32))
        assert Counter(result.outcomes.values()) == {Outcome.SCORED: 31, Outcome.REFUSED: 1}
        assert result.outcomes[paper(7).id] is Outcome.REFUSED
        assert billed(result) == fake.bill_nanos
        assert len(fake.requests) == 2 + 4 + 4 + 1
        before = len(fake.requests)
        assert scored(store, claude(fake), papers(32)) == result
        assert len(fake.requests) == before


def test_progress_ends_at_all(store: Store, fake: FakeAnthropic) -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, whole: int) -> None:
        told.append((done, whole))

    day = papers(20)
    with store.begin() as tx:
        keep(tx, day)
    score(store, claude(fake), RUBRIC, DAY, day, limits(), clock=wall_clock, progress=tell)
    assert told[0] == (0, 20)
    assert told[-1] == (20, 20)
    assert told == sorted(told)


def rubrics(count: int, **changed: tuple[str, ...]) -> list[Rubric]:
    return [replace(RUBRIC, slug=f"r{n}", preface=f"Friend {n}.", **changed) for n in range(count)]


def shared_day(store: Store, fake: FakeAnthropic, wants: list[ScoringTarget]) -> list[RubricScores]:
    with store.begin() as tx:
        keep(tx, [p for want in wants for p in want.papers])
    return score_all(store, claude(fake), DAY, wants, limits(), clock=wall_clock)


def test_three_rubrics_pay_for_the_papers_once(store: Store, fake: FakeAnthropic) -> None:
    """Papers first, cached, the rubric last; the first call of a chunk is awaited by the others."""
    fake.latency = 0.02
    day = [replace(p, abstract=p.abstract + " More words." * 80) for p in papers(48)]
    results = shared_day(store, fake, [ScoringTarget(rubric, day) for rubric in rubrics(4)])
    assert [set(r.outcomes.values()) for r in results] == [{Outcome.SCORED}] * 4
    assert sum(billed(result) for result in results) == fake.bill_nanos
    assert len(fake.requests) == 3 * 4
    last = [seen.body["messages"][0]["content"][-1]["text"] for seen in fake.requests]
    assert all(text.startswith("<rubric>") for text in last)
    kinds = fake.till.kinds
    assert kinds["cache_read_input_tokens"] == 3 * kinds["cache_creation_input_tokens"]


def test_a_call_takes_the_same_few_statements_however_many_rubrics_and_papers(
    store: Store, fake: FakeAnthropic
) -> None:
    scorer = claude(fake)
    scorer.second_opinion = False
    said: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *told: said.append(told[2]))
    with store.begin() as tx:
        keep(tx, papers(64))

    def statements(count: int, size: int) -> int:
        given = [replace(one, preface=f"{one.preface} {count} {size}") for one in rubrics(count)]
        wants = [ScoringTarget(rubric, papers(size)) for rubric in given]
        said.clear()
        score_all(store, scorer, DAY, wants, limits(), clock=wall_clock)
        return len(said)

    one_call = statements(1, 16)
    assert statements(1, 4) == one_call
    a_call = (statements(1, 64) - one_call) / 3
    assert a_call <= 14
    assert statements(6, 64) - statements(6, 16) == 6 * 3 * a_call


def test_two_rubrics_each_keep_their_own_cache(store: Store, fake: FakeAnthropic) -> None:
    shared_day(store, fake, [ScoringTarget(rubric, papers(32)) for rubric in rubrics(2)])
    assert all(seen.body["system"][-1]["text"].startswith("<rubric>") for seen in fake.requests)


def test_rubrics_of_other_categories_share_what_they_have_in_common(
    store: Store, fake: FakeAnthropic
) -> None:
    """Every rubric gets an outcome for its own papers and for no others."""
    theirs = [replace(paper(n), primary_category="math.ST") for n in range(100, 132)]
    common = papers(32)
    wants = [ScoringTarget(rubric, common) for rubric in rubrics(3)]
    wants.append(ScoringTarget(replace(RUBRIC, slug="both", preface="Both."), [*common, *theirs]))
    results = shared_day(store, fake, wants)
    for want, result in zip(wants, results, strict=True):
        assert result.outcomes == {p.id: Outcome.SCORED for p in want.papers}
        assert set(result.scores) == {p.id for p in want.papers}
    assert len(fake.requests) == 2 * 4 + 2
    assert sum(billed(result) for result in results) == fake.bill_nanos


def test_rubrics_just_alike_are_paid_for_once(store: Store, fake: FakeAnthropic) -> None:
    wants = [ScoringTarget(replace(RUBRIC, slug=slug), papers(20)) for slug in ("one", "two")]
    results = shared_day(store, fake, wants)
    assert results[0].scores == results[1].scores
    assert len(fake.papers_paid) == 20


def test_a_shared_fault_is_each_rubrics_own(store: Store, fake: FakeAnthropic) -> None:
    fake.fault("missing slot", times=2)
    fake.fault("refused", times=1)
    fake.fault(529, times=2)
    wants = [ScoringTarget(rubric, papers(40)) for rubric in rubrics(5)]
    for result in shared_day(store, fake, wants):
        assert set(result.outcomes.values()) == {Outcome.SCORED}


def test_yesterdays_scores_decide_who_goes_first(store: Store, fake: FakeAnthropic) -> None:
    def about(number: int, subject: str, worth: int) -> Paper:
        one = paper(number, worth, worth)
        return replace(one, title=f"{subject} {number}", abstract=f"{subject}. {one.abstract}")

    past = [about(n, "galaxies and haloes", 9) for n in range(1, 16)]
    past += [about(n, "pruned networks", 2) for n in range(16, 49)]
    scored(store, claude(fake), past)
    today = [about(101, "pruned networks", 2), about(102, "galaxies and haloes", 9)]
    first = sort_by_likelihood(store, claude(fake), RUBRIC, DAY, today)
    assert [p.id for p in first] == [paper(102).id, paper(101).id]
    # An edit of the rubric forgets nothing; a rubric of another name has no scores.
    edited = replace(RUBRIC, criteria=(Criterion(1, "Pruned networks", "- Relevant: pruning"),))
    assert edited.fingerprint != RUBRIC.fingerprint
    assert sort_by_likelihood(store, claude(fake), edited, DAY, today) == first
    other = replace(edited, slug="other")
    assert sort_by_likelihood(store, claude(fake), other, DAY, today)[0].id == paper(101).id
    # What was read already needs no order, and nothing is learnt for it.
    scored(store, claude(fake), today)
    assert sort_by_likelihood(store, claude(fake), RUBRIC, DAY, today) == today


def test_the_month_s_total_is_the_last_row_that_a_transaction_locks(
    store: Store, fake: FakeAnthropic
) -> None:
    """Else a reservation and an answer of two machines could wait for each other."""
    fake.fault(500)
    fake.reply_headers = {
        "anthropic-ratelimit-requests-limit": "100",
        "anthropic-ratelimit-requests-remaining": "50",
        "anthropic-ratelimit-requests-reset": "2099-01-01T00:00:00Z",
    }
    said: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *told: said.append(told[2]))
    event.listen(store.engine, "commit", lambda _connection: said.append("COMMIT"))
    slow = ScoringRateLimiter(requests_per_minute=60_000, tokens_per_minute=10**9)
    scored(store, claude(fake), papers(20), limits(rate_limiter=slow))
    transactions = [one for one in "\n".join(said).split("COMMIT") if "month_cost" in one]
    assert len(transactions) == 2 * 3, "reservation and end of three calls"
    assert any("pace" in one for one in transactions)
    for one in transactions:
        rest = one.partition("INSERT INTO month_cost")[2]
        assert not re.search(r"INSERT INTO|(?<!DO )UPDATE ", rest)
