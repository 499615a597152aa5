"""Old mails' and scores' rows go, and nobody is mailed again, or asked again, for it."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace

from sqlalchemy import func, insert, select, update

from newsletter.delivery import planner
from newsletter.domain.model import Coverage, Outcome, Pick, Score
from newsletter.jobs.housekeeping import delete_old_mails, delete_old_scores
from newsletter.store import digests, ledger, papers, retention, scores
from newsletter.store.reports import metrics, monitoring
from newsletter.store.tables import (
    call,
    delivery,
    digest,
    digest_paper,
    mail_group,
    score,
    subscriber,
    subscription,
)
from tests.fakes import scoring
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.mail import RUBRIC, START, DeliveryScenario, FakeMailer
from tests.fakes.rows import value
from tests.render.gallery import issues

DAY = date(2025, 9, 23)
OLD = START + retention.KEPT + timedelta(days=1)


def number(store, table=delivery) -> int:
    with store.read() as tx:
        return tx.scalar(select(func.count()).select_from(table)) or 0


def mailed(store) -> DeliveryScenario:
    scenario = DeliveryScenario(store)
    scenario.add_readers(3)
    scenario.make_digest()
    scenario.send(FakeMailer())
    return scenario


def test_rows_are_deleted_after_ninety_days_with_their_batches(store):
    scenario = mailed(store)
    group = {column.name: value(column, 0) for column in mail_group.columns}
    with store.begin() as tx:
        tx.execute(insert(mail_group).values(**group | {"digest_id": scenario.digest_id}))
        assert retention.expired_digests(tx, OLD - timedelta(days=2)) == []
        assert retention.expired_digests(tx, OLD) == [scenario.digest_id]
        assert not retention.delete_page(tx, scenario.digest_id)
        assert retention.expired_digests(tx, OLD) == []
    assert (number(store), number(store, mail_group)) == (0, 0)


def test_a_reader_whose_row_was_deleted_is_not_mailed_again(store):
    scenario = mailed(store)
    with store.begin() as tx:
        retention.delete_page(tx, scenario.digest_id)
    planner.plan_all(store, RUBRIC, DAY, OLD)
    assert number(store) == 0


def test_a_past_day_that_is_made_only_now_is_mailed(store):
    scenario = mailed(store)
    with store.begin() as tx:
        retention.delete_page(tx, scenario.digest_id)
        tx.execute(update(digest).values(at=OLD))
    planner.plan_all(store, RUBRIC, DAY, OLD)
    assert number(store) == 3


def test_the_nightly_job_deletes_more_rows_than_one_page(store):
    mailed(store)
    with store.begin() as tx:
        old = dict(tx.execute(select(delivery)).first()._mapping)
        reader = dict(tx.execute(select(subscriber)).first()._mapping)
        names = [f"{n:032}" for n in range(retention.PAGE)]
        more = [{**reader, "id": name, "email_key": name} for name in names]
        tx.execute(insert(subscriber), more)
        mine = {name: {"id": name, "subscriber_id": name} for name in names}
        own = dict(tx.execute(select(subscription)).first()._mapping)
        tx.execute(insert(subscription), [{**own, **mine[name]} for name in names])
        rows = [{**old, **mine[name], "subscription_id": name} for name in names]
        tx.execute(insert(delivery), rows)
    app = SimpleNamespace(store=store, stop=threading.Event())
    delete_old_mails(app, OLD - timedelta(days=2))
    assert number(store) == retention.PAGE + 3
    delete_old_mails(app, OLD)
    assert number(store) == 0


def read_day(store, fake, picked: int, count: int = 4) -> int:
    """A day scored by calls and frozen, with so many picks; the id of its digest."""
    given = scoring.papers(count)
    found = scoring.scored(store, scoring.claude(fake), given)
    chosen = tuple(Pick(one, found.scores[one.id]) for one in given[:picked])
    made = issues.digest(
        chosen,
        rubric=scoring.RUBRIC,
        date=scoring.DAY,
        coverage=Coverage(count, {Outcome.SCORED: count}, papers=tuple(one.id for one in given)),
        usage=found.usage,
    )
    with store.begin() as tx:
        return digests.save(tx, made, scoring.MORNING)


def night(store, days: int) -> None:
    app = SimpleNamespace(
        store=store, stop=threading.Event(), settings=SimpleNamespace(scores_kept_days=180)
    )
    delete_old_scores(app, scoring.MORNING + timedelta(days=days))


def kept(store) -> tuple[list[str], int, int]:
    """Papers with a score, papers known to be covered, answers that are kept raw."""
    with store.read() as tx:
        scored = tx.scalars(select(score.c.paper_id).order_by(score.c.paper_id)).all()
        covered = tx.scalar(select(func.count()).select_from(digest_paper)) or 0
        raw = tx.scalar(select(func.count()).where(call.c.raw.is_not(None))) or 0
    return list(scored), covered, raw


def test_what_was_not_picked_is_forgotten_and_what_was_paid_is_not(store):
    with FakeAnthropic(scoring.scores_in_abstract) as fake:
        read_day(store, fake, picked=1)
    with store.read() as tx:
        bill = ledger.usage(tx, scoring.RUBRIC.slug, scoring.DAY)
        before = digests.load(tx, scoring.RUBRIC.slug, scoring.DAY), metrics.papers(tx)
        spent = monitoring.spent_since(tx, scoring.MORNING - timedelta(days=1))
    ids = [one.id for one in scoring.papers(4)]
    night(store, 179)
    assert kept(store) == (ids, 4, 1)
    night(store, 181)
    assert kept(store) == (ids[:1], 1, 0)
    night(store, 182)
    with store.read() as tx:
        assert ledger.usage(tx, scoring.RUBRIC.slug, scoring.DAY) == bill
        assert (digests.load(tx, scoring.RUBRIC.slug, scoring.DAY), metrics.papers(tx)) == before
        assert monitoring.spent_since(tx, scoring.MORNING - timedelta(days=1)) == spent
        assert retention.scored_until(tx, scoring.MORNING + timedelta(days=999)) == []


def test_a_day_without_its_digest_is_never_forgotten_nor_paid_twice(store):
    """It was held, and is run again after years."""
    with FakeAnthropic(scoring.scores_in_abstract) as fake:
        scoring.scored(store, scoring.claude(fake), scoring.papers(4))
        asked = len(fake.requests)
        night(store, 3000)
        again = scoring.scored(store, scoring.claude(fake), scoring.papers(4))
        assert (len(again.scores), len(fake.requests)) == (4, asked)


def test_an_unparsed_answer_is_kept(store):
    with FakeAnthropic(scoring.scores_in_abstract) as fake:
        read_day(store, fake, picked=4)
    with store.begin() as tx:
        tx.execute(update(call).values(state=ledger.CallState.ANSWERED))
    night(store, 181)
    assert kept(store)[2] == 1


def test_more_than_a_page_of_papers_is_forgotten(store):
    count = retention.PAPERS + 2
    with FakeAnthropic(scoring.scores_in_abstract) as fake:
        read_day(store, fake, picked=1)
    with store.begin() as tx:
        row = dict(tx.execute(select(score)).first()._mapping)
        there = dict(
            tx.execute(select(digest_paper).where(~digest_paper.c.picked)).first()._mapping
        )
        more = [{"paper_id": one.id} for one in scoring.papers(count)[4:]]
        papers.keep(tx, scoring.papers(count))
        tx.execute(insert(score), [row | one for one in more])
        tx.execute(insert(digest_paper), [there | one for one in more])
    assert len(kept(store)[0]) == count
    night(store, 181)
    assert kept(store) == ([scoring.papers(1)[0].id], 1, 0)


def test_old_picks_teach_no_order(store):
    """Of long ago only picks are left; the order is learnt from days of which all is known."""
    given = [scoring.paper(n, 9 if n <= 3 else 2, 9) for n in range(1, 7)]
    dated = [
        replace(one, published=one.published + timedelta(days=n)) for n, one in enumerate(given)
    ]
    account = ledger.Account("r", "f", "s", scoring.DAY, "me")
    with store.begin() as tx:
        papers.keep(tx, dated)
        found = [Score(one.id, "m", 9 if n < 3 else 2, 9) for n, one in enumerate(dated)]
        scores.keep(tx, account, 1, found, None)
        past = scores.training_papers(tx, account, 7, 7, 100)
    assert list(past.items()) == [(one.id, False) for one in dated[3:]]
