# ruff: noqa: RUF001 - typographic quotation marks are intended
from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from newsletter.domain.mail import Format
from newsletter.render import Renderer
from newsletter.render.author_note import doi_link, links_of, note_of
from tests.render.gallery.issues import NAV, READER, SITE, digest, paper, pick

RENDERER = Renderer(SITE)
CODE = "https://github.com/snu-mllab/Q-Palette"


def urls(**fields: str) -> list[str]:
    return [link.url for link in links_of(paper(1, **fields))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"The code is available at {CODE}.", [CODE]),
        (
            f"Code ({CODE}), data: http://data.example.org/a_b;",
            [CODE, "http://data.example.org/a_b"],
        ),
        (
            r"\href{https://github.com/m/a.git}{https://github.com/m/a}",
            ["https://github.com/m/a.git"],
        ),
        (r"see \url{https://example.org/a\_b}", ["https://example.org/a_b"]),
        ("https://en.wikipedia.org/wiki/A_(b) is", ["https://en.wikipedia.org/wiki/A_(b)"]),
        ("ours is arXiv: https://arxiv.org/abs/2509.1 and https://doi.org/10.1/2", []),
        ("javascript:alert(1) ftp://a.example.org //a.example.org mailto:a@example.org", []),
        ("https://user:pw@example.org https://example.org:8443/ https://127.0.0.1/", []),
        ("https://localhost/ https://bücher.example https://[::1]/ https://[broken", []),
        ("https://example.org/" + "a" * 300, []),
        ("https://a.example.org https://b.example.org https://c.example.org", None),
    ],
)
def test_links_of_the_abstract(text, found):
    expected = ["https://a.example.org", "https://b.example.org"] if found is None else found
    assert urls(abstract=text) == expected


def test_a_link_is_shown_by_its_host():
    [link] = links_of(paper(1, comment="Page: HTTPS://WWW.Example.org/Page"))
    assert link == ("example.org", "HTTPS://WWW.Example.org/Page")


@pytest.mark.parametrize(
    ("comment", "journal", "note"),
    [
        ("NeurIPS 2025 Spotlight", "", "NeurIPS 2025 Spotlight"),
        ("under review.", "Phys. Rev. D 1 (2025)", "under review · Phys. Rev. D 1 (2025)"),
        (f"Code: {CODE}, 9 pages", "", "Code: github.com, 9 pages"),
        ("-", "", ""),
        (CODE, "", ""),
        ("", "", ""),
        ("<b>\u202eevil\u202c", "", "<b>evil"),
    ],
)
def test_the_note_has_comment_and_journal_reference(comment, journal, note):
    assert note_of(paper(1, comment=comment, journal_ref=journal)) == note


@pytest.mark.parametrize(
    ("doi", "url"),
    [
        ("10.1103/PhysRevD.1", "https://doi.org/10.1103/PhysRevD.1"),
        ("10.1/a 10.2/b", ""),
        ("10.1000/a 10.2000/b", "https://doi.org/10.1000/a"),
        ('10.1000/a">', "https://doi.org/10.1000/a"),
        ("javascript:alert(1)", ""),
    ],
)
def test_the_first_doi_is_a_link(doi, url):
    assert doi_link(doi) == url


def test_the_email_shows_the_note_and_its_links_in_the_card():
    noted = {"comment": f"NeurIPS 2025. {CODE}", "journal_ref": "J. Sparse 1", "doi": "10.1000/a"}
    issue = digest((pick(1, **noted), *(pick(n) for n in range(2, 6))))
    html, text = RENDERER.digest(issue, NAV, Format.FULL).for_reader(READER)
    page = BeautifulSoup(html, "lxml")
    note = "NeurIPS 2025. github.com · J. Sparse 1"
    assert page.find("p", string=f"Authors’ note: {note}")
    assert [link["href"] for link in page.find_all("a", string="github.com")] == [CODE, CODE]
    assert page.find("a", string="DOI")["href"] == "https://doi.org/10.1000/a"
    assert f"Authors’ note: {note}" in text
    assert f"    {CODE}\n    https://doi.org/10.1000/a\n" in text
    assert text.count(CODE) == 1
    best = text[: text.index("ALL 5")]
    assert f"Ada Lovelace, Charles Babbage · {note}" in " ".join(best.split())
