"""What a claim costs must not grow with the mails that wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import event

from newsletter.domain.mail import DeliveryState
from newsletter.store import Store, claims
from newsletter.store.claims import SendOutcome
from tests.fakes.database import create_database
from tests.fakes.mail import START, DeliveryScenario


def test_every_statement_of_a_claim_finds_its_rows_by_their_ids(tmp_path) -> None:
    create_database(url := f"sqlite:///{tmp_path / 'newsletter.db'}")
    store = Store(url)
    scenario = DeliveryScenario(store)
    scenario.add_readers(12)
    scenario.make_digest()
    plans: list[str] = []

    def note(_c: Any, cursor: Any, statement: str, given: Any, _x: Any, many: bool) -> None:  # noqa: FBT001 - SQLAlchemy's order
        if statement.startswith(("SELECT", "UPDATE")):
            rows = cursor.connection.execute(
                f"EXPLAIN QUERY PLAN {statement}", given[0] if many else given
            )
            plans.extend(row[3] for row in rows)

    event.listen(store.engine, "before_cursor_execute", note)
    with store.begin() as tx:
        until = START + timedelta(hours=1)
        mine, _ = claims.claim(tx, scenario.digest_id, "me", now=START, until=until, limit=4)
        claims.record(tx, [SendOutcome(mine[0], DeliveryState.ACCEPTED)], START)
    store.close()
    assert len(mine) == 4
    assert plans
    assert not [plan for plan in plans if "SCAN" in plan or "ix_delivery_state " in plan]
