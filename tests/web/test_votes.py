"""Votes, saved papers and the reading list over HTTP."""

from __future__ import annotations

import json
import os
import signal

import bibtexparser
import lxml.etree
import pytest
from sqlalchemy import event, func, select

from newsletter.domain.links import TEST_READER, Links
from newsletter.domain.model import Score
from newsletter.domain.votes import Vote
from newsletter.store import Store, scores, subscribers, subscriptions, votes
from newsletter.store.ledger import Account
from newsletter.store.tables import saved_paper, vote
from newsletter.web.app import create_app
from tests.fakes.browser import served
from tests.fakes.pages import (
    LINKS,
    MODELS,
    NOW,
    SECRET,
    STARS,
    TUESDAY,
    issue,
    make_site,
    paper,
    reader,
)

HOST = "http://127.0.0.1"


@pytest.fixture
def web(store):
    issue(store, STARS, TUESDAY, [paper("2509.00001", "Cold <dwarfs>"), paper("2509.00002")])
    issue(store, SECRET, TUESDAY, [paper("2509.00009", "Hidden thing")])
    with served(create_app(make_site(store))) as browser:
        yield browser


def vote_path(person, paper_id="2509.00001"):
    return LINKS.vote_url(person.id).removeprefix(HOST) + f"?paper={paper_id}"


def list_path(person, end=""):
    return LINKS.reading_list_url(person.id).removeprefix(HOST) + end


def given(store, person):
    with store.read() as tx:
        return [(one.paper_id, one.vote) for one in votes.given_by(tx, [person.id])]


def rows(store):
    with store.read() as tx:
        counts = [select(func.count()).select_from(table) for table in (vote, saved_paper)]
        return [tx.execute(count).scalar_one() for count in counts]


def test_the_page_shows_the_paper_and_the_buttons_and_changes_nothing(store, web):
    person = reader(store)
    for _ in range(5):
        page = web.get(vote_path(person))
        assert web.head(vote_path(person)).status == page.status == 200
    buttons = [button["value"] for button in page.soup.find_all("button")]
    assert buttons == ["more", "off topic", "weak", "save"]
    assert "Cold <dwarfs>" in page.words
    assert "You have not voted" in page.words
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in page.headers["x-robots-tag"]
    assert rows(store) == [0, 0]


def test_without_a_paper_the_page_lists_the_newest_issue(store, web):
    person, left = reader(store), reader(store, email="bo@example.org")
    page = web.get(vote_path(person).partition("?")[0])
    assert vote_path(person) in page.links()
    assert "23 September 2025" in page.words
    assert "Hidden" not in page.words
    with store.begin() as tx:
        subscriptions.leave(tx, left.id, "test", NOW)
    assert web.get(vote_path(left).partition("?")[0]).status == 404
    assert web.post(vote_path(person).partition("?")[0], {"vote": "more"}).status == 404


def test_a_vote_can_be_changed_and_deleted(store, web):
    person = reader(store)
    assert "Your vote: More like this" in web.post(vote_path(person), {"vote": "more"}).words
    assert given(store, person) == [("2509.00001", Vote.MORE)]
    assert "off topic" in web.post(vote_path(person), {"vote": "off topic"}).words
    assert given(store, person) == [("2509.00001", Vote.OFF_TOPIC)]
    assert "Your vote is deleted" in web.post(vote_path(person), {"vote": "undo"}).words
    assert given(store, person) == []
    for nothing in ({}, {"vote": "nonsense"}, {"List-Unsubscribe": "One-Click"}):
        assert web.post(vote_path(person), nothing).status == 200
    assert rows(store) == [0, 0]


def test_a_saved_paper_is_on_page_bibtex_and_feed_of_its_reader_only(store, web):
    person, other = reader(store), reader(store, email="bo@example.org")
    saved = web.post(vote_path(person), {"vote": "save"})
    assert "Saved to your reading list" in saved.words
    assert list_path(person) in saved.links()
    page = web.get(list_path(person))
    assert "Cold <dwarfs>" in page.words
    assert "noindex" in page.headers["x-robots-tag"]
    bib = web.get(list_path(person, "/papers.bib"))
    [entry] = bibtexparser.parse_string(bib.text).entries
    assert entry["eprint"] == "2509.00001"
    feed = web.get(list_path(person, "/feed.xml"))
    read = lxml.etree.fromstring(feed.body)
    assert [title.text for title in read.iter("{*}title")] == ["Reading list", "Cold <dwarfs>"]
    for private in (bib, feed):
        assert private.headers["cache-control"] == "no-store"
        assert "noindex" in private.headers["x-robots-tag"]
        assert private.headers["referrer-policy"] == "no-referrer"
    assert "Nothing is saved yet" in web.get(list_path(other)).words
    removed = web.post(list_path(person), {"remove": "2509.00001"})
    assert "Nothing is saved yet" in removed.words
    assert given(store, person) == [("2509.00001", Vote.MORE)]


def test_nobody_sees_changes_or_deletes_what_is_anothers(store, web):
    person, other = reader(store), reader(store, email="bo@example.org")
    web.post(vote_path(person), {"vote": "save"})
    assert "You have not voted" in web.get(vote_path(other)).words
    for said in ("undo", "unsave", "weak"):
        web.post(vote_path(other), {"vote": said})
    web.post(list_path(other), {"remove": "2509.00001"})
    assert given(store, person) == [("2509.00001", Vote.MORE)]
    assert "Cold <dwarfs>" in web.get(list_path(person)).words
    hidden = web.get(vote_path(other, "2509.00009"))
    assert (hidden.status, "Hidden" in hidden.words) == (404, False)
    assert web.post(vote_path(other, "2509.00009"), {"vote": "more"}).status == 404


def test_a_token_of_another_purpose_or_key_opens_nothing(store, web):
    person = reader(store)
    stale = Links(HOST, ["z" * 32], "in.example.org")
    addresses = [
        stale.vote_url(person.id) + "?paper=2509.00001",
        stale.reading_list_url(person.id),
        LINKS.why_url(person.id).replace("/why/", "/vote/") + "?paper=2509.00001",
        LINKS.vote_url(person.id).replace("/vote/", "/reading-list/"),
        LINKS.preferences_url(person.id).replace("/preferences/", "/reading-list/"),
    ]
    for address in addresses:
        path = address.removeprefix(HOST)
        assert web.get(path).status == web.post(path, {"vote": "save"}).status == 404
    test_mail = LINKS.vote_url(TEST_READER).removeprefix(HOST) + "?paper=2509.00001"
    assert "test email" in web.post(test_mail, {"vote": "save"}).words
    assert rows(store) == [0, 0]


def test_of_a_reader_who_left_nothing_is_changed_and_of_an_erased_one_nothing_shown(store, web):
    left, erased = reader(store), reader(store, email="bo@example.org")
    for person in (left, erased):
        web.post(vote_path(person), {"vote": "save"})
    with store.begin() as tx:
        subscriptions.leave(tx, left.id, "test", NOW)
        subscribers.erase(tx, erased.id, NOW)
    for person in (left, erased):
        assert web.get(vote_path(person)).status == 404
        assert web.post(vote_path(person), {"vote": "weak"}).status == 404
        assert web.post(vote_path(person), {"vote": "unsave"}).status == 404
    assert "Cold <dwarfs>" in web.get(list_path(left)).words
    for end in ("", "/papers.bib", "/feed.xml"):
        assert web.get(list_path(erased, end)).status == 404
    assert given(store, left) == [("2509.00001", Vote.MORE)]
    assert rows(store) == [1, 1]


def test_a_mover_may_rate_only_the_papers_of_the_new_rubric(store, web):
    person = reader(store, rubric=MODELS.slug)
    assert web.get(vote_path(person)).status == 404


def votes_path(person):
    return LINKS.preferences_url(person.id).removeprefix(HOST) + "/votes"


def test_votes_given_are_shown_undone_and_forgotten_by_their_reader_only(store, web):
    person, other = reader(store), reader(store, email="bo@example.org")
    for who in (person, other):
        for paper_id in ("2509.00001", "2509.00002"):
            web.post(vote_path(who, paper_id), {"vote": "save"})
    page = web.get(votes_path(person))
    assert "2 votes." in page.words
    assert "More like this · Stars" in page.words
    web.post(votes_path(person), {"undo": f"{other.id} 2509.00001"})
    assert len(given(store, other)) == 2
    undone = web.post(votes_path(person), {"undo": f"{person.id} 2509.00001"})
    assert "The vote is deleted" in undone.words
    assert given(store, person) == [("2509.00002", Vote.MORE)]
    assert "You have given no votes" in web.post(votes_path(person), {"action": "forget"}).words
    assert (given(store, person), len(given(store, other))) == ([], 2)
    assert "Cold <dwarfs>" in web.get(list_path(person)).words


def test_links_to_votes_given_of_others_stale_and_erased_open_nothing(store, web):
    person, erased = reader(store), reader(store, email="bo@example.org")
    web.post(vote_path(person), {"vote": "more"})
    with store.begin() as tx:
        subscribers.erase(tx, erased.id, NOW)
    wrong = [
        LINKS.vote_url(person.id).replace("/vote/", "/preferences/"),
        LINKS.preferences_url(TEST_READER),
        LINKS.preferences_url(erased.id),
        Links(HOST, ["z" * 32], "in.example.org").preferences_url(person.id),
    ]
    for address in wrong:
        path = f"{address.removeprefix(HOST)}/votes"
        assert web.get(path).status == 404
        assert web.post(path, {"action": "forget"}).status == 404
    assert given(store, person) == [("2509.00001", Vote.MORE)]


@pytest.mark.parametrize("action", [votes.save, votes.cast])
def test_a_kill_leaves_a_vote_and_a_saved_paper_whole_or_not_at_all(store, action):
    """SIGKILL after each statement of the transaction, the last one before the commit."""
    issue(store, STARS, TUESDAY, [paper("2509.00001")])
    person = reader(store)
    url = store.url.render_as_string(hide_password=False)
    statements = 0
    while killed(url, person.id, action, statements + 1):
        statements += 1
        assert rows(store) == [0, 0]
    assert statements > 2
    assert rows(store) == [1, 1 if action is votes.save else 0]


def killed(url, subscription_id, action, after):
    """Whether a process that acts was killed at its `after`-th statement; it ended otherwise."""
    child = os.fork()
    if child == 0:
        act_and_die(url, subscription_id, action, after)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def act_and_die(url, subscription_id, action, after):
    own = Store(url)
    done = []

    def count(*_args):
        done.append(1)
        if len(done) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        with own.begin() as tx:
            event.listen(own.engine, "after_cursor_execute", count)
            more = () if action is votes.save else (Vote.WEAK,)
            action(tx, subscription_id, "2509.00001", *more, NOW)
    finally:
        os._exit(0)


def test_the_operator_reads_what_votes_have_in_common(store):
    many = [paper(f"2509.0000{number}") for number in range(6)]
    issue(store, STARS, TUESDAY, many)
    person = reader(store)
    account = Account("stars", STARS.fingerprint, "scorer", TUESDAY, "")
    with store.begin() as tx:
        found = [Score(one.id, "m", 9, 8, criterion=2) for one in many]
        scores.keep(tx, account, 1, found, None)
        for one in many[:4]:
            votes.cast(tx, person.id, one.id, Vote.WEAK, NOW)
    with served(create_app(make_site(store, operator_header="X-Operator"))) as browser:
        page = browser.get("/operator", **{"X-Operator": "ada"})
    assert page.status == 200
    assert "4 of 4 votes for less were about papers that met criterion 2 (Old stars)" in page.words


def test_preferences_lead_to_the_votes_given(store, web):
    person = reader(store)
    path = LINKS.preferences_url(person.id).removeprefix(HOST)
    assert "You have given no votes yet" in web.get(path).words
    web.post(vote_path(person), {"vote": "save"})
    page = web.get(path)
    assert "See your 1 vote" in page.words
    assert {votes_path(person), list_path(person)} <= set(page.links())


def test_the_download_of_stored_data_has_votes_and_saved_papers(store, web):
    person = reader(store)
    web.post(vote_path(person), {"vote": "save"})
    path = LINKS.preferences_url(person.id).removeprefix(HOST)
    stored = json.loads(web.post(path, {"action": "download"}).body)
    for table in ("vote", "saved_paper"):
        assert [row["paper_id"] for row in stored[table]] == ["2509.00001"]
