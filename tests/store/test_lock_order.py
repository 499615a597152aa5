"""Two transactions that change the same rows take them in one order, so that both come to an end.

On SQLite one writes at a time; of PostgreSQL's locks these tests tell nothing there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from newsletter.domain.mail import Delivery, DeliveryState, EventKind
from newsletter.store import Store, claims, events
from newsletter.store.claims import SendOutcome
from newsletter.store.events import Event
from tests.fakes.mail import START, DeliveryScenario
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from sqlalchemy import Connection

WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = :pid")
PID = text("SELECT pg_backend_pid()")


@pytest.fixture
def sent(store: Store) -> list[Delivery]:
    """Two mails that are being sent, by their ids."""
    if store.is_sqlite:
        pytest.skip("needs PostgreSQL")
    scenario = DeliveryScenario(store)
    scenario.add_readers(2)
    scenario.make_digest()
    with store.begin() as tx:
        until = START + timedelta(minutes=10)
        mine, _ = claims.claim(tx, scenario.digest_id, "me", now=START, until=until, limit=2)
    return sorted(mine, key=lambda one: one.id)


def record(tx: Connection, *mails: Delivery) -> None:
    claims.record(tx, [SendOutcome(one, DeliveryState.ACCEPTED) for one in mails], START)


def tell(tx: Connection, *mails: Delivery) -> None:
    told = [Event(EventKind.PROCESSED, one.subscription.email, START, one.id) for one in mails]
    events.apply(tx, told, START)


@pytest.mark.parametrize(("first", "second"), [(record, tell), (tell, record)])
def test_the_webhook_and_a_run_do_not_wait_for_each_other(
    store: Store, sent: list[Delivery], first, second
) -> None:
    low, high = sent
    pids: list[int] = []

    def other() -> None:
        with store.begin() as tx:
            pids.append(tx.scalar(PID) or 0)
            second(tx, high, low)

    with ThreadPoolExecutor(1) as hands, store.begin() as tx:
        first(tx, low)
        waits = hands.submit(other)
        with store.read() as look:
            assert wait_until(lambda: pids and look.scalar(WAITING, {"pid": pids[0]}))
        first(tx, high)
        tx.commit()
        waits.result(240)
