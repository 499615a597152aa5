"""What every source promises, asked of each one in SOURCES."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pkgutil import resolve_name

import pytest

from newsletter.domain.announcements import announcement, is_announced
from newsletter.settings import Settings
from newsletter.sources import SOURCES
from newsletter.sources.sample import DAY, read
from tests.fakes.arxiv import FakeArxiv, row

WINDOW = announcement(DAY)
ASKED = ("cs.LG", "astro-ph.GA")


def rows():
    """The sample day as arXiv would serve it, so that each source is asked for the same papers."""
    return [
        row(
            f"{paper.id}v{paper.version}",
            paper.published,
            paper.categories,
            title=paper.title,
            abstract=paper.abstract,
            authors=list(paper.authors),
            comment=paper.comment,
            journal_ref=paper.journal_ref,
            doi=paper.doi,
        )
        for paper in read()
    ]


@contextmanager
def opened(name):
    with FakeArxiv(rows()) as fake:
        settings = Settings(arxiv_api_url=fake.url, arxiv_delay_seconds=0)
        yield resolve_name(SOURCES[name])(settings)


@pytest.fixture(params=sorted(SOURCES))
def source(request):
    with opened(request.param) as made:
        yield made


def submitted(source, categories=ASKED, start=WINDOW.start, end=WINDOW.end, progress=None):
    return source.submitted(categories, start, end, progress or (lambda *_: None))


def test_every_source_gives_the_same_papers(source):
    wanted = [paper for paper in read() if set(ASKED) & set(paper.categories)]
    assert submitted(source) == wanted


def test_papers_come_once_and_by_id(source):
    found = [paper.id for paper in submitted(source)]
    assert found == sorted(set(found))
    assert found


def test_a_category_holds_its_cross_lists_and_nothing_else(source):
    found = submitted(source, ["quant-ph"])
    assert {paper.primary_category for paper in found} >= {"quant-ph"}
    assert all("quant-ph" in paper.categories for paper in found)
    assert submitted(source, ["hep-lat"]) == []


def test_a_window_is_half_open_and_windows_join(source):
    middle = submitted(source)[10].published
    before = submitted(source, end=middle)
    after = submitted(source, start=middle)
    assert max(paper.published for paper in before) < middle
    assert min(paper.published for paper in after) == middle
    joined = sorted([*before, *after], key=lambda paper: paper.id)
    assert joined == submitted(source)


def test_a_window_of_another_day_is_empty(source):
    day = timedelta(days=1)
    assert submitted(source, start=WINDOW.start - day, end=WINDOW.start) == []


def test_progress_ends_with_all(source):
    seen = []
    found = submitted(source, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(found), len(found))
    assert seen == sorted(seen)


def test_the_newest_announcement_is_public(source):
    now = datetime(2026, 5, 5, 12, tzinfo=UTC)
    day = source.newest(now)
    assert is_announced(day)
    assert announcement(day).public_from <= now
