"""The ledger alone: reservations, what is left, and what another life left behind."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select

from newsletter import process
from newsletter.domain.model import Usage
from newsletter.scorers import ScoringCall, ScoringRequest
from newsletter.store import ledger
from newsletter.store.papers import keep
from newsletter.store.tables import call as calls
from newsletter.store.tables import month_cost
from tests.fakes.database import upgraded
from tests.fakes.scoring import DAY, MORNING, RUBRIC, month_total, paper, papers, sum_of_calls

if TYPE_CHECKING:
    from newsletter.domain.model import Paper
    from newsletter.store import Store

SOON = MORNING + timedelta(minutes=10)


@pytest.fixture
def kept(store: Store) -> Store:
    with store.begin() as tx:
        keep(tx, papers(40))
    return store


def account(owner: str | None = None) -> ledger.Account:
    return ledger.Account(
        RUBRIC.slug, RUBRIC.fingerprint, "m/1", DAY, owner or process.process_id()
    )


def call(upper: int, *given: Paper) -> ScoringCall:
    return ScoringCall(ScoringRequest(RUBRIC, given or (paper(1),)), "m", {}, upper, MORNING)


def reserve(store: Store, made: ScoringCall, budget: int, owner: str | None = None) -> str:
    with store.begin() as tx:
        return ledger.reserve(tx, account(owner), made, ledger.Budget(budget), SOON)


def spent(store: Store) -> int:
    with store.read() as tx:
        return ledger.spent(tx, RUBRIC.slug, DAY)


def test_an_intent_holds_its_upper_bound(kept: Store) -> None:
    reserve(kept, call(60), 100)
    assert spent(kept) == 60
    with pytest.raises(ledger.ReservationRefused):
        reserve(kept, call(41, paper(2)), 100)
    reserve(kept, call(40, paper(2)), 100)


def test_an_answer_costs_what_it_cost(kept: Store) -> None:
    call_id = reserve(kept, call(60), 100)
    usage = Usage("m", 10, 2, input_nanos=7, output_nanos=4)
    with kept.begin() as tx:
        ledger.store_answer(tx, call_id, b"raw", usage, MORNING)
    assert spent(kept) == 11
    with kept.read() as tx:
        assert ledger.usage(tx, RUBRIC.slug, DAY) == (usage,)


def test_what_is_lost_stays_reserved_and_is_said(kept: Store) -> None:
    call_id = reserve(kept, call(60), 100)
    with kept.begin() as tx:
        ledger.mark_lost(tx, call_id, "timeout", MORNING)
    assert spent(kept) == 60
    with kept.read() as tx:
        assert ledger.usage(tx, RUBRIC.slug, DAY) == (Usage("m", uncertain_nanos=60),)


def test_what_was_not_billed_is_free_again(kept: Store) -> None:
    call_id = reserve(kept, call(60), 100)
    with kept.begin() as tx:
        ledger.mark_free(tx, call_id, "429", MORNING)
    assert spent(kept) == 0


def test_papers_in_flight_elsewhere_are_left_alone(kept: Store) -> None:
    reserve(kept, call(1, paper(1), paper(2)), 100, owner="elsewhere/1/x")
    with pytest.raises(ledger.ReservationRefused) as caught:
        reserve(kept, call(1, paper(2), paper(3)), 100)
    assert caught.value.taken == {paper(2).id}


def test_calls_of_dead_processes_are_lost_those_of_live_ones_are_not(kept: Store) -> None:
    host = process.process_id().split("/")[0]
    reserve(kept, call(1, paper(1)), 100, owner=f"{host}/4194303/dead")
    reserve(kept, call(2, paper(2)), 100, owner="another-host/1/alive")
    reserve(kept, call(4, paper(3)), 100)
    with kept.begin() as tx:
        ledger.mark_dead_calls_lost(tx, account(), MORNING, process.is_dead)
    reserve(kept, call(8, paper(1)), 100)
    for living in (paper(2), paper(3)):
        with pytest.raises(ledger.ReservationRefused):
            reserve(kept, call(8, living), 100)


def test_a_lease_ends(kept: Store) -> None:
    reserve(kept, call(2, paper(2)), 100, owner="another-host/1/x")
    with kept.begin() as tx:
        ledger.mark_dead_calls_lost(tx, account(), SOON, process.is_dead)
    reserve(kept, call(8, paper(2)), 100)


def test_concurrent_calls_never_reserve_more_than_the_budget(kept: Store) -> None:
    """Thirty-two reservations of 10 out of 100, at once: ten hold."""
    held: list[str] = []

    def rival(number: int) -> None:
        with suppress(ledger.ReservationRefused):
            held.append(reserve(kept, call(10, paper(number)), 100))

    threads = [threading.Thread(target=rival, args=(n,)) for n in range(1, 33)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 10
    assert spent(kept) == 100


def test_which_processes_are_dead() -> None:
    host, pid, _ = process.process_id().split("/")
    assert not process.is_dead(process.process_id())
    assert process.is_dead(f"{host}/{pid}/an-earlier-birth")
    assert process.is_dead(f"{host}/4194303/x")
    assert not process.is_dead(f"{host}/1/x")
    assert not process.is_dead("elsewhere/4194303/x")


def monthly(store: Store, upper: int, at: datetime, *, rubric: str = RUBRIC.slug) -> None:
    """A reservation out of a month's 100, with plenty left of the day's own budget."""
    made = ScoringCall(ScoringRequest(RUBRIC, (paper(1),)), "m", {}, upper, at)
    mine = ledger.Account(rubric, f"{rubric} {at}", "m/1", at.date(), process.process_id())
    with store.begin() as tx:
        ledger.reserve(tx, mine, made, ledger.Budget(10_000, month_nanos=100), at)


def test_a_months_budget_begins_with_the_month_and_ends_with_it(kept: Store) -> None:
    """The last instant of October is not November's, the first one of it is."""
    first = datetime(2026, 11, 1, tzinfo=UTC)
    instant = timedelta(microseconds=1)
    monthly(kept, 100, first - instant)
    monthly(kept, 60, first)
    with pytest.raises(ledger.ReservationRefused):
        monthly(kept, 41, datetime(2026, 12, 1, tzinfo=UTC) - instant)
    monthly(kept, 40, datetime(2026, 12, 1, tzinfo=UTC) - instant)
    monthly(kept, 100, datetime(2026, 12, 1, tzinfo=UTC))
    monthly(kept, 100, datetime(2027, 1, 1, tzinfo=UTC))


def test_a_month_is_counted_over_all_rubrics_and_a_day_for_its_own(kept: Store) -> None:
    monthly(kept, 60, MORNING)
    with pytest.raises(ledger.ReservationRefused):
        monthly(kept, 41, MORNING + timedelta(hours=1), rubric="stars")
    monthly(kept, 40, MORNING + timedelta(hours=1), rubric="stars")
    assert spent(kept) == 60


@pytest.mark.parametrize(("day", "month", "left"), [(50, 100, 50), (100, 50, 50), (100, 0, 0)])
def test_the_smaller_budget_decides(kept: Store, day: int, month: int, left: int) -> None:
    budget = ledger.Budget(day, month_nanos=month)
    with kept.begin() as tx:
        with pytest.raises(ledger.ReservationRefused):
            ledger.reserve(tx, account(), call(left + 1), budget, SOON)
        ledger.reserve(tx, account(), call(left), budget, SOON)


def test_a_call_for_nothing_is_made_though_more_was_spent_than_there_is(kept: Store) -> None:
    """A budget that was lowered meanwhile is no debt."""
    reserve(kept, call(60), 100)
    reserve(kept, call(0, paper(2)), 10)


def rows(store: Store) -> list[Any]:
    with store.read() as tx:
        query = select(calls).order_by(calls.c.started_at, calls.c.id)
        return list(tx.execute(query))


def test_how_and_when_a_call_ended_is_stored(kept: Store) -> None:
    ids = [reserve(kept, call(1, paper(n)), 100) for n in range(1, 7)]
    later = [MORNING + timedelta(minutes=n) for n in range(1, 7)]
    with kept.begin() as tx:
        ledger.mark_free(tx, ids[0], "429", later[0])
        ledger.mark_lost(tx, ids[1], "timeout", later[1])
        ledger.abandon(tx, ids[2], "given up", later[2])
        ledger.store_answer(tx, ids[3], b"raw", Usage("m", input_nanos=1), later[3])
        ledger.abandon(tx, ids[3], "too late", later[5])
        ledger.store_answer(tx, ids[4], b"odd", None, later[4])
        ledger.store_answer(tx, ids[5], b"raw", Usage("m", input_nanos=1), later[5])
        ledger.mark_done(tx, ids[5])
    found = {row.id: (row.state, row.reason, row.ended_at) for row in rows(kept)}
    assert [found[one] for one in ids] == [
        ("free", "429", later[0]),
        ("lost", "timeout", later[1]),
        ("lost", "given up", later[2]),
        ("answered", "", later[3]),
        ("lost", "", later[4]),
        ("done", "", later[5]),
    ]
    assert spent(kept) == 1 + 1 + 1 + 1 + 1
    with kept.read() as tx:
        unread = ledger.unparsed_answers(tx, account())
    assert [(one.call_id, one.raw, one.papers) for one in unread] == [
        (ids[3], b"raw", {"p01": paper(4).id})
    ]


def test_the_last_reason_is_that_of_the_call_that_ended_last(kept: Store) -> None:
    first = reserve(kept, call(1, paper(1), paper(2)), 100)
    with kept.begin() as tx:
        ledger.mark_lost(tx, first, "timeout", MORNING)
    second = reserve(kept, call(1, paper(2), paper(3)), 100)
    with kept.begin() as tx:
        assert ledger.last_reason(tx, account(), [paper(2).id]) == "timeout"
        ledger.mark_free(tx, second, "overloaded", MORNING + timedelta(minutes=1))
        last = [ledger.last_reason(tx, account(), [paper(n).id]) for n in range(1, 5)]
    assert last == ["timeout", "overloaded", "overloaded", ""]


def test_papers_are_in_flight_until_the_very_end_of_the_lease(kept: Store) -> None:
    reserve(kept, call(1), 100)
    for at, free in ((SOON - timedelta(microseconds=1), False), (SOON, True)):
        again = ScoringCall(ScoringRequest(RUBRIC, (paper(1),)), "m", {}, 1, at)
        with kept.begin() as tx:
            if free:
                ledger.reserve(tx, account(), again, ledger.Budget(100), SOON)
            else:
                with pytest.raises(ledger.ReservationRefused):
                    ledger.reserve(tx, account(), again, ledger.Budget(100), SOON)


def test_calls_of_a_batch_are_not_lost_with_their_process(kept: Store) -> None:
    held = ScoringCall(ScoringRequest(RUBRIC, (paper(1),)), "m", {}, 5, MORNING)
    with kept.begin() as tx:
        budget = ledger.Budget(100)
        one = ledger.reserve(tx, account(), held, budget, SOON, ledger.SUBMITTING)
        assert ledger.known_batch_ids(tx, MORNING) == set()
        ledger.set_batch_id(tx, [one], "batch_1")
        ledger.mark_dead_calls_lost(tx, account(), SOON + timedelta(days=1), lambda _owner: True)
        [waiting] = ledger.batched_calls(tx, account())
        assert (waiting.call_id, waiting.batch_id, waiting.since) == (one, "batch_1", MORNING)
        assert ledger.known_batch_ids(tx, MORNING) == {"batch_1"}
        assert ledger.known_batch_ids(tx, MORNING + timedelta(microseconds=1)) == set()


@pytest.mark.parametrize("other", ["", "~"])
@pytest.mark.parametrize("name", ["fingerprint", "scorer"])
def test_another_rubrics_or_scorers_calls_are_none_of_ours(
    kept: Store, name: str, other: str
) -> None:
    """Whether its name sorts before ours or after it."""
    call_id = reserve(kept, call(1), 100)
    elsewhere = replace(account(), **{name: other})
    with kept.begin() as tx:
        ledger.reserve(tx, elsewhere, call(1), ledger.Budget(100), SOON)
        ledger.store_answer(tx, call_id, b"raw", Usage("m", input_nanos=1), MORNING)
        assert ledger.unparsed_answers(tx, elsewhere) == []
        assert len(ledger.unparsed_answers(tx, account())) == 1


def test_a_refused_reservation_says_why() -> None:
    assert str(ledger.ReservationRefused()) == "over budget"
    assert str(ledger.ReservationRefused(taken=frozenset({"a"}))) == "taken"


def test_a_request_has_one_hash_in_whatever_order_it_is_written(kept: Store) -> None:
    for number, body in enumerate(({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1}), 1):
        made = ScoringCall(ScoringRequest(RUBRIC, (paper(number),)), "m", body, 1, MORNING)
        reserve(kept, made, 100)
    hashes = {row.papers["p01"]: row.request_hash for row in rows(kept)}
    assert hashes[paper(1).id] == hashes[paper(2).id] != hashes[paper(3).id]


def test_nothing_is_left_where_all_is_spent(kept: Store) -> None:
    reserve(kept, call(100), 100)
    with pytest.raises(ledger.ReservationRefused):
        reserve(kept, call(1, paper(2)), 100)


@pytest.mark.parametrize("value", [account(), ledger.Budget(1)])
def test_an_account_and_its_budget_cannot_be_changed(value: object) -> None:
    name = value.__slots__[0]  # type: ignore[attr-defined]
    with pytest.raises(FrozenInstanceError):
        setattr(value, name, 1)
    assert not hasattr(value, "__dict__")


def test_only_the_call_that_is_done_is(kept: Store) -> None:
    """The ids are drawn by chance: each of two is done while the other is not."""
    ids = [reserve(kept, call(1, paper(n)), 100) for n in (1, 2)]
    for one, other in (ids, ids[::-1]):
        with kept.begin() as tx:
            for each in ids:
                ledger.store_answer(tx, each, b"raw", Usage("m", input_nanos=1), MORNING)
            ledger.mark_done(tx, one)
            assert [waiting.call_id for waiting in ledger.unparsed_answers(tx, account())] == [
                other
            ]
            tx.execute(calls.update().values(state=ledger.CallState.INTENT, raw=None))


def test_an_answer_found_later_is_stored_once_and_only_with_its_usage(kept: Store) -> None:
    ids = [reserve(kept, call(9, paper(n)), 100) for n in range(1, 5)]
    paid = Usage("m", input_nanos=2)
    with kept.begin() as tx:
        ledger.mark_lost(tx, ids[1], "the disk was full", MORNING)
        ledger.store_answer(tx, ids[2], b"first", paid, MORNING)
        for one in ids[:3]:
            ledger.recover_answer(tx, one, b"found", paid, SOON)
        ledger.recover_answer(tx, ids[3], b"found", None, SOON)
    found = {row.id: (row.state, row.raw, row.ended_at) for row in rows(kept)}
    assert [found[one] for one in ids] == [
        ("answered", b"found", SOON),
        ("answered", b"found", SOON),
        ("answered", b"first", MORNING),
        ("intent", None, None),
    ]


def test_a_months_total_follows_each_call_however_often_it_ends(kept: Store) -> None:
    """Also a call that two processes end, one after the other, in different ways."""
    cheap, dear = Usage("m", 10, input_nanos=40), Usage("m", 20, input_nanos=70)
    ends: list[Any] = [
        partial(ledger.store_answer, raw=b"{}", usage=cheap),
        partial(ledger.store_answer, raw=b"{}", usage=dear),
        partial(ledger.store_answer, raw=b"", usage=None),
        partial(ledger.mark_lost, reason="timeout"),
        partial(ledger.mark_free, reason="refused"),
        partial(ledger.abandon, reason="ended"),
        partial(ledger.recover_answer, raw=b"{}", usage=cheap),
    ]
    for number, (first, second) in enumerate(product(ends, ends)):
        with kept.begin() as tx:
            mine = replace(account(), fingerprint=f"f{number}")
            call_id = ledger.reserve(tx, mine, call(100), ledger.Budget(10**9), SOON)
        for end in (first, second):
            with kept.begin() as tx:
                end(tx, call_id, at=MORNING)
            assert month_total(kept) == sum_of_calls(kept)


def test_calls_of_the_release_before_are_in_the_totals_of_their_months(store_url: str) -> None:
    november = datetime(2026, 11, 1, tzinfo=UTC)
    december = datetime(2026, 12, 1, tzinfo=UTC)
    instant = timedelta(microseconds=1)
    rows = [
        ("a", "done", 60, november - instant),
        ("b", "lost", 0, november),
        ("c", "free", 0, november + instant),
        ("d", "answered", 30, december - instant),
        ("e", "intent", 0, december),
    ]
    texts = ("rubric", "fingerprint", "scorer", "model", "request_hash", "owner")
    with upgraded(store_url, "0023") as store:
        with store.begin() as tx:
            for name, state, cost, at in rows:
                row = dict.fromkeys(texts, "x") | {"id": name, "state": state, "cost_nanos": cost}
                row |= {"date": DAY, "reading": 1, "papers": {}, "upper_nanos": 100}
                tx.execute(insert(calls).values(**row, lease_until=at, started_at=at))
        store.migrate()
        with store.read() as tx:
            totals = tx.execute(select(month_cost.c.month, month_cost.c.nanos)).all()
        found = {(month.year, month.month): nanos for month, nanos in totals}
        assert found == {(2026, 10): 60, (2026, 11): 130, (2026, 12): 100}
