"""The page that says what became of a paper, over HTTP: whose it is, and what it never shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from newsletter.domain.links import TEST_READER, Links, Purpose
from newsletter.domain.mail import SubscriberState
from newsletter.inbound.why import MAX_LOOKUPS
from newsletter.settings import Settings
from newsletter.sources.arxiv.source import ArxivSource
from newsletter.store import subscribers, subscriptions
from newsletter.store.tables import paper_lookup
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes.arxiv import FakeArxiv, row
from tests.fakes.browser import served
from tests.fakes.pages import (
    LINKS,
    MODELS,
    NOW,
    SECRET,
    STARS,
    TUESDAY,
    application,
    issue,
    make_site,
    paper,
    reader,
)

HOSTILE = "<script>alert(1)</script> \u202eevil"


@pytest.fixture
def web(store):
    issue(store, STARS, TUESDAY, [paper("2509.00001", "Cold dwarfs"), paper("2509.00002")])
    issue(store, SECRET, TUESDAY, [paper("2509.00009", "Hidden thing")])
    issue(store, MODELS, TUESDAY, [paper("2509.00005", "A model"), paper("2509.00006", HOSTILE)])
    with served(create_app(make_site(store))) as browser:
        yield browser


def why(person) -> str:
    return LINKS.why_url(person.id).removeprefix("http://127.0.0.1")


def test_it_says_where_a_paper_was_picked(store, web):
    page = web.get(f"{why(reader(store))}?paper=2509.00001")
    assert page.status == 200
    assert "Picked: number 1 of the issue of Tuesday, 23 September 2025" in page.words
    assert "/archive/stars/2025-09-23/#p1" in page.links()
    assert page.headers["cache-control"] == "no-store"
    assert "noindex" in page.headers["x-robots-tag"]


def test_it_says_by_how_much_a_paper_missed(store, web):
    page = web.get(f"{why(reader(store))}?paper=arXiv:2509.00002v1")
    assert "A near miss" in page.words
    assert "relevance 6, 1 below the cut-off of 7" in page.words
    assert "180 days" in page.words


def test_another_paper_is_asked_for_by_a_form(store, web):
    person = reader(store)
    page = web.get(why(person))
    form = page.soup.find("form")
    assert (form["action"], form.find("input")["name"]) == (why(person), "paper")
    assert "Picked" in web.get(f"{form['action']}?paper=cold+DWARFS").words


@pytest.mark.parametrize("rubric", ["secret", "models"])
def test_a_reader_sees_nothing_of_a_rubric_that_is_not_theirs(store, web, rubric):
    stranger = reader(store)
    own = reader(store, email="own@example.org", rubric=rubric)
    paper_id = {"secret": "2509.00009", "models": "2509.00005"}[rubric]
    title = {"secret": "Secret plans", "models": "Models"}[rubric]
    page = web.get(f"{why(stranger)}?paper={paper_id}")
    assert "Picked" not in page.words
    assert title not in page.words
    assert "/archive/secret" not in page.text
    assert "Picked" in web.get(f"{why(own)}?paper={paper_id}").words


LEFT = [
    SubscriberState.PENDING,
    SubscriberState.UNSUBSCRIBED,
    SubscriberState.BOUNCED,
    SubscriberState.COMPLAINED,
]


@pytest.mark.parametrize("method", ["get", "post"])
def test_who_is_no_reader_gets_one_page_for_all(store, web, method):
    """A broken token, that of another purpose, of another key, of nobody, and of those who left."""
    person = reader(store)
    foreign = Links("http://127.0.0.1", ["x" * 32], "in.example.org")
    left = [reader(store, email=f"{state}@example.org", state=state) for state in LEFT]
    erased = reader(store, email="erased@example.org")
    with store.begin() as tx:
        subscriptions.leave(tx, left[1].id, "reply", NOW)
        subscribers.erase(tx, erased.id, NOW)
    tokens = [
        "nobody",
        why(person).rpartition("/")[2][:-1],
        LINKS.token(Purpose.PREFERENCES, person.id),
        LINKS.token(Purpose.UNSUBSCRIBE, person.id),
        foreign.token(Purpose.WHY, person.id),
        LINKS.token(Purpose.WHY, "a" * 32),
        *(LINKS.token(Purpose.WHY, one.id) for one in [*left, erased]),
    ]
    asked = {"paper": "2509.00001"}
    pages = [
        web.get(f"/why/{token}?paper=2509.00001")
        if method == "get"
        else web.post(f"/why/{token}", asked)
        for token in tokens
    ]
    assert {page.status for page in pages} == {404}
    assert len({page.words for page in pages}) == 1
    assert "Cold dwarfs" not in pages[0].words


def test_a_paused_reader_is_answered(store, web):
    person = reader(store, state=SubscriberState.PAUSED)
    assert "Picked" in web.get(f"{why(person)}?paper=2509.00001").words


def test_the_link_of_a_test_mail_says_so(web):
    url = LINKS.why_url(TEST_READER).removeprefix("http://127.0.0.1")
    assert "test email" in web.get(url).words


def test_outside_text_is_shown_as_text(store, web):
    person = reader(store, rubric="models")
    for asked in ("2509.00006", "%3Cscript%3Ealert(1)%3C%2Fscript%3E%E2%80%AE+evil+text"):
        page = web.get(f"{why(person)}?paper={asked}")
        assert page.soup.find("script") is None
        assert "\u202e" not in page.text


@pytest.mark.parametrize("asked", ["", "x", "%00", "%F0%9F%92%A9", "a" * 5000, "2509.1", "'--"])
def test_odd_questions_are_answered(store, web, asked):
    assert web.get(f"{why(reader(store))}?paper={asked}").status == 200


@pytest.fixture
def asking(store):
    """The site with an arXiv that knows one paper."""
    with FakeArxiv([row("2509.07777v1", NOW, ("cs.CV",))]) as fake:
        given = Settings(_env_file=None, arxiv_api_url=fake.url, arxiv_delay_seconds=0)
        source = ArxivSource(given, sleep=lambda _: None)
        with served(create_app(Site(replace(application(store), source=source)))) as browser:
            yield browser, fake


def test_arxiv_is_asked_by_a_button_alone(store, asking):
    web, fake = asking
    person = reader(store)
    page = web.get(f"{why(person)}?paper=2509.07777")
    assert fake.requests == []
    form = page.soup.find("form", method="post")
    field = form.find("input")
    answer = web.post(form["action"], {field["name"]: field["value"]})
    assert "In other categories: the paper is in cs.CV" in answer.words
    assert len(fake.requests) == 1
    assert "arXiv has no paper" in web.post(why(person), {"paper": "2509.07778"}).words


def test_the_button_works_so_often_a_day(store, asking):
    web, fake = asking
    person = reader(store)
    for _ in range(MAX_LOOKUPS):
        web.post(why(person), {"paper": "2509.07777"})
    page = web.post(why(person), {"paper": "2509.07777"})
    assert "tomorrow" in page.words
    assert len(fake.requests) == MAX_LOOKUPS
    with store.read() as tx:
        assert tx.scalar(select(paper_lookup.c.requests)) == MAX_LOOKUPS
