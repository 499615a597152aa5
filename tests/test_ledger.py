"""The ledger alone: reservations, what is left, and what another life left behind."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from newsletter import lives
from newsletter.model import Usage
from newsletter.scorers import Call, Request
from newsletter.store import ledger
from newsletter.store.papers import keep
from tests.fakes.scoring import DAY, MORNING, RUBRIC, paper, papers

if TYPE_CHECKING:
    from newsletter.model import Paper
    from newsletter.store import Store

SOON = MORNING + timedelta(minutes=10)


@pytest.fixture
def kept(store: Store) -> Store:
    with store.begin() as tx:
        keep(tx, papers(40))
    return store


def account(owner: str | None = None) -> ledger.Account:
    return ledger.Account(RUBRIC.slug, RUBRIC.fingerprint, "m/1", DAY, owner or lives.me())


def call(upper: int, *given: Paper) -> Call:
    return Call(Request(RUBRIC, given or (paper(1),)), "m", {}, upper, MORNING)


def reserve(store: Store, made: Call, budget: int, owner: str | None = None) -> str:
    with store.begin() as tx:
        return ledger.reserve(tx, account(owner), made, ledger.Budget(budget), SOON)


def spent(store: Store) -> int:
    with store.read() as tx:
        return ledger.spent(tx, RUBRIC.slug, DAY)


def test_an_intent_holds_its_upper_bound(kept: Store) -> None:
    reserve(kept, call(60), 100)
    assert spent(kept) == 60
    with pytest.raises(ledger.NoReservation):
        reserve(kept, call(41, paper(2)), 100)
    reserve(kept, call(40, paper(2)), 100)


def test_an_answer_costs_what_it_cost(kept: Store) -> None:
    call_id = reserve(kept, call(60), 100)
    usage = Usage("m", 10, 2, input_nanos=7, output_nanos=4)
    with kept.begin() as tx:
        ledger.answered(tx, call_id, b"raw", usage, MORNING)
    assert spent(kept) == 11
    with kept.read() as tx:
        assert ledger.usage(tx, RUBRIC.slug, DAY) == (usage,)


def test_what_is_lost_stays_reserved_and_is_said(kept: Store) -> None:
    call_id = reserve(kept, call(60), 100)
    with kept.begin() as tx:
        ledger.lost(tx, call_id, "timeout", MORNING)
    assert spent(kept) == 60
    with kept.read() as tx:
        assert ledger.usage(tx, RUBRIC.slug, DAY) == (Usage("m", uncertain_nanos=60),)


def test_what_was_not_billed_is_free_again(kept: Store) -> None:
    call_id = reserve(kept, call(60), 100)
    with kept.begin() as tx:
        ledger.free(tx, call_id, "429", MORNING)
    assert spent(kept) == 0


def test_papers_in_flight_elsewhere_are_left_alone(kept: Store) -> None:
    reserve(kept, call(1, paper(1), paper(2)), 100, owner="elsewhere/1/x")
    with pytest.raises(ledger.NoReservation) as caught:
        reserve(kept, call(1, paper(2), paper(3)), 100)
    assert caught.value.taken == {paper(2).id}


def test_a_dead_life_is_buried_a_living_one_is_not(kept: Store) -> None:
    host = lives.me().split("/")[0]
    reserve(kept, call(1, paper(1)), 100, owner=f"{host}/4194303/dead")
    reserve(kept, call(2, paper(2)), 100, owner="another-host/1/alive")
    reserve(kept, call(4, paper(3)), 100)
    with kept.begin() as tx:
        ledger.bury(tx, account(), MORNING, lives.is_gone)
    reserve(kept, call(8, paper(1)), 100)
    for living in (paper(2), paper(3)):
        with pytest.raises(ledger.NoReservation):
            reserve(kept, call(8, living), 100)


def test_a_lease_ends(kept: Store) -> None:
    reserve(kept, call(2, paper(2)), 100, owner="another-host/1/x")
    with kept.begin() as tx:
        ledger.bury(tx, account(), SOON, lives.is_gone)
    reserve(kept, call(8, paper(2)), 100)


def test_rivals_never_reserve_more_than_there_is(kept: Store) -> None:
    """Thirty-two reservations of 10 out of 100, at once: ten hold."""
    held: list[str] = []

    def rival(number: int) -> None:
        with suppress(ledger.NoReservation):
            held.append(reserve(kept, call(10, paper(number)), 100))

    threads = [threading.Thread(target=rival, args=(n,)) for n in range(1, 33)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 10
    assert spent(kept) == 100


def test_who_is_gone() -> None:
    host, pid, _ = lives.me().split("/")
    assert not lives.is_gone(lives.me())
    assert lives.is_gone(f"{host}/{pid}/an-earlier-birth")
    assert lives.is_gone(f"{host}/4194303/x")
    assert not lives.is_gone(f"{host}/1/x")
    assert not lives.is_gone("elsewhere/4194303/x")
