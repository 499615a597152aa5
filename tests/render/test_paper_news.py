# ruff: noqa: RUF001 - typographic characters are intended
"""News of earlier papers in the email's two parts, on the page and in the feed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from bs4 import BeautifulSoup

from newsletter.domain.digest import merge_digests
from newsletter.domain.mail import Format
from newsletter.domain.model import NewsKind, PaperNews, Withdrawal
from newsletter.render import Renderer
from newsletter.render.paper_news import MAX_ENTRIES, entries
from newsletter.web.feed import feed
from newsletter.web.issue_view import issue_values
from tests.fakes.mail import LINKS
from tests.render.gallery.issues import NAV, READER, RUBRIC, SITE, digest, many, news, pick
from tests.render.gallery.mails import HOSTILE

RENDERER = Renderer(SITE)
SENT = date(2025, 9, 12)
HEADING = "Since this rubric’s previous issue"


def told(kind, said, paper_id="2507.00001", doi="", title="On <b>graphs</b> & $k$"):
    return PaperNews(paper_id, title, SENT, kind, said, doi)


def shown(issue, fmt=Format.FULL):
    html, text = RENDERER.digest(issue, NAV, fmt).for_reader(READER)
    return BeautifulSoup(html, "lxml"), text


def words(soup):
    return " ".join(soup.get_text(" ").replace("\xa0", " ").replace(" :", ":").split())


def atom(issue):
    body = feed(RUBRIC, [issue], {issue.date: datetime(2025, 9, 23, tzinfo=UTC)}, LINKS, "arXiv")
    return BeautifulSoup(BeautifulSoup(body, "xml").find("content").get_text(), "lxml")


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (told(NewsKind.ACCEPTED, "Accepted at NeurIPS 2025"), "Accepted at NeurIPS 2025"),
        (told(NewsKind.ACCEPTED, "to appear in ApJ."), "Accepted: to appear in ApJ"),
        (told(NewsKind.PUBLISHED, "PRD 112 (2025)", doi="10.1/x"), "Published: PRD 112 (2025)"),
        (told(NewsKind.PUBLISHED, "", doi="10.1103/x"), "Published"),
        (told(NewsKind.RETITLED, "New & <i>better</i>"), "New title: New & <i>better</i>"),
    ],
)
def test_each_kind_is_told_in_all_four_places_in_the_words_of_arxiv(item, line):
    issue = digest((pick(1),), news=(item,))
    page, text = shown(issue)
    assert HEADING in words(page)
    assert HEADING.upper() in text
    assert f"On <b>graphs</b> & k {line} " in words(page)
    assert f"    {line.replace('<i', '< i').replace('</i', '< /i')}\n" in text
    # In the mail by arXiv's DOI of the paper: links to arxiv.org/abs are the day's picks.
    addresses = ("https://doi.org/10.48550/arXiv.2507.00001", "https://arxiv.org/abs/2507.00001")
    for place, address in zip((page, atom(issue)), addresses, strict=True):
        link = place.find("a", string="On <b>graphs</b> & k")
        assert link["href"] == address
        assert place.find("i", string="better") is None
    assert line in words(atom(issue))
    [entry] = issue_values(issue)["news"]
    assert "".join(entry.statements[0][:2]) == line
    assert "sent 12 Sep 2025" in words(page)


def test_a_doi_is_a_link_and_a_url_is_shown_by_its_host():
    accepted = told(NewsKind.ACCEPTED, "Accepted at X; code: https://github.com/a/b", "2507.2")
    page, text = shown(digest((), news=(told(NewsKind.PUBLISHED, "", doi="10.1103/x"), accepted)))
    assert page.find("a", string="DOI")["href"] == "https://doi.org/10.1103/x"
    assert "https://doi.org/10.1103/x" in text
    assert "code: github.com · sent" in words(page)


def test_a_paper_with_several_news_is_one_entry_and_withdrawals_come_first():
    both = (told(NewsKind.PUBLISHED, "PRD 1"), told(NewsKind.RETITLED, "Anew"))
    gone = Withdrawal("2509.00009", "Gone", date(2025, 9, 20), "Withdrawn: error in Lemma 2")
    found = entries(digest((), news=both, withdrawn=(gone,)))
    assert [(one.id, [label for label, _, _ in one.statements]) for one in found] == [
        ("2509.00009", ["Withdrawn"]),
        ("2507.00001", ["New title", "Published"]),
    ]
    page, text = shown(digest((), withdrawn=(gone,)))
    assert "Gone Withdrawn: error in Lemma 2 · sent 20 Sep 2025" in words(page)
    assert "    Withdrawn: error in Lemma 2\n" in text


def test_without_news_nothing_is_shown():
    page, text = shown(digest((pick(1),)))
    for part in (words(page), text.lower(), words(atom(digest((pick(1),))))):
        assert "previous issue" not in part


def test_the_text_part_and_the_page_have_all_news_the_html_part_the_first():
    issue = digest(many((pick(1),), 5), **news(10))
    page, text = shown(issue)
    heading = page.find("h2", string=HEADING)
    assert len(heading.find_next("ul").find_all("li")) == MAX_ENTRIES
    more = heading.find_next("p").a
    assert more.get_text() == f"{40 - MAX_ENTRIES} more on the web"
    assert more["href"] == f"{NAV.issue_url}#news"
    assert text.count("\n    Sent ") == 40
    assert len(issue_values(issue)["news"]) == 40


def test_a_long_issue_names_three_papers_in_running_text():
    long = "An energy-based transformer that was retracted, part 1 of a very long title"
    gone = Withdrawal("2508.00001", long, SENT, "error in Lemma 2")
    both = (told(NewsKind.RETITLED, "Anew"), told(NewsKind.PUBLISHED, "PRD 1"))
    more = tuple(told(NewsKind.ACCEPTED, "Accepted at X", f"2507.1000{n}") for n in range(3))
    issue = digest(many((pick(1),), 48), news=(*both, *more), withdrawn=(gone,))
    page, text = shown(issue)
    said = words(page.find("h2", string=HEADING).find_next_sibling())
    title = "On <b>graphs</b> & k"
    assert said == (
        f"An energy-based transformer that was retracted…: withdrawn; {title}: new title, "
        f"published; {title}: accepted; 2 more on the web"
    )
    assert text.count("\n    Sent ") == 5


@pytest.mark.parametrize("fmt", list(Format))
@pytest.mark.parametrize("picks", [1, 48, 400])
def test_with_the_longest_news_every_pick_is_still_named(picks, fmt):
    long = "Ж&" * 300
    issue = digest(many((pick(1),), picks), **news(40, said=long, title=long))
    html = RENDERER.digest(issue, NAV, fmt).for_reader(READER)[0]
    assert len(html.encode()) < 100_000
    assert "did not fit" not in html


def test_markup_in_news_is_escaped():
    page, _ = shown(digest((pick(1),), **news(1, said=HOSTILE, title=HOSTILE, doi=HOSTILE)))
    assert page.find("script") is None
    assert "{{ 7*7 }}" in words(page)
    assert not set("\u202e\u202c\x07") & set(page.get_text())


def test_an_issue_of_several_days_has_the_news_of_all_of_them():
    news_of_day = [told(NewsKind.ACCEPTED, "Accepted at A", f"2507.0000{n}") for n in range(3)]
    parts = [
        replace(digest((pick(n + 1),), news=(item,)), date=date(2025, 9, 22 + n))
        for n, item in enumerate(news_of_day)
    ]
    gone = Withdrawal("2507.00000", "Gone", SENT)
    parts[2] = replace(parts[2], withdrawn=(gone,))
    merged = merge_digests(parts)
    assert [one.paper_id for one in merged.news] == ["2507.00001", "2507.00002"]
    page, _ = shown(merged)
    assert "News of earlier papers" in words(page)
