"""A paper's page and the downloads, over real HTTP, read by parsers that others wrote."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import rispy
from pybtex.database import parse_string

from newsletter.store import paper_versions, papers
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes.browser import Browser, served
from tests.fakes.pages import (
    LINKS,
    NOW,
    SECRET,
    STARS,
    THURSDAY,
    TUESDAY,
    application,
    issue,
    make_site,
    paper,
)
from tests.fakes.query_plans import StatementLog

FIRST = replace(paper("1"), id="2509.00001", doi="10.1000/12")
OLD = replace(paper("2"), id="astro-ph/0309136")
HIDDEN = replace(
    paper("5", "Hidden thing"),
    id="2509.00005",
    primary_category="math.CO",
    categories=("math.CO",),
)


@pytest.fixture
def web(store):
    issue(store, STARS, TUESDAY, [FIRST, OLD, paper("3")])
    issue(store, STARS, THURSDAY, [replace(paper("4", "Cold & dwarf_stars"), id="2509.00004")])
    issue(store, SECRET, TUESDAY, [HIDDEN])
    with served(create_app(make_site(store))) as browser:
        yield browser


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("/archive/stars/2025-09-23", ["2509.00001", "astro-ph/0309136"]),
        ("/archive/stars/2025-09", ["2509.00001", "astro-ph/0309136", "2509.00004"]),
        ("/papers/2509.00001", ["2509.00001"]),
        ("/papers/astro-ph/0309136", ["astro-ph/0309136"]),
    ],
)
def test_downloads_hold_the_papers_of_their_page(web: Browser, path: str, ids: list[str]):
    entries = parse_string(web.get(f"{path}.bib").text, "bibtex").entries.values()
    assert sorted(entry.fields["eprint"] for entry in entries) == sorted(ids)
    found = rispy.loads(web.get(f"{path}.ris").text)
    assert sorted(one["number"].removeprefix("arXiv:") for one in found) == sorted(ids)
    text = web.get(f"{path}.md").text
    assert all(f"https://arxiv.org/abs/{one}" in text for one in ids)
    assert len(text.splitlines()) == len(ids)
    for kind in ("bib", "ris", "md"):
        assert f"{path}.{kind}" in web.get(f"{path}/").links()


def test_a_search_is_downloaded_as_it_was_found(web: Browser):
    page = web.get("/search?q=dwarf")
    [link] = [one for one in page.links() if one.startswith("/search.bib")]
    [entry] = parse_string(web.get(link).text, "bibtex").entries.values()
    assert entry.fields["title"] == r"{Cold \& dwarf\_stars}"
    assert "attachment" in web.get(link).headers["content-disposition"]
    assert web.get("/search.ris?q=hidden").text.strip() == ""


def test_a_paper_has_a_page_that_reference_managers_read(web: Browser):
    """Zotero's "Embedded Metadata" translator makes a preprint in the repository arXiv of these."""
    page = web.get("/papers/2509.00001/")
    metas = [(tag["name"], tag["content"]) for tag in page.soup.find_all("meta") if tag.get("name")]
    assert [one for one in metas if one[0].startswith(("citation_", "z."))] == [
        ("citation_title", FIRST.title),
        ("citation_author", "Aalto, Ann"),
        ("citation_author", "Berg, Bo"),
        ("citation_publication_date", "2025/09/25"),
        ("citation_arxiv_id", "2509.00001"),
        ("citation_public_url", "https://arxiv.org/abs/2509.00001"),
        ("citation_pdf_url", "https://arxiv.org/pdf/2509.00001"),
        ("citation_doi", "10.1000/12"),
        ("citation_abstract", "The abstract of 1."),
        ("z.itemType", "preprint"),
        ("z.repository", "arXiv"),
        ("z.archiveID", "arXiv:2509.00001"),
    ]
    assert "Stars" in page.words
    assert "/archive/stars/2025-09-23/" in page.links()
    assert "/papers/2509.00001" in web.get("/archive/stars/2025-09-23/").links()


def test_the_tags_of_a_page_are_plain_text_and_cannot_end_their_attribute(web: Browser, store):
    hostile = replace(
        paper("9"),
        id="2509.00009",
        title='Of $x^2$ & "quotes" <meta name="citation_title" content="no">',
        abstract='It is $\\le$ "so".\nYes.',
        authors=("J. Smith Jr.", "The ATLAS Collaboration", 'Ann "><script>'),
    )
    with store.begin() as tx:
        papers.keep(tx, [hostile])
    soup = web.get("/papers/2509.00009").soup
    [title] = soup.find_all("meta", attrs={"name": "citation_title"})
    assert title["content"] == 'Of x² & "quotes" <meta name="citation_title" content="no">'
    names = [tag["content"] for tag in soup.find_all("meta", attrs={"name": "citation_author"})]
    assert names == ["Smith, J., Jr.", "The ATLAS Collaboration", '"><script>, Ann']
    [abstract] = soup.find_all("meta", attrs={"name": "citation_abstract"})
    assert abstract["content"] == 'It is ≤ "so". Yes.'
    assert not soup.find("meta", attrs={"name": "citation_doi"})


def test_later_versions_are_told(web: Browser, store):
    later = replace(
        FIRST, version=2, title="Another title", comment="withdrawn", updated=NOW + timedelta(1)
    )
    with store.begin() as tx:
        paper_versions.keep(tx, [replace(later, comment="")], NOW)
    assert "Another title" in web.get("/papers/2509.00001/").words
    gone = replace(later, version=3, abstract="This paper has been withdrawn by the authors.")
    with store.begin() as tx:
        paper_versions.keep(tx, [gone], NOW)
    assert "Withdrawn in version 3" in web.get("/papers/2509.00001/").words


def test_a_private_rubric_is_named_to_nobody(web: Browser):
    page = web.get("/papers/2509.00005/")
    assert "Secret" not in page.text
    assert "In each topic" not in page.text, "no public rubric reads its categories"
    assert page.headers["x-robots-tag"].startswith("noindex")
    assert web.get("/archive/secret-plans/2025-09-23.bib").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/papers/2509.99999/",
        "/papers/2509.99999.bib",
        "/papers/../etc/passwd",
        "/papers/%00",
        "/papers/2509.00001.pdf",
        "/archive/stars/2025-09-23.pdf",
        "/archive/stars/2025-09-24.bib",
        "/archive/stars/never.bib",
        "/archive/nothing/2025-09-23.bib",
        "/search.pdf?q=cold",
    ],
)
def test_what_is_not_there_is_a_404(web: Browser, path: str):
    assert web.get(path).status == 404


def test_a_public_issue_leads_from_an_id_or_a_title_to_the_papers_page(web: Browser):
    form = web.get("/archive/stars/2025-09-23/").soup.find("form", action="/papers")
    assert form.find("input")["name"] == "paper"
    for asked in (
        "2509.00004",
        "arXiv:2509.00004v2",
        "cold+%26+DWARF",
        "%22Cold+%26+dwarf_stars%22",
    ):
        page = web.get(f"/papers?paper={asked}")
        assert (page.status, page.headers["location"]) == (303, "/papers/2509.00004")
    for asked in ("2509.09999", "no+such+title", "//evil.example/x"):
        assert web.get(f"/papers?paper={asked}").status == 404
    private = LINKS.issue_url(SECRET, TUESDAY).removeprefix("http://127.0.0.1")
    assert web.get(private).soup.find("form", action="/papers") is None


def test_rubrics_that_do_not_cover_a_paper_cost_no_statements(store, web: Browser):
    """Neither on the paper's page, nor on the operator's, where they have no votes."""
    del web
    asked = []
    for number in (1, 30):
        others = [replace(STARS, slug=f"other-{n}", categories=("cs.CV",)) for n in range(number)]
        rubrics = {one.slug: one for one in (STARS, *others)}
        known = replace(application(store, operator_header="X-Operator"), rubrics=rubrics)
        with served(create_app(Site(known))) as browser:
            for path in ("/papers/2509.00001", "/operator"):
                with StatementLog() as log:
                    assert browser.get(path, **{"X-Operator": "ada"}).status == 200
                asked.append((path, len(log.sent)))
    assert asked[:2] == asked[2:]
