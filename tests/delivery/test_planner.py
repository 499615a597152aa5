"""Each mail holds what was announced since the reader's last one: once, and nothing left out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from threading import Barrier, Thread
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, insert, select, update

from newsletter.delivery.planner import plan_all, plan_due, rubrics_with_mail_due
from newsletter.domain.digest import compose, merge_digests
from newsletter.domain.mail import WEEKLY, DeliveryState, Subscription
from newsletter.domain.model import (
    Criterion,
    DayKind,
    Listing,
    Outcome,
    Paper,
    Rubric,
    Score,
    Usage,
)
from newsletter.domain.model import Withdrawal as Withdrawn
from newsletter.store import digests, subscribers, subscriptions
from newsletter.store.tables import delivery
from newsletter.store.tables import digest as digest_table
from newsletter.store.tables import paper as paper_table
from tests.fakes.query_plans import StatementLog

if TYPE_CHECKING:
    from newsletter.domain.model import Digest
    from newsletter.store import Store

UTC_ZONE, SEVEN = ZoneInfo("UTC"), time(7, 0)
LONG_AGO = datetime(2026, 1, 5, tzinfo=UTC)
# A week of March 2026, before and after which nothing special is announced.
MON, TUE, WED, THU, FRI = (date(2026, 3, 2 + number) for number in range(5))
NEXT_MON, NEXT_TUE = date(2026, 3, 9), date(2026, 3, 10)
LAST_FRI = date(2026, 2, 27)


def rubric(max_papers: int | None = None, slug: str = "models") -> Rubric:
    criteria = (Criterion(1, "One", "- body"),)
    return Rubric(slug, "Models", ("cs.LG",), criteria, max_papers=max_papers)


def paper(name: str) -> Paper:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    return Paper(name, 1, name, ("Ann",), "Abstract", "cs.LG", ("cs.LG",), moment, moment)


def daily(day: date, *scores: int, of: Rubric | None = None) -> Digest:
    """A digest whose papers are named by day and score; below 7 is no pick."""
    names = {f"{day:%m%d}-{score}": score for score in scores}
    return compose(
        of or rubric(),
        day,
        [Listing(paper(name)) for name in names],
        {name: Score(name, "m", score, 8) for name, score in names.items()},
        dict.fromkeys(names, Outcome.SCORED),
        [Usage("m", 10, 20, input_nanos=500)],
        judged=True,
        prompt="read",
    )


def _subscription(name: str, wishes: dict) -> Subscription:
    return Subscription(name * 32, f"{name}@example.org", **{"rubric": "models", **wishes})


@dataclass
class PlannedService:
    """A service whose digests are frozen at half past one in the morning."""

    store: Store

    def made(self, *days: date, scores: tuple[int, ...] = (9, 7, 3), slug: str = "models") -> None:
        for day in days:
            made = daily(day, *scores, of=rubric(slug=slug))
            at = datetime.combine(day, time(1, 30), UTC)
            with self.store.begin() as tx:
                for name in made.coverage.papers:
                    row = asdict(paper(name))
                    known = select(paper_table.c.id).where(paper_table.c.id == name)
                    if not tx.execute(known).first():
                        tx.execute(insert(paper_table).values(row))
                digests.save(tx, made, at)

    def add_reader(self, name: str, at: datetime = LONG_AGO, **wishes) -> None:
        with self.store.begin() as tx:
            subscriptions.insert_new(tx, _subscription(name, wishes), at)

    def change_preferences(self, name: str, at: datetime, **wishes) -> None:
        with self.store.begin() as tx:
            known = subscriptions.by_id(tx, name * 32)
            subscriptions.change(tx, known, _subscription(name, wishes), at)

    def pause(self, name: str, at: datetime) -> None:
        with self.store.begin() as tx:
            assert subscribers.pause(tx, name * 32, "page", at)

    def resume(self, name: str, at: datetime) -> None:
        with self.store.begin() as tx:
            assert subscribers.resume(tx, name * 32, "page", at)

    def wake(self, day: date, hour: int = 8, slug: str = "models") -> list[str]:
        """Who is owed which dates since the last call, as `a 02-06` of March."""
        now = datetime.combine(day, time(hour), UTC)
        self.plan(now, slug)
        return self.sent()

    def plan(self, now: datetime, slug: str = "models") -> None:
        """What a wake-up of the service plans for one rubric."""
        for some in rubrics_with_mail_due(self.store, now):
            if some.stored.slug == slug:
                plan_due(self.store, some, now, UTC_ZONE, SEVEN)

    def run(self, day: date, today: date | None = None) -> list[str]:
        plan_all(self.store, "models", day, datetime.combine(today or day, time(2), UTC))
        return self.sent()

    def sent(self) -> list[str]:
        query = (
            select(delivery.c.subscriber_id, digest_table.c.since, digest_table.c.date)
            .join_from(delivery, digest_table)
            .where(delivery.c.state == DeliveryState.PENDING.value)
            .order_by(delivery.c.subscriber_id)
        )
        with self.store.begin() as tx:
            found = [f"{row[0][0]} {row[1]:%d}-{row[2]:%d}" for row in tx.execute(query)]
            waits = delivery.c.state == DeliveryState.PENDING.value
            tx.execute(update(delivery).where(waits).values(state=DeliveryState.ACCEPTED.value))
        return found


@pytest.fixture
def service(store):
    return PlannedService(store)


def test_a_run_on_a_weekend_serves_who_asked_for_it(service):
    service.add_reader("a", days=("sat",))
    service.add_reader("b", days=("sun", "fri"))
    service.made(THU, FRI)
    assert service.run(THU) == []
    assert service.run(FRI) == ["b 06-06"]
    assert service.run(FRI, FRI + timedelta(days=1)) == ["a 06-06"]
    assert service.run(FRI, FRI + timedelta(days=2)) == []


def test_a_daily_reader_gets_each_day_and_none_twice(service):
    service.add_reader("a")
    for day in (MON, TUE, WED):
        service.made(day)
        assert service.wake(day, 6) == []
        assert service.wake(day, 7) == [f"a {day:%d}-{day:%d}"]
        assert service.wake(day, 9) == []


def test_a_wake_up_at_which_nobody_lacks_anything_writes_nothing(service):
    service.add_reader("a", timezone="Asia/Tokyo")
    service.add_reader("b", timezone="America/New_York")
    for day in (MON, TUE):
        service.made(day)
        service.wake(day, 23)
    service.made(WED)
    written = []
    note = written.append
    event.listen(service.store.engine, "commit", note)
    service.plan(datetime.combine(WED, time(2), UTC))
    event.remove(service.store.engine, "commit", note)
    assert written == []


def test_a_weekly_reader_gets_the_week_with_its_last_announcement(service):
    service.add_reader("a", days=WEEKLY)
    service.add_reader("b", days=WEEKLY, send_at=time(9, 0))
    for day in (MON, TUE, WED, THU):
        service.made(day)
        assert service.wake(day) == []
    service.made(FRI)
    assert service.wake(FRI, 8) == ["a 02-06"]
    assert service.wake(FRI, 9) == ["b 02-06"]
    service.made(NEXT_MON)
    assert service.wake(NEXT_MON) == []
    with service.store.read() as tx:
        rows = tx.execute(select(digest_table).where(digest_table.c.since == MON)).all()
    # The week is one row for both, costs nothing once more, and its days are untouched.
    assert [(row.date, row.announced, row.cost_nanos) for row in rows if row.date == FRI] == [
        (FRI, 15, 0)
    ]


def test_a_week_whose_friday_is_missing_comes_with_the_next_digest(service):
    service.add_reader("a", days=WEEKLY)
    service.made(MON, TUE, THU)
    assert service.wake(FRI) == []
    service.made(NEXT_MON)
    assert service.wake(NEXT_MON) == ["a 02-05"]
    service.made(NEXT_TUE)
    assert service.wake(NEXT_TUE) == []


def test_a_week_ends_before_a_holiday(service):
    # After Thanksgiving arXiv announces nothing on the Friday.
    service.add_reader("a", days=WEEKLY, at=datetime(2026, 11, 1, tzinfo=UTC))
    service.made(*(date(2026, 11, day) for day in (23, 24, 25)))
    assert service.wake(date(2026, 11, 25)) == []
    service.made(date(2026, 11, 26))
    assert service.wake(date(2026, 11, 26)) == ["a 23-26"]


def test_days_between_the_chosen_ones_come_along(service):
    service.add_reader("a", days=("mon", "thu"))
    service.made(LAST_FRI, MON)
    assert service.wake(MON) == ["a 02-02"]
    service.made(TUE)
    assert service.wake(TUE) == []
    service.made(WED, THU)
    assert service.wake(THU) == ["a 03-05"]


@pytest.mark.parametrize(("zone", "hour"), [("Asia/Tokyo", 22), ("Pacific/Auckland", 18)])
def test_who_waits_for_a_weekday_is_sent_what_gathered(service, zone, hour):
    """Seven on Mondays there is Sunday in UTC, and before Monday's announcement."""
    service.add_reader("a", timezone=zone, days=("mon",))
    service.add_reader("b", timezone=zone, days=("mon",), at=datetime(2026, 3, 5, 12, tzinfo=UTC))
    service.made(LAST_FRI)
    assert service.wake(date(2026, 3, 1), hour) == ["a 27-27"]
    for day in (MON, TUE, WED, THU, FRI):
        service.made(day)
        assert service.wake(day, 23) == []
    sunday = date(2026, 3, 8)
    assert service.wake(sunday, hour - 1) == []
    # The second reader joined on Thursday and gets nothing that was public by then.
    assert service.wake(sunday, hour) == ["a 02-06", "b 06-06"]
    assert service.wake(sunday, hour + 1) == []


def test_what_is_due_with_a_late_announcement_waits_for_it_for_a_day(service):
    service.add_reader("a", days=("mon", "thu"))
    service.made(LAST_FRI, MON)
    assert service.wake(MON) == ["a 02-02"]
    service.made(TUE, WED)
    assert service.wake(THU, 23) == []
    assert service.wake(FRI, 6) == []
    assert service.wake(FRI, 7) == ["a 03-04"]
    service.made(THU)
    assert service.wake(FRI, 8) == ["a 05-05"]
    service.made(FRI, NEXT_MON)
    assert service.wake(NEXT_MON) == ["a 06-09"]


def test_a_pause_ends_with_one_mail_of_what_was_missed(service):
    service.add_reader("a")
    service.add_reader("b")
    service.made(MON)
    assert service.wake(MON) == ["a 02-02", "b 02-02"]
    service.pause("a", datetime(2026, 3, 2, 12, tzinfo=UTC))
    for day in (TUE, WED, THU):
        service.made(day)
        assert service.wake(day) == [f"b {day:%d}-{day:%d}"]
    service.resume("a", datetime(2026, 3, 5, 10, tzinfo=UTC))
    assert service.wake(THU, 11) == []
    service.made(FRI)
    assert service.wake(FRI) == ["a 03-06", "b 06-06"]
    service.made(NEXT_MON)
    assert service.wake(NEXT_MON) == ["a 09-09", "b 09-09"]


def test_a_long_pause_is_made_up_for_thirty_days(service):
    service.add_reader("a")
    start = date(2026, 1, 26)
    service.made(start)
    assert service.wake(start) == ["a 26-26"]
    service.pause("a", datetime(2026, 1, 26, 12, tzinfo=UTC))
    service.made(*(day for n in range(1, 37) if (day := start + timedelta(n)).weekday() < 5))
    service.resume("a", datetime(2026, 3, 3, 12, tzinfo=UTC))
    service.made(WED)
    assert service.wake(WED) == ["a 03-04"]
    with service.store.read() as tx:
        rows = tx.execute(select(digest_table).where(digest_table.c.since != digest_table.c.date))
        [row] = rows
    assert (row.since, row.date) == (date(2026, 2, 3), WED)


def test_a_mail_skipped_by_a_pause_comes_with_the_next(service):
    service.add_reader("a")
    service.made(LAST_FRI)
    assert service.wake(LAST_FRI) == ["a 27-27"]
    service.made(MON)
    now = datetime(2026, 3, 2, 7, tzinfo=UTC)
    service.plan(now)
    with service.store.begin() as tx:
        waits = delivery.c.state == DeliveryState.PENDING.value
        tx.execute(update(delivery).where(waits).values(state=DeliveryState.SKIPPED.value))
    service.pause("a", now)
    service.resume("a", now + timedelta(minutes=5))
    assert service.wake(MON, 9) == []
    service.made(TUE)
    assert service.wake(TUE) == ["a 02-03"]


@pytest.mark.parametrize(
    ("before", "after", "when", "expected"),
    [
        # Weekly from Wednesday noon on: the rest of the week, without what was mailed.
        ({}, {"days": WEEKLY}, WED, {FRI: ["a 05-06"]}),
        # Daily again on Wednesday: what the week had so far comes at once.
        ({"days": WEEKLY}, {}, WED, {WED: ["a 02-04"], THU: ["a 05-05"], FRI: ["a 06-06"]}),
        # Another hour or zone moves the mail and doubles none.
        ({}, {"send_at": time(5, 0)}, WED, {THU: ["a 05-05"], FRI: ["a 06-06"]}),
        ({}, {"timezone": "Asia/Tokyo"}, WED, {THU: [], FRI: ["a 05-05"]}),
        ({}, {"timezone": "America/New_York"}, WED, {WED: [], THU: ["a 05-05"]}),
    ],
)
def test_changed_wishes_repeat_nothing_and_lose_nothing(service, before, after, when, expected):
    service.add_reader("a", **before)
    service.made(LAST_FRI)
    service.wake(LAST_FRI)
    for day in (MON, TUE, WED, THU, FRI):
        service.made(day)
        if day == when:
            service.wake(day, 8)
            service.change_preferences("a", datetime.combine(day, time(12), UTC), **after)
        found = service.wake(day, 13)
        if day in expected:
            assert found == expected[day]


def test_another_rubric_floods_nobody(service):
    service.add_reader("a")
    for day in (MON, TUE):
        service.made(day)
        service.made(day, slug="stars")
        assert service.wake(day) == [f"a {day:%d}-{day:%d}"]
    service.change_preferences("a", datetime(2026, 3, 3, 12, tzinfo=UTC), rubric="stars")
    assert service.wake(TUE, 13, slug="stars") == []
    service.made(WED, slug="stars")
    assert service.wake(WED, slug="stars") == ["a 04-04"]


def test_who_confirms_late_gets_nothing_of_before(service):
    person = Subscription("a" * 32, "a@example.org", "models")
    waits = Subscription(**{**_fields(person), "state": "pending"})
    with service.store.begin() as tx:
        subscriptions.insert_new(tx, waits, LONG_AGO)
    service.made(MON, TUE)
    with service.store.begin() as tx:
        assert subscriptions.activate(tx, "a" * 32, "yes", datetime(2026, 3, 3, 9, tzinfo=UTC))
    assert service.wake(TUE, 10) == []
    service.made(WED)
    assert service.wake(WED) == ["a 04-04"]


def test_a_new_weekly_reader_gets_the_week_in_which_they_joined(service):
    service.made(LAST_FRI, MON, TUE)
    service.add_reader("a", days=WEEKLY, at=datetime(2026, 3, 3, 12, tzinfo=UTC))
    service.add_reader("b", days=WEEKLY, at=datetime(2026, 3, 7, 12, tzinfo=UTC))
    service.made(WED, THU, FRI)
    assert service.wake(FRI) == ["a 02-06"]
    service.made(NEXT_MON)
    assert service.wake(NEXT_MON) == []


def test_a_batch_that_came_late_is_mailed_once_it_is_made(service):
    service.add_reader("a")
    # They joined after the hour, but before there was a digest that they could have missed.
    service.add_reader("b", at=datetime(2026, 3, 2, 9, tzinfo=UTC))
    assert service.wake(MON, 12) == []
    with service.store.begin() as tx:
        tx.execute(insert(paper_table).values(asdict(paper("0302-9"))))
        digests.save(tx, daily(MON, 9), datetime(2026, 3, 2, 13, tzinfo=UTC))
    assert service.wake(MON, 13) == ["a 02-02", "b 02-02"]


def test_a_day_without_announcement_is_passed_over(service):
    service.add_reader("a")
    service.add_reader("w", days=WEEKLY)
    service.made(MON)
    assert service.wake(MON) == ["a 02-02"]
    service.made(TUE, scores=())
    assert service.wake(TUE) == []
    service.made(WED, THU)
    service.wake(THU)
    service.made(FRI, scores=())
    assert service.wake(FRI) == ["w 02-05"]


def test_run_serves_everybody_whatever_the_hour(service):
    service.add_reader("a", send_at=time(23, 0))
    service.add_reader("m", days=("mon",))
    service.add_reader("w", days=WEEKLY)
    service.made(MON, TUE)
    assert service.run(MON) == ["a 02-02", "m 02-02"]
    assert service.run(TUE) == ["a 03-03"]
    assert service.run(TUE) == []
    service.made(LAST_FRI)
    # A date from before the last mail: who has not had it gets it by itself.
    assert service.run(LAST_FRI) == ["a 27-27", "w 27-27"]


def test_planning_a_day_reads_the_readers_three_times(service):
    """Their schedules, the new deliveries, and the numbers of those without one."""
    for name in "abc":
        service.add_reader(name)
    for day in (MON, TUE):
        service.made(day)
        with StatementLog() as log:
            assert len(service.run(day)) == 3
        of_readers = [one.text for one in log.sent if "JOIN subscriber" in one.text]
        assert len(of_readers) == 3, of_readers


def test_a_run_mails_one_day_and_several_days_at_once(service):
    service.add_reader("a")
    service.add_reader("b")
    service.made(LAST_FRI)
    assert service.run(LAST_FRI) == ["a 27-27", "b 27-27"]
    service.pause("b", datetime(2026, 3, 1, 12, tzinfo=UTC))
    service.made(MON)
    assert service.run(MON) == ["a 02-02"]
    service.resume("b", datetime(2026, 3, 2, 12, tzinfo=UTC))
    service.add_reader("c", datetime(2026, 3, 2, 12, tzinfo=UTC))
    service.made(TUE)
    assert service.run(TUE) == ["a 03-03", "b 02-03", "c 03-03"]
    assert service.run(TUE) == []


def test_two_planners_at_once_put_each_reader_in_one_place(service):
    """Whoever plans second sees what the first has planned."""
    for number in range(6):
        service.add_reader("abcdef"[number], days=WEEKLY if number % 2 else ("mon", "fri"))
    service.made(MON)
    service.wake(MON)
    service.made(TUE, WED, THU, FRI)
    start = Barrier(2)

    def plan() -> None:
        start.wait()
        now = datetime(2026, 3, 6, 8, tzinfo=UTC)
        service.plan(now)

    threads = [Thread(target=plan) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert service.sent() == ["a 03-06", "b 02-06", "c 03-06", "d 02-06", "e 03-06", "f 02-06"]


def test_a_sum_has_the_best_of_its_days_and_a_receipt_that_adds_up():
    best = rubric(max_papers=3)
    parts = [daily(MON, 9, 7, 3, of=best), daily(TUE, 8, 7, 2, of=best), daily(WED, 10, of=best)]
    week = merge_digests(parts)
    assert [pick.paper.id for pick in week.picks] == ["0304-10", "0302-9", "0303-8"]
    assert (week.first_date, week.date, week.beyond) == (MON, WED, 2)
    assert (week.coverage.announced, week.coverage.adds_up) == (7, True)
    assert week.usage == (Usage("m", 30, 60, input_nanos=1500),)
    assert week.kind is DayKind.NORMAL
    assert merge_digests([daily(MON, 3), daily(TUE, 2)]).kind is DayKind.NOTHING_MET


def test_what_was_withdrawn_within_the_range_is_no_pick_of_it():
    old = Withdrawn("old", "Of February", LAST_FRI)
    gone = Withdrawn("0302-9", "Of Monday", MON)
    week = merge_digests([daily(MON, 9, 7), replace(daily(TUE, 8), withdrawn=(old, gone))])
    assert [pick.paper.id for pick in week.picks] == ["0303-8", "0302-7"]
    assert week.withdrawn == (old,)


def _fields(person: Subscription) -> dict:
    return {name: getattr(person, name) for name in person.__slots__}
