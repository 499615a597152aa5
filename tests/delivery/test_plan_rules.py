"""Whose mail it is time for, and which dates it holds, without a database."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from newsletter.delivery.plan_rules import (
    CATCH_UP,
    LOOK_BACK,
    DueMail,
    StoredDigests,
    due_mail_for,
    is_wanted,
    joined_by,
    last_of,
    parts_for,
)
from newsletter.domain.digest import StoredDigest
from newsletter.domain.mail import WEEKDAYS, WEEKLY
from newsletter.domain.model import DayKind
from newsletter.domain.segments import DeliverySchedule, ReaderPosition

ZONE, SEVEN = ZoneInfo("UTC"), time(7, 0)
INSTANT = timedelta(microseconds=1)
MON, TUE, WED, THU, FRI = (date(2026, 3, 2 + number) for number in range(5))
SAT = date(2026, 3, 7)
LAST_FRI, NEXT_MON, NEXT_TUE = date(2026, 2, 27), date(2026, 3, 9), date(2026, 3, 10)


def shelf(*days: date, kind: DayKind = DayKind.NORMAL) -> StoredDigests:
    """Digests frozen at half past one, each of one date."""
    made = [StoredDigest(n, day, kind, moment(day, 1, 30)) for n, day in enumerate(days, 1)]
    return StoredDigests("models", made, [(one.id, "models", one.date, one.date) for one in made])


def moment(day: date, hour: int = 7, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), UTC)


def habit(days: tuple[str, ...] = WEEKDAYS, send_at: str | None = None) -> DeliverySchedule:
    return DeliverySchedule(None, send_at, json.dumps(days))


def turn(
    there: StoredDigests, now: datetime, by: datetime | None = None, **wishes
) -> DueMail | None:
    return due_mail_for(there, habit(**wishes), now, by or now, ZONE, SEVEN)


def dates(parts: list[StoredDigest]) -> list[date]:
    return [one.date for one in parts]


def test_it_is_time_at_the_exact_instant_and_not_before() -> None:
    assert turn(shelf(MON), moment(MON) - INSTANT) is None
    assert turn(shelf(MON), moment(MON)) == DueMail(MON, moment(MON), weekly=False)
    assert turn(shelf(MON, TUE), moment(TUE)) == DueMail(TUE, moment(TUE), weekly=False)
    assert turn(shelf(MON, TUE), moment(TUE) - INSTANT) == DueMail(MON, moment(MON), weekly=False)


def test_what_is_due_soon_may_be_scheduled_up_to_the_instant_given() -> None:
    early = moment(MON, 6)
    assert turn(shelf(MON), early, moment(MON)) == DueMail(MON, moment(MON), weekly=False)
    assert turn(shelf(MON), early, moment(MON) - INSTANT) is None


def test_only_what_comes_on_its_own_day_is_scheduled_ahead() -> None:
    """Tuesday's for who reads on Thursdays waits, until it is due, for Thursday's."""
    early = moment(THU, 6)
    assert turn(shelf(TUE), early, moment(THU), days=("thu",)) is None
    assert turn(shelf(THU), early, moment(THU), days=("thu",)) is not None


def test_what_goes_with_the_next_announcement_waits_for_it_for_a_day() -> None:
    due = moment(THU)
    day = timedelta(days=1)
    assert turn(shelf(WED), due + day - INSTANT, days=("thu",)) is None
    assert turn(shelf(WED), due + day, days=("thu",)) == DueMail(WED, due, weekly=False)


def test_nothing_older_than_a_week_is_mailed() -> None:
    late = moment(MON) + CATCH_UP
    assert turn(shelf(MON), late) == DueMail(MON, moment(MON), weekly=False)
    assert turn(shelf(MON), moment(MON, 0) + CATCH_UP + timedelta(days=1)) is None
    assert turn(shelf(), late) is None


def test_a_weekly_reader_is_due_at_the_end_of_the_week() -> None:
    there = shelf(MON, TUE, WED, THU)
    assert turn(there, moment(THU), days=WEEKLY) is None
    whole = shelf(MON, TUE, WED, THU, FRI)
    assert turn(whole, moment(FRI), days=WEEKLY) == DueMail(FRI, moment(FRI), weekly=True)
    without_friday = shelf(MON, THU, NEXT_MON, NEXT_TUE)
    assert turn(without_friday, moment(NEXT_TUE), days=WEEKLY) == DueMail(
        THU, moment(NEXT_MON), weekly=True
    )
    assert turn(shelf(NEXT_MON), moment(NEXT_MON), days=WEEKLY) is None


def test_the_last_date_of_a_mail() -> None:
    assert last_of(shelf(MON, TUE), TUE, weekly=False) == TUE
    assert last_of(shelf(MON, FRI), FRI, weekly=True) == FRI
    assert last_of(shelf(THU, NEXT_MON), NEXT_MON, weekly=True) == THU
    assert last_of(shelf(MON, TUE), TUE, weekly=True) is None


def test_somebody_is_in_time_until_the_digest_was_made_or_was_due() -> None:
    """Who comes at the exact instant at which a late digest is made was not there before it."""
    due = moment(MON)
    assert joined_by(shelf(MON), MON, due) == due
    late = StoredDigests("models", [StoredDigest(1, MON, DayKind.NORMAL, due + timedelta(hours=5))])
    assert joined_by(late, MON, due) == due + timedelta(hours=5) - INSTANT
    assert joined_by(late, TUE, due) == due


WEEK = shelf(LAST_FRI, MON, TUE, WED, THU, FRI)


@pytest.mark.parametrize(
    ("standing", "daily", "weekly"),
    [
        # Who is ahead has a later mail already. A single day is given by itself, a week is not.
        (ReaderPosition(None, ahead=True), [FRI], []),
        (ReaderPosition(TUE), [WED, THU, FRI], [WED, THU, FRI]),
        (ReaderPosition(THU), [FRI], [FRI]),
        (ReaderPosition(FRI), [], []),
        (
            ReaderPosition(None),
            [LAST_FRI, MON, TUE, WED, THU, FRI],
            [LAST_FRI, MON, TUE, WED, THU, FRI],
        ),
        (ReaderPosition(None, new=True), [FRI], [MON, TUE, WED, THU, FRI]),
        (ReaderPosition(WED, new=True), [THU, FRI], [MON, TUE, WED, THU, FRI]),
        (ReaderPosition(LAST_FRI, new=True), [MON, TUE, WED, THU, FRI], [MON, TUE, WED, THU, FRI]),
        (ReaderPosition(FRI, new=True), [], []),
    ],
)
def test_the_dates_of_a_mail_by_where_its_reader_stands(standing, daily, weekly) -> None:
    assert dates(parts_for(WEEK, standing, FRI, weekly=False)) == daily
    assert dates(parts_for(WEEK, standing, FRI, weekly=True)) == weekly


def test_thirty_days_are_looked_back_and_no_more() -> None:
    edge = FRI - LOOK_BACK
    there = shelf(edge, edge + timedelta(days=1), FRI)
    for standing in (ReaderPosition(None), ReaderPosition(edge - timedelta(days=9))):
        assert dates(parts_for(there, standing, FRI, weekly=False)) == dates(there.frozen[1:])


def test_the_first_mail_where_nothing_was_made_before() -> None:
    new = ReaderPosition(None, new=True)
    assert dates(parts_for(shelf(FRI), new, FRI, weekly=False)) == [FRI]
    assert dates(parts_for(shelf(THU, FRI), new, FRI, weekly=False)) == [FRI]


def test_days_with_nothing_to_mail_are_no_part() -> None:
    assert shelf(MON, kind=DayKind.NOTHING_ANNOUNCED).parts(LAST_FRI, MON) == []
    assert dates(shelf(MON, TUE).parts(MON, TUE)) == [TUE]


def test_stored_digests_are_found_by_the_dates_they_cover() -> None:
    ids = [(1, "models", MON, MON), (2, "models", MON, WED), (3, "stars", TUE, TUE)]
    there = StoredDigests("models", [], ids)
    assert there.newest is None
    assert WEEK.newest == FRI
    assert [there.since(day) for day in (MON, TUE, WED, THU)] == [[1, 2, 3], [2, 3], [2], []]
    assert [there.over(day) for day in (LAST_FRI, MON, TUE, WED, THU)] == [[], [1, 2], [2], [2], []]
    assert [(one.date, one.ids) for one in there.before(WED)] == [(TUE, (3,)), (MON, (1,))]
    assert [one.date for one in there.before(THU)] == [WED, TUE, MON]


@pytest.mark.parametrize(
    ("days", "day", "today", "wanted"),
    [
        (("fri",), FRI, FRI, True),
        (("fri",), FRI, THU, True),
        (("thu",), FRI, THU, False),
        (("sat",), FRI, SAT, True),
        (("sun",), FRI, SAT, False),
        (("sun",), FRI, SAT + timedelta(days=1), True),
        (("mon",), FRI, NEXT_MON, False),
        (WEEKLY, TUE, TUE, True),
    ],
)
def test_whose_day_it_is(days, day, today, wanted) -> None:
    assert is_wanted(habit(days), day, today) is wanted
