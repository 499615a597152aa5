"""What a real key would meet first, as the vendor's pages and its users' reports describe it.

Answered by the stand-in in their words; nothing here was tried against the live API.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.model import Outcome
from newsletter.scorers import CallFailure, ScoringRequest
from newsletter.scorers.claude.errors import ErrorResponse, RequestTarget, to_scorer_error
from newsletter.scoring.run import ScoringFailed
from tests.fakes.anthropic_answers import Ending
from tests.fakes.scoring import (
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
)

if TYPE_CHECKING:
    from newsletter.scoring.run import RubricScores
    from newsletter.store import Store
    from tests.fakes.anthropic import FakeAnthropic

COUNT = 33
DAY = papers(COUNT)
POISON = paper(5).title
GRAMMAR = (
    "The compiled grammar is too large, which would cause performance issues. "
    "Simplify your tool schemas or reduce the number of strict tools."
)
COMPLEX = "Schema is too complex for compilation."
MORE_THAN_FOUR, ANY = '"p05":', '"p01":'
"""What stands in the body of a call about so many papers."""


def holds(fake: FakeAnthropic, result: RubricScores) -> Counter[Outcome]:
    """The cost is the other side's bill, and every score is right."""
    for given in DAY:
        if result.outcomes[given.id] is Outcome.SCORED:
            assert (
                result.scores[given.id].relevance
                == scores_in_abstract(given.title, given.abstract)["r"]
            )
    assert uncertain(result) == 0
    assert billed(result) == fake.bill_nanos
    return Counter(result.outcomes.values())


@pytest.mark.parametrize("said", [GRAMMAR, COMPLEX])
def test_a_grammar_too_large_for_sixteen_is_asked_for_in_fours(
    store: Store, fake: FakeAnthropic, said: str
) -> None:
    fake.fault(400, match=MORE_THAN_FOUR, times=1000, said=said)
    assert holds(fake, scored(store, claude(fake), DAY)) == {Outcome.SCORED: COUNT}
    assert len(fake.papers_paid) == COUNT
    assert max(len(seen.titles) for seen in fake.answered) == 4


def test_a_grammar_too_large_for_one_ends_the_day_with_the_vendors_words(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.fault(400, match=ANY, times=10_000, said=GRAMMAR)
    with pytest.raises(ScoringFailed, match=r"compiled grammar is too large.*request req_1"):
        scored(store, claude(fake), DAY)
    assert len(fake.requests) < COUNT


REGAIN = "You will regain access on 2026-12-01 at 00:00 UTC."
OUT_OF_CREDIT = {
    "a limit of the organization": (
        *(400, "", f"You have reached your specified API usage limits. {REGAIN}"),
    ),
    "a limit of the workspace": (
        *(400, "", f"You have reached your specified workspace API usage limits. {REGAIN}"),
    ),
    "the tier's cap by its code": (429, "enforced_spend_limit_reached", "Slow down."),
    "the tier's cap by its words": (429, "", "Your organization has reached its spend limit."),
    "a balance": (400, "", "Your credit balance is too low to access the Anthropic API."),
}


@pytest.mark.parametrize("how", OUT_OF_CREDIT)
def test_money_that_is_spent_stops_at_the_first_answers(
    store: Store, fake: FakeAnthropic, how: str
) -> None:
    status, code, said = OUT_OF_CREDIT[how]
    fake.fault(status, times=10_000, said=said, code=code)
    with pytest.raises(ScoringFailed) as caught:
        scored(store, claude(fake), papers(400), limits(concurrency=4))
    told = str(caught.value)
    assert "no credit" in told
    assert said[:60] in told
    assert "request req_1" in told
    assert len(fake.requests) <= 4


def test_words_that_no_database_takes_are_told_without_them(
    store: Store, fake: FakeAnthropic
) -> None:
    """Red before on PostgreSQL, which knows no NUL in a text."""
    fake.fault(400, said="not\x00 taken \x1b[2J\ud800")
    with pytest.raises(ScoringFailed, match=r"not taken \[2J;"):
        scored(store, claude(fake), DAY)


def test_a_rate_limit_is_no_want_of_money() -> None:
    """With a time to wait, or without words of money, 429 is waited for."""
    words = "This request would exceed your organization's rate limit of 50 requests per minute."
    told = "You have reached your workspace's spend limit."
    for one in (ErrorResponse(429, words), ErrorResponse(429, told, retry_after="30")):
        assert to_scorer_error(one, RequestTarget.MODEL, MORNING).failure is CallFailure.BUSY


def test_404_of_something_else_than_the_vendor_is_an_address_to_check() -> None:
    told = to_scorer_error(ErrorResponse(404, "Not Found"), RequestTarget.MODEL, MORNING)
    assert told.failure is CallFailure.FATAL
    assert "ANTHROPIC_BASE_URL" in str(told)


@pytest.mark.parametrize("status", [404, 400])
def test_a_last_resort_that_is_gone_costs_one_paper(
    store: Store, fake: FakeAnthropic, status: int
) -> None:
    """The refused paper is told as refused, at once and for ever; the day goes on."""
    fake.fault(Ending.REFUSED, match=POISON, times=5)
    while_there = fake.faults[-1]
    fake.fault(status, match='"claude-haiku-4-5"', times=1000, said="model: claude-haiku-4-5")
    fake.faults.reverse()
    outcomes = holds(fake, scored(store, claude(fake), DAY))
    assert outcomes == {Outcome.SCORED: COUNT - 1, Outcome.REFUSED: 1}
    assert while_there.times < 5
    before = len(fake.requests)
    assert holds(fake, scored(store, claude(fake), DAY)) == outcomes
    assert len(fake.requests) == before


def test_a_key_that_is_refused_for_the_last_resort_still_stops(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.fault(401, match='"claude-haiku-4-5"', times=1000)
    fake.fault(Ending.REFUSED, match=POISON, times=1000)
    with pytest.raises(ScoringFailed, match="401"):
        scored(store, claude(fake), DAY)


RELEVANT = [paper(n, 8, 8) for n in range(1, 49)]
"""Six calls of the second reading."""


def test_a_second_reading_that_only_thinks_is_asked_once_more_with_less_effort(
    store: Store, fake: FakeAnthropic
) -> None:
    """The repeated calls were dozens of smaller ones before, which brought nothing."""
    fake.till.thoughts["high"] = 700
    result = scored(store, claude(fake, second_opinion=True), RELEVANT)
    assert {result.outcomes[p.id] for p in RELEVANT} == {Outcome.SCORED}
    second = [seen.body for seen in fake.requests if seen.body["thinking"]["type"] == "adaptive"]
    efforts = Counter(body["output_config"]["effort"] for body in second)
    assert efforts == {"high": 6, "low": 6}
    assert len({body["max_tokens"] for body in second}) == 2
    assert billed(result) == fake.bill_nanos


def test_a_model_that_only_thinks_twice_leaves_the_first_scores(
    store: Store, fake: FakeAnthropic
) -> None:
    fake.till.thoughts |= {"high": 5_000, "low": 5_000}
    result = scored(store, claude(fake, second_opinion=True), RELEVANT)
    assert {result.outcomes[p.id] for p in RELEVANT} == {Outcome.SCORED}
    assert len(fake.requests) == 3 + 6 + 6
    assert billed(result) == fake.bill_nanos


def test_a_first_reading_that_only_thinks_comes_to_an_end(
    store: Store, fake: FakeAnthropic
) -> None:
    """Each piece is asked about in smaller company, always with more room."""
    fake.fault(Ending.THOUGHT, match=POISON, times=1000)
    outcomes = holds(fake, scored(store, claude(fake), DAY))
    assert outcomes == {Outcome.SCORED: COUNT - 1, Outcome.FAILED: 1}
    assert len(fake.requests) < 16


def test_a_second_reading_reads_its_answer_when_it_comes(fake: FakeAnthropic) -> None:
    """What the stand-in makes of a thought without an answer is what the vendor's pages say."""
    fake.till.thoughts["high"] = 5_000
    scorer = claude(fake)
    request = ScoringRequest(RUBRIC, tuple(papers(4)), pass_number=2)
    raw = scorer.ask(scorer.call(request, MORNING)).raw
    assert json.loads(raw)["stop_reason"] == "max_tokens"
    assert scorer.read(request, scorer.model, raw).cut_short
