"""A short stretch of the simulated year, with all its troubles; and that it finds what is broken.

Each fault takes the place of one function of the product for a few days of a small installation,
and the simulation must report it, in the words of the check that a reader would use.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from newsletter.delivery import plan_rules, planner
from newsletter.domain import digest, send_times
from newsletter.domain.announcements import announcement
from newsletter.domain.digest import _keyed
from newsletter.domain.mail import WEEKDAYS
from newsletter.domain.send_times import due_at
from newsletter.inbound import reply_parser
from newsletter.ingest import feed_check, observe
from newsletter.ingest.decide import late_cutoffs
from newsletter.jobs import housekeeping
from newsletter.store import digests, inbound, paper_news, subscribers, subscriptions, votes
from newsletter.store.subscriptions import set_preferences
from newsletter.store.votes import pooled
from tests.simulations.simulate_year import check, simulate
from tests.simulations.year import Year

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST = date(2025, 10, 20)
SPAN = timedelta(days=9)


def lived(tmp_path, year: Year):
    service = simulate(year, tmp_path)
    found = check(year, service)
    service.close()
    return found


def test_ten_days_with_every_trouble_serve_everyone_once_and_in_time(tmp_path):
    year = Year(FIRST, FIRST + SPAN)
    year.readers = year.readers[::4] + year.readers[-21:]
    found = lived(tmp_path, year)
    assert found.wrong == []
    assert min(found.checked.values()) > 0
    assert len(found.checked) == 28


class Fault(NamedTuple):
    """What stands in the places of a function, and the check that must not hold then."""

    places: tuple[tuple[object, str], ...]
    broken: Callable
    found: str
    days: int = 7
    papers_a_day: int = 8
    readers: tuple[str, ...] = ("berlin-models",)
    feedless: tuple[date, ...] = ()

    @property
    def year(self) -> Year:
        made = Year(FIRST, FIRST + timedelta(days=self.days), papers_a_day=self.papers_a_day)
        made.readers = [one for one in made.readers if one.name in self.readers]
        made.timeline.feedless |= set(self.feedless)
        return made


def a_day_late(*given):
    return due_at(*given) + timedelta(days=1)


def by_a_fixed_offset(day: date, zone, hour: time, weekdays=WEEKDAYS) -> datetime:
    """As if the clocks of summer were those of the year."""
    del weekdays
    public = announcement(day).public_from
    offset = datetime(2025, 7, 1, tzinfo=zone).utcoffset()
    at = datetime.combine((public + offset).date(), hour, UTC) - offset
    return at if at >= public else at + timedelta(days=1)


def without_lookback(request, categories):
    return late_cutoffs(request._replace(lookback=timedelta(0)), categories)


def for_all_rubrics(tx, subscription_id, wishes, now):
    known = subscriptions.by_id(tx, subscription_id)
    for one in subscriptions.of_subscriber(tx, known.subscriber_id):
        set_preferences(tx, one.id, wishes, now)


ASKER = ("asker-asks", "asker-reads")
FAULTS = {
    "the lookback is cut to nothing": Fault(
        ((observe, "late_cutoffs"),),
        without_lookback,
        "a paper is in one digest of a rubric",
        days=11,
        papers_a_day=24,
        readers=("kolkata-words",),
        # Papers of the first days were held until these, which have no list that names them.
        feedless=(date(2025, 10, 29), date(2025, 10, 30)),
    ),
    # `digests.uncovered` alone may fail: what is listed, and what is left over, is told apart too.
    "what a digest covers is forgotten": Fault(
        ((digests, "_cover"),),
        lambda *_: None,
        "a reader is sent a paper once",
        days=4,
        readers=("utc-models",),
    ),
    "mail is due a day late": Fault(
        ((send_times, "due_at"),), a_day_late, "a mail comes at its hour"
    ),
    "who reads weekly is served daily": Fault(
        ((plan_rules, "is_weekly"), (planner, "is_weekly")),
        lambda _habit: False,
        "one mail for a week",
        readers=("weekly-utc",),
    ),
    "clocks never change": Fault(
        ((send_times, "due_at"),), by_a_fixed_offset, "a mail comes at its hour"
    ),
    "any list of arXiv's is taken for the day's": Fault(
        ((feed_check, "_is_fresh"),),
        lambda _day, _category, _lines: True,
        "a paper is in the digest of its day",
    ),
    "who asked for Mondays is asked on the announcement's day": Fault(
        ((send_times, "due_of"),),
        lambda day, reader, zone, hour: due_at(day, send_times.zone_of(reader, zone), hour),
        "one mail on a weekday asked for",
        readers=("mondays",),
    ),
    "which news was told is forgotten": Fault(
        ((paper_news, "claim"),),
        lambda _tx, _digest_id, digest: digest,
        "news is told once at most",
        days=10,
    ),
    "nobody asks about mailed papers": Fault(
        ((housekeeping, "check_metadata"),), lambda *_: 0, "news is told", days=10
    ),
    "a pause that a reply asks for is not stored": Fault(
        ((subscribers, "pause_until"),),
        lambda *_: True,
        "no mail while paused or after leaving",
        days=16,
        readers=(*ASKER, "berlin-models", "kolkata-words"),
    ),
    "a pause has no end": Fault(
        ((subscribers, "end_pauses"),),
        lambda *_: 0,
        "what a reply asked for holds from the next issue on",
        days=29,
        readers=(*ASKER, "berlin-models", "kolkata-words"),
    ),
    "a reply about one rubric changes all of them": Fault(
        ((subscriptions, "set_preferences"),),
        for_all_rubrics,
        "what a reply asked for holds from the next issue on",
        readers=ASKER,
    ),
    "every command is answered": Fault(
        ((inbound, "may_answer"),),
        lambda *_: True,
        "at most five answers go out on a day",
        readers=ASKER,
    ),
    "an absence notice is read as a command": Fault(
        ((reply_parser, "_is_automatic"),),
        lambda *_: False,
        "a machine is never answered",
        readers=ASKER,
    ),
    "votes of one rubric order all of them": Fault(
        ((votes, "pooled"),),
        lambda tx, _rubric: pooled(tx, "numbers"),
        "no order changes without earlier votes",
        days=10,
        papers_a_day=24,
        readers=("voter-votes", "berlin-models"),
    ),
    "votes drop a pick": Fault(
        ((digest, "_keyed"),),
        lambda picks, learned, *, judged: _keyed(picks, learned, judged=judged)[1:],
        "votes change no picks",
        days=10,
        papers_a_day=24,
        readers=("voter-votes",),
    ),
    "votes are not counted": Fault(
        ((votes, "pooled"),),
        lambda *_: [],
        "what votes ask for stands first",
        days=10,
        papers_a_day=24,
        readers=("voter-votes",),
    ),
}


@contextmanager
def broken(fault: Fault) -> Iterator[None]:
    whole = [(place, name, getattr(place, name)) for place, name in fault.places]
    for place, name, _ in whole:
        setattr(place, name, fault.broken)
    try:
        yield
    finally:
        for place, name, was in whole:
            setattr(place, name, was)


@pytest.mark.parametrize("name", FAULTS)
def test_the_simulation_finds_what_is_broken(name, tmp_path):
    fault = FAULTS[name]
    with broken(fault):
        found = lived(tmp_path, fault.year)
    assert fault.found in {case.partition(":")[0] for case in found.wrong}
