"""A paper that was withdrawn after it was sent, on the pages of both issues."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import update

from newsletter.domain.model import Crosscheck, Withdrawal
from newsletter.store import digests, paper_versions
from newsletter.store.search import codec
from newsletter.store.tables import digest as table
from newsletter.web.app import create_app
from tests.fakes.browser import served
from tests.fakes.pages import NOW, STARS, THURSDAY, TUESDAY, issue, make_site, paper

REASON = "Withdrawn: <b>error</b> in Lemma 2"


def withdraw(store, one):
    later = replace(one, version=2, comment=REASON, updated=NOW + timedelta(days=1))
    with store.begin() as tx:
        paper_versions.keep(tx, [later], NOW + timedelta(days=1))


def test_the_issue_that_sent_it_shows_the_withdrawal_on_its_card(store):
    first = paper("1")
    issue(store, STARS, TUESDAY, [first, paper("2"), paper("3")])
    with served(create_app(make_site(store))) as web:
        assert "Withdrawn" not in web.get("/archive/stars/2025-09-23/").words
        withdraw(store, first)
        soup = web.get("/archive/stars/2025-09-23/").soup
    assert f"Withdrawn since: {REASON}" in soup.find(id="p1").get_text()
    assert "Withdrawn" not in soup.find(id="p2").get_text()
    assert soup.find("b", string="error") is None


def test_the_later_issue_lists_the_withdrawn_paper(store):
    issue(store, STARS, THURSDAY, [paper("4")])
    told = (Withdrawal("1", "On <dwarfs>", TUESDAY, REASON),)
    check = Crosscheck("fresh", {"astro-ph.SR": (4, 4)})
    with store.begin() as tx:
        key, made = digests.load(tx, STARS.slug, THURSDAY)
        made = replace(made, withdrawn=told, coverage=replace(made.coverage, crosscheck=check))
        body = codec().dump_json(made).decode()
        tx.execute(update(table).where(table.c.id == key).values(body=body))
    with served(create_app(make_site(store))) as web:
        words = web.get("/archive/stars/2025-09-25/").words
    assert "previous issue On <dwarfs> Withdrawn : <b>error</b> in Lemma 2 · sent 23" in words
    assert "own list: astro-ph.SR 4 of 4." in words
