"""The bundled day is what it says: sixty papers, invented, varied, and nobody else's."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from importlib.resources import files

from newsletter.domain.announcements import announcement
from newsletter.domain.model import NewsKind
from newsletter.domain.paper_news import PaperMetadata, news_of
from newsletter.domain.sample import is_sample
from newsletter.domain.withdrawals import is_withdrawn
from newsletter.settings import Settings
from newsletter.sources.sample import DAY, EARLIER, SampleSource, read, read_earlier


def test_it_holds_sixty_papers_of_one_announcement():
    papers = read()
    assert len(papers) == len({paper.id for paper in papers}) == 60
    assert len({paper.title for paper in papers}) == 60
    window = announcement(DAY)
    assert date(2025, 11, 18) == DAY
    assert all(window.start <= paper.published < window.end for paper in papers)


def test_it_says_that_its_papers_are_invented():
    about = json.loads(files("newsletter.sources").joinpath("sample_day.json").read_text("utf-8"))
    assert "invented" in about["about"]
    assert all(is_sample(paper.id) for paper in read())
    assert not any(map(is_sample, ("2511.39999", "0704.0001", "hep-th/9901001", "2511.12345")))


def test_no_real_paper_can_bear_its_ids():
    # arXiv numbers the papers of a month in turn, and no month has reached 40,000.
    papers = [*read(), *read_earlier()]
    assert all(90_001 <= int(paper.id.removeprefix("2511.")) <= 90_065 for paper in papers)


def test_five_papers_of_an_earlier_announcement_have_news_of_every_kind():
    papers, window = read_earlier(), announcement(EARLIER)
    assert all(window.start <= paper.published < window.end for paper in papers)
    assert all(is_sample(paper.id) for paper in papers)
    assert all(500 <= len(paper.abstract) <= 1_400 for paper in papers)
    current = SampleSource(Settings()).metadata([paper.id for paper in papers])
    news = {item.kind for old, new in zip(papers, current, strict=True) for item in told(old, new)}
    assert news == set(NewsKind) - {NewsKind.WITHDRAWN}
    assert [is_withdrawn(paper) for paper in current].count(True) == 1


def told(old, new):
    both = [PaperMetadata(one.title, one.comment, one.journal_ref, one.doi) for one in (old, new)]
    return news_of(*both)


def test_abstracts_are_as_long_as_real_ones():
    assert all(500 <= len(paper.abstract) <= 1_400 for paper in read())
    assert all(paper.abstract == " ".join(paper.abstract.split()) for paper in read())


def test_it_has_something_for_each_example_rubric_and_much_for_none():
    primary = [paper.primary_category for paper in read()]
    assert sum(name.startswith("astro-ph") for name in primary) >= 15
    assert sum("cs.LG" in paper.categories for paper in read()) >= 25
    assert sum(name.startswith(("math", "quant-ph", "cs.CL")) for name in primary) >= 8


def test_it_has_what_makes_real_text_hard():
    text = "\n".join(f"{paper.title}\n{paper.abstract}" for paper in read())
    for hard in ("$\\mathcal{O}(", "$\\boldsymbol{\\lambda}$", "\\emph{", "11% of", " & ", " < "):
        assert hard in text, hard
    names = " ".join(name for paper in read() for name in paper.authors)
    assert "Horv\\'ath" in names
    assert re.search(r"[À-ž]", names)


def test_it_is_the_newest_announcement_for_ever():
    sample = SampleSource(Settings())
    assert sample.newest(datetime(2031, 1, 1, tzinfo=UTC)) == DAY
