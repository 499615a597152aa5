"""What is listed under which date: once for ever, nothing lost, nothing stolen."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from newsletter.domain import announcements
from newsletter.domain.announcements import FetchRecord, announcement, following, previous
from newsletter.domain.model import Paper
from newsletter.ingest.fetch import AnnouncementLate, FetchResult, NotAnnouncedError, fetch
from newsletter.sources import SourceError
from newsletter.store import papers as shelf
from newsletter.store.tables import fetched, listing
from tests.suite_size import LARGE

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2025, 9, day) for day in range(22, 27))
HOUR = timedelta(hours=1)


def morning(day: date) -> datetime:
    """Seven o'clock UTC of the day: its announcement has been public since the night."""
    return datetime(day.year, day.month, day.day, 7, tzinfo=UTC)


def paper(number: int, day: date, *categories: str) -> Paper:
    """A paper submitted in the window of the announcement of `day`."""
    submitted = announcement(day).start + HOUR
    return Paper(
        id=f"2509.{number:05d}",
        version=1,
        title=f"Title {number}",
        authors=("Ada Author", "Émile Writer"),
        abstract=f"Abstract {number}",
        primary_category=(categories or ("cs.LG",))[0],
        categories=categories or ("cs.LG",),
        published=submitted,
        updated=submitted,
    )


@dataclass
class ArxivInMemory:
    """An arXiv in memory. It shows what it holds; a test puts papers in when they become public."""

    papers: list[Paper] = field(default_factory=list)
    asked: list[tuple[tuple[str, ...], datetime, datetime]] = field(default_factory=list)
    broken: bool = False

    def newest(self, now: datetime) -> date:
        return announcements.newest(now)

    def submitted(self, categories, start, end, progress) -> list[Paper]:
        self.asked.append((tuple(categories), start, end))
        if self.broken:
            message = "arXiv is down"
            raise SourceError(message)
        found = [
            each
            for each in self.papers
            if start <= each.published < end and set(categories) & set(each.categories)
        ]
        progress(len(found), len(found))
        return sorted(found, key=lambda each: each.id)


def run(store, arxiv, day=None, now=None, categories=("cs.LG",), lookback=7) -> FetchResult:
    now = now or morning(day)
    return fetch(
        store, arxiv, categories, day, now, lookback_days=lookback, progress=lambda *_: None
    )


def on(store, day, *categories):
    """Ids listed under the day, those that came late with a star."""
    with store.read() as tx:
        found = shelf.listed(tx, categories or ("cs.LG",), day)
    return [entry.paper.id[-2:] + "*" * entry.late for entry in found]


def test_the_first_fetch_takes_the_newest_announcement_alone(store):
    arxiv = ArxivInMemory([paper(1, MONDAY), paper(2, TUESDAY), paper(3, WEDNESDAY)])
    assert run(store, arxiv, now=morning(TUESDAY)) == FetchResult(TUESDAY, 1, 0, already=False)
    assert on(store, TUESDAY) == ["02"]
    window = announcement(TUESDAY)
    assert arxiv.asked == [(("cs.LG",), window.start, window.end)]


def test_a_second_fetch_of_the_day_asks_nobody(store):
    arxiv = ArxivInMemory([paper(1, TUESDAY)])
    run(store, arxiv, TUESDAY)
    arxiv.asked.clear()
    arxiv.papers.append(paper(2, TUESDAY))
    assert run(store, arxiv, TUESDAY) == FetchResult(TUESDAY, 1, 0, already=True)
    assert arxiv.asked == []


def test_papers_come_back_as_they_were(store):
    first = replace(
        paper(1, TUESDAY, "cs.LG", "math.ST"),
        title="$\\mathcal{O}(n)$ 50% Ðặng",
        comment="2 figures",
    )
    run(store, ArxivInMemory([first]), TUESDAY)
    with store.read() as tx:
        (entry,) = shelf.listed(tx, ("cs.LG",), TUESDAY)
    assert entry.paper == first
    assert not entry.late


def test_a_stray_is_late_and_listed_once_for_ever(store):
    arxiv = ArxivInMemory([paper(1, TUESDAY)])
    run(store, arxiv, TUESDAY)
    arxiv.papers += [paper(2, TUESDAY), paper(3, WEDNESDAY)]
    assert run(store, arxiv, WEDNESDAY) == FetchResult(WEDNESDAY, 2, 1, already=False)
    assert on(store, WEDNESDAY) == ["02*", "03"]
    arxiv.papers += [paper(4, THURSDAY), paper(5, FRIDAY)]
    run(store, arxiv, THURSDAY)
    run(store, arxiv, FRIDAY)
    assert on(store, THURSDAY) == ["04"]
    assert on(store, FRIDAY) == ["05"]


def test_announcements_missed_while_down_come_late(store):
    arxiv = ArxivInMemory([paper(1, MONDAY)])
    run(store, arxiv, MONDAY)
    arxiv.papers += [paper(2, TUESDAY), paper(3, WEDNESDAY), paper(4, THURSDAY)]
    assert run(store, arxiv, now=morning(THURSDAY)) == FetchResult(THURSDAY, 3, 2, already=False)
    assert on(store, THURSDAY) == ["02*", "03*", "04"]


def test_nobody_looks_back_further_than_told(store):
    arxiv = ArxivInMemory()
    day = MONDAY - timedelta(days=21)
    while day < FRIDAY:
        run(store, arxiv, day, now=morning(day) + 24 * HOUR)
        day = following(day)
    old, found_by_id = announcement(FRIDAY).start - timedelta(days=7), timedelta(seconds=1)
    arxiv.papers += [
        replace(paper(1, FRIDAY), published=old - found_by_id),
        replace(paper(2, FRIDAY), published=old),
        paper(3, FRIDAY),
    ]
    run(store, arxiv, FRIDAY)
    assert on(store, FRIDAY) == ["02*", "03"]


def test_without_lookback_nothing_is_late(store):
    arxiv = ArxivInMemory([paper(1, MONDAY)])
    run(store, arxiv, MONDAY)
    arxiv.papers += [paper(2, MONDAY), paper(3, TUESDAY)]
    arxiv.asked.clear()
    run(store, arxiv, TUESDAY, lookback=0)
    assert on(store, TUESDAY) == ["03"]
    assert len(arxiv.asked) == 1


def test_what_was_submitted_before_the_service_began_is_no_stray(store):
    arxiv = ArxivInMemory([paper(1, MONDAY), paper(2, TUESDAY)])
    run(store, arxiv, TUESDAY)
    arxiv.papers += [paper(3, MONDAY), paper(4, WEDNESDAY)]
    run(store, arxiv, WEDNESDAY)
    assert on(store, WEDNESDAY) == ["04"]


def test_a_cross_list_of_the_next_day_is_late_in_its_own_category_only(store):
    both = ("cs.AI", "cs.LG")
    arxiv = ArxivInMemory([paper(1, TUESDAY, "cs.LG")])
    run(store, arxiv, TUESDAY, categories=both)
    arxiv.papers = [paper(1, TUESDAY, "cs.LG", "cs.AI"), paper(2, WEDNESDAY, "cs.AI")]
    run(store, arxiv, WEDNESDAY, categories=both)
    assert on(store, TUESDAY, *both) == ["01"]
    assert on(store, WEDNESDAY, *both) == ["02"]
    assert on(store, WEDNESDAY, "cs.AI") == ["01*", "02"]
    assert on(store, WEDNESDAY, "cs.LG") == []
    with store.read() as tx:
        (entry, _) = shelf.listed(tx, ("cs.AI",), WEDNESDAY)
    assert entry.paper.categories == ("cs.LG", "cs.AI")


def test_a_new_rubrics_category_is_fetched_alone_and_begins_today(store):
    arxiv = ArxivInMemory(
        [paper(1, TUESDAY), paper(2, TUESDAY, "cs.CL"), paper(3, MONDAY, "cs.CL")]
    )
    arxiv.papers += [paper(4, MONDAY), paper(5, WEDNESDAY)]
    run(store, arxiv, MONDAY)
    run(store, arxiv, TUESDAY)
    arxiv.asked.clear()
    outcome = run(store, arxiv, TUESDAY, categories=("cs.LG", "cs.CL"))
    assert outcome == FetchResult(TUESDAY, 2, 0, already=False)
    assert [categories for categories, _, _ in arxiv.asked] == [("cs.CL",)]
    run(store, arxiv, WEDNESDAY, categories=("cs.LG", "cs.CL"))
    assert on(store, WEDNESDAY, "cs.CL") == []


def test_a_past_date_neither_steals_nor_doubles(store):
    arxiv = ArxivInMemory(
        [paper(1, MONDAY), paper(2, TUESDAY), paper(3, WEDNESDAY), paper(4, THURSDAY)]
    )
    run(store, arxiv, MONDAY)
    run(store, arxiv, THURSDAY)
    before = on(store, THURSDAY)
    assert before == ["02*", "03*", "04"]
    late = morning(THURSDAY) + HOUR
    assert run(store, arxiv, WEDNESDAY, now=late) == FetchResult(WEDNESDAY, 0, 0, already=False)
    assert on(store, THURSDAY) == before
    assert on(store, WEDNESDAY) == []


def test_a_past_date_takes_its_own_window_and_leaves_strays_to_the_newest(store):
    arxiv = ArxivInMemory([paper(1, MONDAY), paper(4, THURSDAY)])
    run(store, arxiv, MONDAY)
    run(store, arxiv, THURSDAY)
    arxiv.papers += [paper(5, MONDAY), paper(6, WEDNESDAY)]
    run(store, arxiv, WEDNESDAY, now=morning(THURSDAY) + HOUR)
    assert on(store, WEDNESDAY) == ["06"]
    arxiv.papers.append(paper(7, FRIDAY))
    run(store, arxiv, FRIDAY)
    assert on(store, FRIDAY) == ["05*", "07"]


def test_an_earlier_date_moves_the_beginning_and_only_that(store):
    arxiv = ArxivInMemory([paper(1, MONDAY), paper(2, TUESDAY), paper(3, WEDNESDAY)])
    run(store, arxiv, WEDNESDAY)
    run(store, arxiv, MONDAY, now=morning(WEDNESDAY) + HOUR)
    assert on(store, MONDAY) == ["01"]
    assert on(store, WEDNESDAY) == ["03"]
    arxiv.papers.append(paper(4, THURSDAY))
    run(store, arxiv, THURSDAY)
    assert on(store, THURSDAY) == ["02*", "04"]


def test_past_dates_in_a_row_have_late_arrivals_as_well(store):
    now = morning(date(2026, 11, 20))
    arxiv = ArxivInMemory([paper(1, MONDAY)])
    run(store, arxiv, MONDAY, now=now)
    arxiv.papers += [paper(2, MONDAY), paper(3, TUESDAY)]
    run(store, arxiv, TUESDAY, now=now + HOUR)
    assert on(store, TUESDAY) == ["02*", "03"]


def test_an_old_date_somebody_tried_out_does_not_bring_a_week_of_strays(store):
    new = date(2026, 11, 20)
    arxiv = ArxivInMemory([paper(1, TUESDAY), paper(2, previous(new)), paper(3, new)])
    run(store, arxiv, TUESDAY, now=morning(new) - HOUR)
    run(store, arxiv, now=morning(new))
    assert on(store, new) == ["03"]


def test_a_service_down_for_weeks_still_looks_back(store):
    new = date(2025, 10, 24)
    arxiv = ArxivInMemory([paper(1, TUESDAY)])
    run(store, arxiv, TUESDAY)
    arxiv.papers += [paper(2, previous(new)), paper(3, new)]
    run(store, arxiv, now=morning(new))
    assert on(store, new) == ["02*", "03"]


def test_the_newest_announcement_without_papers_is_late_and_nothing_is_recorded(store):
    arxiv = ArxivInMemory([paper(1, MONDAY)])
    run(store, arxiv, MONDAY)
    public = announcement(TUESDAY).public_from
    for now in (public, public + 24 * HOUR - timedelta(seconds=1)):
        for day in (None, TUESDAY):
            with pytest.raises(AnnouncementLate) as caught:
                run(store, arxiv, day, now=now)
            assert caught.value.date == TUESDAY
    with store.read() as tx:
        assert shelf.unfetched(tx, ("cs.LG",), TUESDAY) == {"cs.LG"}
    arxiv.papers.append(paper(2, TUESDAY))
    assert run(store, arxiv, now=public + HOUR) == FetchResult(TUESDAY, 1, 0, already=False)


def test_a_quiet_category_does_not_hold_a_batch_that_is_out(store):
    arxiv = ArxivInMemory([paper(1, TUESDAY)])
    run(store, arxiv, TUESDAY)
    outcome = run(store, arxiv, TUESDAY, categories=("cs.LG", "hep-lat"))
    assert outcome == FetchResult(TUESDAY, 1, 0, already=False)
    assert run(store, arxiv, TUESDAY, categories=("hep-lat",)).already


def test_an_empty_announcement_is_nothing_announced_after_a_day(store):
    arxiv = ArxivInMemory()
    saturday = announcement(FRIDAY).public_from + 24 * HOUR
    assert run(store, arxiv, now=saturday) == FetchResult(FRIDAY, 0, 0, already=False)
    assert run(store, arxiv, now=saturday) == FetchResult(FRIDAY, 0, 0, already=True)
    # So it was a holiday: its papers are announced with the next date, and are not late there.
    monday = following(FRIDAY)
    arxiv.papers += [paper(1, FRIDAY), paper(2, monday)]
    run(store, arxiv, monday)
    assert on(store, monday) == ["01", "02"]


def test_an_older_empty_date_is_recorded_at_once(store):
    arxiv = ArxivInMemory()
    outcome = run(store, arxiv, MONDAY, now=announcement(TUESDAY).public_from)
    assert outcome == FetchResult(MONDAY, 0, 0, already=False)


@pytest.mark.parametrize("failing", [1, 2])
def test_a_source_that_fails_leaves_nothing_behind(store, failing):
    arxiv = ArxivInMemory([paper(1, MONDAY), paper(2, TUESDAY)])
    run(store, arxiv, MONDAY)
    arxiv.papers.append(paper(3, MONDAY))

    class Failing(ArxivInMemory):
        def submitted(self, *given):
            self.broken = len(self.asked) + 1 == failing
            return super().submitted(*given)

    with pytest.raises(SourceError):
        run(store, Failing(arxiv.papers), TUESDAY)
    assert on(store, TUESDAY) == []
    run(store, arxiv, TUESDAY)
    assert on(store, TUESDAY) == ["02", "03*"]


@pytest.mark.parametrize("day", [date(2025, 9, 20), THURSDAY])
def test_a_date_without_a_public_announcement_is_refused(store, day):
    arxiv = ArxivInMemory()
    with pytest.raises(NotAnnouncedError) as caught:
        run(store, arxiv, day, now=morning(WEDNESDAY))
    assert caught.value.exit_status == 2
    assert arxiv.asked == []


def test_the_words_of_a_paper_stay_those_it_was_first_listed_with(store):
    first = paper(1, TUESDAY, "cs.LG")
    run(store, ArxivInMemory([first]), TUESDAY, categories=("cs.LG", "cs.AI"))
    second = replace(first, version=2, title="Other", categories=("cs.LG", "cs.AI"))
    run(
        store,
        ArxivInMemory([second, paper(2, WEDNESDAY)]),
        WEDNESDAY,
        categories=("cs.LG", "cs.AI"),
    )
    with store.read() as tx:
        (entry,) = shelf.listed(tx, ("cs.LG",), TUESDAY)
    assert entry.paper == replace(first, categories=("cs.LG", "cs.AI"))


def test_two_fetches_at_once_list_everything_once(store):
    arxiv = ArxivInMemory([paper(1, TUESDAY), paper(2, TUESDAY)])

    class Overtaken(ArxivInMemory):
        def submitted(self, *given):
            if not self.asked:
                run(store, arxiv, TUESDAY)
            return super().submitted(*given)

    outcome = run(store, Overtaken([paper(1, TUESDAY), paper(3, TUESDAY)]), TUESDAY)
    assert outcome == FetchResult(TUESDAY, 3, 0, already=False)
    with store.read() as tx:
        assert len(tx.execute(select(listing)).all()) == 3
        assert len(tx.execute(select(fetched)).all()) == 1


def test_through_twelve_weeks_every_paper_is_listed_once(store):
    """Most papers become public on their day, some one or four announcements later."""
    days = [MONDAY]
    while len(days) < 60:
        days.append(following(days[-1]))
    arxiv = ArxivInMemory()
    hidden: dict[date, list[Paper]] = {}
    for number, day in enumerate(days):
        delay = (0, 0, 1, 0, 4)[number % 5]
        shown = days[min(number + delay, len(days) - 1)]
        hidden.setdefault(shown, []).append(paper(number, day, "cs.LG"))
    for day in days:
        arxiv.papers += hidden.get(day, [])
        arxiv.papers.append(paper(1000 + days.index(day), day, "cs.AI"))
        run(store, arxiv, day, categories=("cs.LG", "cs.AI"))
    with store.read() as tx:
        listings = [e for day in days for e in shelf.listed(tx, ("cs.LG", "cs.AI"), day)]
    assert sorted(e.paper.id for e in listings) == sorted(each.id for each in arxiv.papers)


def test_hundreds_of_papers_are_no_trouble_for_either_database(store):
    arxiv = ArxivInMemory([paper(n, TUESDAY, "cs.LG", "cs.AI") for n in range(1200)])
    outcome = run(store, arxiv, TUESDAY, categories=("cs.LG", "cs.AI"))
    assert outcome.papers == 1200
    with store.read() as tx:
        assert shelf.unfetched(tx, ("cs.LG", "cs.AI", "cs.CL"), TUESDAY) == {"cs.CL"}
        counts = tx.execute(select(fetched.c.papers)).scalars().all()
    assert counts == [1200, 1200]


class DigestsOfRubric:
    """A rubric's digests as the daily run makes them: what is listed and in no earlier digest."""

    def __init__(self, *categories: str) -> None:
        self.categories = categories
        self.began: date | None = None
        self.sent: list[str] = []

    def compose(self, store, day):
        self.began = self.began or day
        with store.read() as tx:
            found = [entry.paper.id for entry in shelf.listed(tx, self.categories, day)]
        self.sent += [each for each in found if each not in self.sent]
        return found


def _shown(rng, number, day, days):
    """When the paper becomes public and, for some, a day later with one category more."""
    names = rng.sample(["cs.LG", "cs.AI", "cs.CL"], k=rng.choice([1, 1, 2]))
    whole = paper(number, day, *names)
    when = days.index(day) + rng.choice([0, 0, 0, 0, 0, 1, 2])
    if len(names) == 1:
        return [(when, whole)]
    return [(when, replace(whole, categories=names[:1])), (when + 1, whole)]


@pytest.mark.parametrize("seed", range(8 if LARGE else 3))
def test_whatever_happens_no_paper_is_lost(store, seed):
    """Holds, later cross-lists, days down, a rubric that joins, past dates asked for afterwards."""
    rng = random.Random(seed)  # noqa: S311 - a fixed course of events, no secret
    days = [MONDAY]
    while len(days) < 30:
        days.append(following(days[-1]))
    calendar = [shown for n in range(90) for shown in _shown(rng, n, days[n // 3], days)]
    arxiv = ArxivInMemory()
    early, narrow, joining = (
        DigestsOfRubric("cs.LG", "cs.AI"),
        DigestsOfRubric("cs.AI"),
        DigestsOfRubric("cs.CL"),
    )
    missed: list[date] = []
    for index, day in enumerate(days):
        public = {each.id: each for when, each in calendar if when <= index}
        arxiv.papers = list(public.values())
        desks = [early, narrow] + [joining] * (index >= 8)
        categories = sorted({name for desk in desks for name in desk.categories})
        if index < 24 and not missed and rng.random() < 0.3:
            missed.append(day)
            continue
        dates = [day, *(missed if rng.random() < 0.5 else [])]
        for each in dates:
            now = announcement(day).public_from + (24 if each == day else 25) * HOUR
            run(store, arxiv, each, now=now, categories=categories)
            for desk in desks:
                desk.compose(store, each)
        missed.clear()
    for desk in (early, narrow, joining):
        due = {
            each.id
            for each in public.values()
            if set(each.categories) & set(desk.categories)
            and announcement(desk.began).start <= each.published < announcement(days[-5]).start
        }
        assert due
        assert due <= set(desk.sent)


def test_the_first_fetch_is_remembered_beside_the_latest(store):
    days = [date(2025, 1, 6), date(2025, 6, 2), date(2026, 1, 5)]
    with store.begin() as tx:
        for day in days:
            shelf.mark_fetched(tx, [FetchRecord("cs.LG", day, datetime(2026, 1, 5, tzinfo=UTC), 3)])
        found = shelf.fetches(tx, ["cs.LG"], date(2025, 12, 1))
        assert [one.date for one in found] == [days[0], days[2]]
        assert [one.date for one in shelf.fetches(tx, ["cs.LG"])] == days
