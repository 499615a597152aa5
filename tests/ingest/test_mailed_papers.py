"""Mailed papers are asked about each week, and their news goes into the next digest, once."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from newsletter.domain.announcements import following
from newsletter.domain.model import DayKind, NewsKind, PaperNews
from newsletter.ingest.mailed_papers import check_metadata
from newsletter.ingest.status import with_provenance
from newsletter.sources import SourceError
from newsletter.sources.arxiv.source import ArxivSource
from newsletter.store import Store, digests, paper_metadata
from newsletter.store.tables import digest, paper_news
from newsletter.store.tables import paper_metadata as metadata_table
from tests.fakes.arxiv import FakeArxiv, Reply, into_window, row, status
from tests.fakes.arxiv_timeline import TimelineSource, Version, withdrawal
from tests.fakes.mail import settings
from tests.fakes.pages import STARS, issue, paper
from tests.ingest.test_feed_check import morning
from tests.ingest.test_paper_versions import freeze
from tests.ingest.test_poll import MONDAY, TUESDAY, FetchService
from tests.render.gallery import issues

DAY, WEEK = timedelta(days=1), timedelta(days=7)
RECORDED = Path(__file__).parents[3] / "shared/corpus/feeds"
ACCEPTED = {"comment": "9 pages. Accepted at NeurIPS 2025"}


@pytest.fixture
def service(store):
    made = FetchService(store, "cs.LG", since=MONDAY)
    made.timeline.feedless.clear()
    return made


def check(service, requests=20, may_ask=lambda: True):
    return check_metadata(service.store, service.source, service.clock, may_ask, requests)


def days_of(count):
    days = [MONDAY]
    while len(days) < count:
        days.append(following(days[-1]))
    return days


def live(service, days, **noted):
    """Paper 1 is mailed on the first day, another one on each other day; returns the digests."""
    service.put(1, days[0], **noted)
    for number, day in enumerate(days[1:], 2):
        service.put(number, day)
    made = []
    for day in days:
        morning(service, day)
        check(service)
        made.append(freeze(service, day))
    return made


def requests_of(service):
    return sum(what == "metadata" for what, _ in service.source.asked)


def test_a_note_without_a_new_version_is_found_within_a_week_and_told_once(service):
    days = days_of(12)
    made = live(service, days, notes=((days[3], ACCEPTED),))
    told = [(day, news) for day, one in zip(days, made, strict=True) for news in one.news]
    [(day, news)] = told
    title = "Title of 2509.00001"
    said = "Accepted at NeurIPS 2025"
    assert news == PaperNews("2509.00001", title, MONDAY, NewsKind.ACCEPTED, said)
    assert day - MONDAY <= timedelta(days=8)


def test_a_later_publication_is_told_as_well_and_each_rubric_has_its_own_news(service):
    days = days_of(20)
    published = {"journal_ref": "PMLR 267 (2025)", "doi": "10.1000/abc"}
    service.put(1, MONDAY, notes=((days[3], ACCEPTED), (days[9], published)))
    other = replace(issues.RUBRIC, slug="other")
    told = {issues.RUBRIC.slug: [], "other": []}
    for number, day in enumerate(days[1:], 2):
        service.put(number, day)
    for day in days:
        morning(service, day)
        check(service)
        for rubric in (issues.RUBRIC, other):
            made = freeze(service, day, rubric=rubric, pick=rubric.slug == "other" or day != MONDAY)
            told[rubric.slug] += [(news.kind, news.doi) for news in made.news]
    assert told["other"] == [(NewsKind.ACCEPTED, ""), (NewsKind.PUBLISHED, "10.1000/abc")]
    assert told[issues.RUBRIC.slug] == []


def test_a_new_title_and_a_withdrawal_come_from_the_weekly_question_too(service):
    """The feed of those days cannot be read."""
    days = days_of(12)
    service.timeline.feedless |= {*days[4:]}
    service.put(100, MONDAY, versions=(Version(days[5], 2, {"title": "A better title"}),))
    service.put(101, MONDAY, versions=(withdrawal(days[5]),))
    made = live(service, days)
    news = [(one.kind, one.said) for each in made for one in each.news]
    assert news == [(NewsKind.RETITLED, "A better title")]
    assert [one.paper_id for each in made for one in each.withdrawn] == ["2509.00101"]


def test_a_day_that_is_not_mailed_leaves_its_news_to_the_next(service):
    days = days_of(9)
    service.put(1, MONDAY, notes=((TUESDAY, ACCEPTED),))
    for number, day in enumerate(days[1:], 2):
        service.put(number, day)
    for day in days[:7]:
        morning(service, day)
        freeze(service, day)
    morning(service, days[7])
    check(service)
    assert freeze(service, days[7], kind=DayKind.NOTHING_ANNOUNCED).news == ()
    morning(service, days[8])
    assert len(freeze(service, days[8]).news) == 1


def test_papers_are_asked_about_weekly_for_ninety_days(service):
    service.put(1, MONDAY)
    morning(service, MONDAY)
    freeze(service, MONDAY)
    start, asked = service.clock(), []
    for day in range(120):
        service.clock.now = start + day * DAY
        if check(service):
            asked.append(day)
    assert asked == [7 * week for week in range(1, 13)]


def fill(service, count):
    for number in range(1, count + 1):
        service.put(number, MONDAY)
    morning(service, MONDAY)
    freeze(service, MONDAY)
    service.clock.now += WEEK


def test_a_hundred_papers_in_a_request_and_no_more_requests_than_allowed(service):
    fill(service, 250)
    assert check(service, requests=1) == 100
    assert (check(service), requests_of(service)) == (150, 3)
    assert (check(service), requests_of(service)) == (0, 3)


def test_nothing_is_asked_while_an_announcement_is_waited_for(service):
    fill(service, 250)
    answers = iter((True, False))
    assert check(service, may_ask=lambda: next(answers)) == 100


def test_a_failed_request_ends_the_check_and_is_repeated_another_day(service):
    fill(service, 150)

    class Down(TimelineSource):
        def metadata(self, ids):
            super().metadata(ids)
            message = "503"
            raise SourceError(message)

    good, service.source = service.source, Down(service.timeline)
    assert (check(service), requests_of(service)) == (0, 1)
    service.source = good
    assert check(service) == 50
    service.clock.now += timedelta(hours=19)
    assert check(service) == 0
    service.clock.now += timedelta(hours=1)
    assert check(service) == 100


def test_a_process_killed_after_the_request_loses_nothing(service):
    fill(service, 3)
    url = service.store.url.render_as_string(hide_password=False)
    if (child := os.fork()) == 0:

        class Killed(TimelineSource):
            def metadata(self, ids):
                super().metadata(ids)
                os.kill(os.getpid(), signal.SIGKILL)

        service.store = Store(url)
        service.source = Killed(service.timeline)
        check(service)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert check(service) == 0
    service.clock.now += DAY
    assert check(service) == 3


def test_two_processes_ask_about_no_paper_twice(service):
    fill(service, 150)
    now = service.clock()
    with service.store.read() as tx:
        both = [paper_metadata.due(tx, now, 100) for _ in range(2)]
    with service.store.begin() as tx:
        first = paper_metadata.claim(tx, both[0], now)
    with service.store.begin() as tx:
        assert paper_metadata.claim(tx, both[1], now) == []
    with service.store.read() as tx:
        assert len(set(first) | set(paper_metadata.due(tx, now, 100))) == 150


def test_a_paper_that_arxiv_does_not_know_any_more_is_no_news(service):
    fill(service, 1)
    del service.timeline.by_id["2509.00001"]
    assert check(service) == 1
    morning(service, following(service.clock().date()))
    with service.store.read() as tx:
        seen = tx.execute(select(metadata_table.c.seen_at, metadata_table.c.title)).one()
    assert (seen.seen_at is not None, seen.title) == (True, "")
    assert freeze(service, following(service.clock().date())).news == ()


def test_two_digests_that_found_the_same_news_tell_it_once(service):
    days = days_of(10)
    service.put(1, MONDAY, notes=((TUESDAY, ACCEPTED),))
    for number, day in enumerate(days[1:], 2):
        service.put(number, day)
    for day in days[:8]:
        morning(service, day)
        freeze(service, day)
    check(service)
    bodies = []
    for day in days[8:]:
        morning(service, day)
        made = replace(issues.digest(()), date=day)
        with service.store.read() as tx:
            bodies.append(with_provenance(tx, made, WEEK))
    assert [len(made.news) for made in bodies] == [1, 1]
    for made in bodies:
        with service.store.begin() as tx:
            digests.save(tx, made, service.clock())
    with service.store.read() as tx:
        kept = [digests.load(tx, issues.RUBRIC.slug, day) for day in days[8:]]
        rows = tx.execute(select(paper_news.c.kind, digest.c.date).join(digest)).all()
    assert [len(found[1].news) for found in kept if found] == [1, 0]
    assert rows == [("accepted", days[8])]


def mailed_a_week_ago(store, papers):
    issue(store, STARS, MONDAY, papers)
    with store.begin() as tx:
        [(at,)] = tx.execute(select(digest.c.at)).all()
    return at + WEEK


def arxiv(fake):
    chosen = settings(arxiv_api_url=fake.url, arxiv_delay_seconds=0, source="arxiv")
    return ArxivSource(chosen, lambda _seconds: None)


def test_over_http_a_hundred_ids_go_in_one_request_that_is_not_repeated(store):
    mailed = [paper(f"2509.{number:05d}") for number in range(1, 121)]
    now = mailed_a_week_ago(store, mailed)
    rows = into_window([row(f"{one.id}v1", one.published) for one in mailed], TUESDAY)
    with FakeArxiv(rows) as fake:
        fake.fail(status(503))
        source = arxiv(fake)
        assert check_metadata(store, source, lambda: now, lambda: True, 20) == 0
        assert len(fake.requests) == 1
        assert len(fake.requests[0].params["id_list"].split(",")) == 100
        assert check_metadata(store, source, lambda: now, lambda: True, 20) == 19
        assert check_metadata(store, source, lambda: now + DAY, lambda: True, 20) == 100
        assert len(fake.requests) == 3


@pytest.mark.skipif(not RECORDED.is_dir(), reason="needs the recorded answers of ../shared/corpus")
def test_a_recorded_page_of_arxiv_tells_what_became_of_its_papers(store):
    body = (RECORDED / "api-page-100-entries.xml").read_bytes()
    # It was recorded as the first page of a search.
    body = re.sub(rb"totalResults>\d+<", b"totalResults>100<", body)
    with FakeArxiv() as fake:
        fake.always = lambda _request, _reply: Reply(body)
        shown = arxiv(fake).metadata(["2509.00001"])
        mailed = [replace(one, comment="", journal_ref="", doi="") for one in shown]
        now = mailed_a_week_ago(store, [*mailed, paper("1")])
        assert check_metadata(store, arxiv(fake), lambda: now, lambda: True, 1) == 100
    with store.read() as tx:
        made = with_provenance(tx, replace(issues.digest(()), rubric=STARS, date=TUESDAY), WEEK)
    kinds = [one.kind for one in made.news]
    assert (kinds.count(NewsKind.PUBLISHED), kinds.count(NewsKind.ACCEPTED)) == (36, 24)
