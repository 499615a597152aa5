"""One paper under two ids is paid for and shown once, with both ids, and is counted twice."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from newsletter.domain.digest import compose
from newsletter.domain.model import Digest, Listing, Outcome, Score
from newsletter.domain.search_query import parse_query
from newsletter.render import summary
from newsletter.render.paper_view import entries, near_misses
from newsletter.scoring.triage import paper_identity, triage
from newsletter.store import digests, search
from newsletter.store.papers import keep
from newsletter.store.search import codec
from newsletter.web import feed as atom_feed
from newsletter.web import issue_view as page
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.arxiv import FakeArxiv, into_window, row
from tests.fakes.installation import Installation
from tests.fakes.mail import LINKS
from tests.fakes.scoring import DAY, MORNING, RUBRIC, paper

if TYPE_CHECKING:
    from pathlib import Path

    from newsletter.domain.model import Paper
    from newsletter.store import Store

FIRST, SECOND = date(2026, 11, 19), date(2026, 11, 20)
BOTH = "arXiv:2611.00001, also arXiv:2611.00002"


def titled(number: int, title: str = "Cold stars", *authors: str, **other: Any) -> Paper:
    return replace(paper(number), title=title, authors=authors or ("Ada A.", "Bo B."), **other)


def ids(papers: list[Paper]) -> list[str]:
    return [one.id for one in papers]


def shown_twice(relevance: int = 9) -> Digest:
    """A day of three ids, of which the first two are one paper."""
    day = [titled(2), titled(1), titled(3, "Warm stars")]
    found = triage(RUBRIC, day)
    scores = {one.id: Score(one.id, "m", relevance, 8, comment="It is.") for one in found.to_read}
    outcomes = dict.fromkeys(scores, Outcome.SCORED) | found.left_out
    listings = [Listing(one) for one in day]
    given = (RUBRIC, DAY, listings, scores, outcomes, [])
    return compose(*given, judged=True, prompt="", also=found.also)


@pytest.mark.parametrize(
    "title",
    [
        "cold  STARS",
        "Cold~stars",
        "Cold\\ stars",
        "Cold\\, stars",
        "Cold\n stars ",
        "Cold\\quad stars",
    ],
)
def test_case_and_spaces_make_no_other_paper(title: str) -> None:
    assert paper_identity(title, ["ada  a.", "Bo~B."]) == paper_identity(
        "Cold stars", ["Ada A.", "Bo B."]
    )


@pytest.mark.parametrize(
    ("title", "authors"),
    [
        ("Cold stars II", ("Ada A.", "Bo B.")),
        ("Cold\\quadrature stars", ("Ada A.", "Bo B.")),
        ("Cold stars", ("Bo B.", "Ada A.")),
        ("Cold stars", ("Ada A.",)),
    ],
)
def test_another_title_or_other_authors_make_another_paper(
    title: str, authors: tuple[str, ...]
) -> None:
    day = [titled(1), titled(2, title, *authors)]
    assert triage(RUBRIC, day).to_read == day


def test_papers_without_title_or_authors_are_not_taken_for_one() -> None:
    nameless = [replace(titled(n), authors=()) for n in (1, 2)]
    untitled = [titled(n, " ") for n in (3, 4)]
    assert triage(RUBRIC, nameless + untitled).to_read == nameless + untitled


def test_the_oldest_id_is_read_and_knows_the_others() -> None:
    old = replace(titled(1), id="math/0309136")
    found = triage(RUBRIC, [titled(3), titled(2), old])
    assert ids(found.to_read) == ["math/0309136"]
    assert found.also == {"math/0309136": ("2611.00002", "2611.00003")}
    assert found.left_out == dict.fromkeys(("2611.00002", "2611.00003"), Outcome.DUPLICATE)


def test_a_withdrawn_paper_does_not_hide_the_one_that_replaces_it() -> None:
    withdrawn = titled(1, comment="This paper has been withdrawn by the authors")
    found = triage(RUBRIC, [withdrawn, titled(2)])
    assert ids(found.to_read) == ["2611.00002"]


def test_an_excluded_paper_hides_no_other() -> None:
    rubric = replace(RUBRIC, exclude=("survey",))
    found = triage(rubric, [titled(1, abstract="A survey."), titled(2)])
    assert ids(found.to_read) == ["2611.00002"]
    assert found.left_out == {"2611.00001": Outcome.EXCLUDED}
    assert found.also == {}


def test_what_an_earlier_digest_showed_is_not_read_again() -> None:
    key = paper_identity("COLD stars", ("Ada A.", "Bo B."))
    shown = {key: "2611.00009"} if key else {}
    found = triage(RUBRIC, [titled(2), titled(3, "Warm stars")], shown)
    assert ids(found.to_read) == ["2611.00003"]
    assert (found.left_out, found.also) == ({"2611.00002": Outcome.DUPLICATE}, {})
    assert found.reasons == {"2611.00002": "2611.00009"}


def test_the_receipt_counts_it_and_adds_up() -> None:
    coverage = shown_twice().coverage
    assert (coverage.announced, coverage.scanned, coverage.count(Outcome.DUPLICATE)) == (3, 2, 1)
    assert coverage.adds_up
    assert len(coverage.papers) == 3
    lines = summary.receipt(coverage, judged=True)
    assert lines[-1] == ("Duplicate: the same title and authors under another id", 1)
    assert sum(count for _, count in lines) == coverage.announced


def test_a_duplicate_by_a_followed_author_is_no_pick() -> None:
    rubric = replace(RUBRIC, authors=("Ada A.",))
    day = [titled(1), titled(2)]
    found = triage(rubric, day)
    listings = [Listing(one) for one in day]
    made = compose(rubric, DAY, listings, {}, found.left_out, [], judged=True, prompt="")
    assert [pick.paper.id for pick in made.picks] == ["2611.00001"]


def test_a_day_of_duplicates_alone_is_no_failure() -> None:
    outcomes = {"2611.00001": Outcome.DUPLICATE}
    listings = [Listing(titled(1))]
    made = compose(RUBRIC, DAY, listings, {}, outcomes, [], judged=True, prompt="")
    assert made.kind.value == "nothing met the bar"


def test_pick_and_near_miss_show_both_ids_everywhere() -> None:
    made = shown_twice()
    first = next(entry for entry in entries(made.picks, judged=True) if entry.id == "2611.00001")
    assert first.notes == (BOTH,)
    cards = [card for _, run in page.issue_values(made)["groups"] for card in run]
    assert BOTH in [badge.label for card in cards for badge in card.entry.badges]
    feed = atom_feed.feed(RUBRIC, [made], {}, LINKS, "x").decode()
    assert feed.count(BOTH) == 1
    near = near_misses(shown_twice(relevance=6).near_misses)
    assert sorted(miss.reason for miss in near) == ["", BOTH]


def test_both_ids_are_frozen_and_a_digest_of_before_is_read() -> None:
    made = shown_twice()
    body = json.loads(codec().dump_json(made))
    assert codec().validate_json(json.dumps(body)) == made
    for one in body["picks"]:
        del one["also"]
    assert {pick.also for pick in codec().validate_json(json.dumps(body)).picks} == {()}


def test_the_archive_finds_it_by_either_id(store: Store) -> None:
    made = shown_twice()
    with store.begin() as tx:
        keep(tx, [titled(1), titled(2), titled(3, "Warm stars")])
        digests.save(tx, made, MORNING)
    with store.read() as tx:
        for wanted in ("2611.00001", "2611.00002"):
            [hit] = search.find(tx, [RUBRIC.slug], parse_query(wanted), limit=9).hits
            assert hit.comment == f"{BOTH}. It is."


RUBRIC_FILE = (
    "---\ntitle: Stars\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. **Stars**\n   - cold ones\n"
)


def named(paper_id: str, day: date, title: str) -> dict[str, Any]:
    return into_window([row(f"{paper_id}v1", MORNING, title=title)], day)[0]


def test_the_run_pays_once_mails_once_and_says_it(tmp_path: Path) -> None:
    """Two ids on one morning, a third on the next: what the real command does with them."""
    rows = [
        named("2611.00001", FIRST, "Cold stars"),
        named("2611.00002", FIRST, "Cold~Stars"),
        named("2611.00004", SECOND, "COLD stars"),
        named("2611.00005", SECOND, "Warm stars"),
    ]
    asked: list[str] = []

    def scores_of(title: str, _abstract: str) -> dict[str, Any]:
        asked.append(title)
        return {"m": 1, "c": "It is.", "r": 9, "n": 9, "x": 0}

    with FakeArxiv(rows) as arxiv, FakeAnthropic(scores_of) as anthropic:
        installation = Installation(
            tmp_path,
            NEWSLETTER_ARXIV_API_URL=arxiv.url,
            ANTHROPIC_BASE_URL=anthropic.url,
            ANTHROPIC_API_KEY="sk-test",
        )
        (installation.rubrics / "stars.md").write_text(RUBRIC_FILE, encoding="utf-8")
        installation.subscribe("ada@example.org,stars")
        said = []
        for day in (FIRST, SECOND):
            done = installation.newsletter("run", "--date", str(day), "--json")
            assert done.status == 0, done.err
            said.append(json.loads(done.out)["issues"][0])

    names = ("announced", "scanned", "duplicates", "picked")
    assert [tuple(one[name] for name in names) for one in said] == [(2, 1, 1, 1), (2, 1, 1, 1)]
    assert {" ".join(title.split()) for title in asked} == {"Cold stars", "Warm stars"}
    for part in ("plain", "html"):
        bodies = [mail.get_body((part,)) for mail in installation.mails()]
        texts = [" ".join(body.get_content().split()) for body in bodies if body]
        assert sum(BOTH in text for text in texts) == 1
        assert sum("Warm stars" in text for text in texts) == 1
    with sqlite3.connect(tmp_path / "newsletter.db") as database:
        counted = dict(
            database.execute(
                "SELECT outcome, sum(papers) FROM digest_outcome GROUP BY 1"
            ).fetchall()
        )
    database.close()
    assert counted == {"scored": 2, "duplicate": 2}
