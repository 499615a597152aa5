"""The bundled day is what it says: sixty papers, invented, varied, and nobody else's."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from importlib.resources import files

from newsletter.domain.announcements import announcement
from newsletter.settings import Settings
from newsletter.sources.sample import DAY, SampleSource, read


def test_it_holds_sixty_papers_of_one_announcement():
    papers = read()
    assert len(papers) == len({paper.id for paper in papers}) == 60
    assert len({paper.title for paper in papers}) == 60
    window = announcement(DAY)
    assert date(2025, 11, 18) == DAY
    assert all(window.start <= paper.published < window.end for paper in papers)


def test_every_paper_says_that_it_is_a_sample():
    about = json.loads(files("newsletter.sources").joinpath("sample_day.json").read_text("utf-8"))
    assert "invented" in about["about"]
    assert all("Sample paper, invented" in paper.comment for paper in read())


def test_no_real_paper_can_bear_its_ids():
    # arXiv numbers the papers of a month in turn, and no month has reached 40,000.
    assert all(90_001 <= int(paper.id.removeprefix("2511.")) <= 90_060 for paper in read())


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
