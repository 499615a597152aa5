"""Old mails' rows go, and nobody is mailed again for it."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from types import SimpleNamespace

from sqlalchemy import func, insert, select, update

from newsletter import owing
from newsletter.housekeeping import forget_mails
from newsletter.store import retention
from newsletter.store.tables import delivery, digest, mail_group, subscriber
from tests.fakes.mail import RUBRIC, START, FakeMailer, Town
from tests.fakes.rows import value

DAY = date(2025, 9, 23)
OLD = START + retention.KEPT + timedelta(days=1)


def number(store, table=delivery) -> int:
    with store.read() as tx:
        return tx.scalar(select(func.count()).select_from(table)) or 0


def mailed(store) -> Town:
    town = Town(store)
    town.settle(3)
    town.announce()
    town.send(FakeMailer())
    return town


def test_rows_go_after_ninety_days_and_their_groups_with_them(store):
    town = mailed(store)
    group = {column.name: value(column, 0) for column in mail_group.columns}
    with store.begin() as tx:
        tx.execute(insert(mail_group).values(**group | {"digest_id": town.digest_id}))
        assert retention.outlived(tx, OLD - timedelta(days=2)) == []
        assert retention.outlived(tx, OLD) == [town.digest_id]
        assert not retention.forget_page(tx, town.digest_id)
        assert retention.outlived(tx, OLD) == []
    assert (number(store), number(store, mail_group)) == (0, 0)


def test_who_lost_his_row_is_not_mailed_again(store):
    town = mailed(store)
    with store.begin() as tx:
        retention.forget_page(tx, town.digest_id)
    owing.owe_all(store, RUBRIC, DAY, OLD)
    assert number(store) == 0


def test_a_past_day_that_is_made_only_now_is_mailed(store):
    town = mailed(store)
    with store.begin() as tx:
        retention.forget_page(tx, town.digest_id)
        tx.execute(update(digest).values(at=OLD))
    owing.owe_all(store, RUBRIC, DAY, OLD)
    assert number(store) == 3


def test_the_night_drops_more_rows_than_one_page(store):
    mailed(store)
    with store.begin() as tx:
        old = dict(tx.execute(select(delivery)).first()._mapping)
        reader = dict(tx.execute(select(subscriber)).first()._mapping)
        names = [f"{n:032}" for n in range(retention.PAGE)]
        more = [{**reader, "id": name, "email_key": name} for name in names]
        tx.execute(insert(subscriber), more)
        tx.execute(insert(delivery), [{**old, "id": n, "subscriber_id": n} for n in names])
    house = SimpleNamespace(store=store, stop=threading.Event())
    forget_mails(house, OLD - timedelta(days=2))
    assert number(store) == retention.PAGE + 3
    forget_mails(house, OLD)
    assert number(store) == 0
