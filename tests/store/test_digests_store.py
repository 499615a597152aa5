"""Frozen digests: whole again after storing, never overwritten, no paper covered twice."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from threading import Barrier, Thread

import pytest
from sqlalchemy import insert, select

from newsletter.domain.digest import compose
from newsletter.domain.model import (
    Criterion,
    DayKind,
    Listing,
    Outcome,
    Paper,
    Rubric,
    Score,
    Usage,
)
from newsletter.store import digests
from newsletter.store.tables import digest_paper
from newsletter.store.tables import paper as paper_table

DAY = date(2025, 9, 23)
NEXT = date(2025, 9, 24)
NOW = datetime(2025, 9, 23, 6, 0, tzinfo=UTC)
RUBRIC = Rubric(
    "models", "Models", ("cs.LG",), (Criterion(1, "One", "- body"),), authors=("A. Nobody",)
)


def paper(paper_id):
    return Paper(
        paper_id,
        2,
        "Tïtle \U0001d4d0",
        ("Ann",),
        "Abs $x$",
        "cs.LG",
        ("cs.LG", "math/OC"),
        NOW,
        NOW,
    )


def digest(day=DAY, ids=("a", "b", "c"), rubric=RUBRIC, relevance=9):
    scores = {
        key: Score(key, "m", relevance, 8, 3, 1, "why", (8, 10), (7, 9), 0.25) for key in ids[:-1]
    }
    scores[ids[-1]] = Score(ids[-1], "m", 6, 8)
    outcomes = dict.fromkeys(ids, Outcome.SCORED)
    usage = [Usage("m", 10, 20, 30, 40, 500, 600, 7), Usage("n", input_nanos=1)]
    papers = [Listing(paper(key), late=key == "a") for key in ids]
    return compose(rubric, day, papers, scores, outcomes, usage, judged=True, prompt="read")


def know(store, *ids):
    with store.begin() as tx:
        for key in ids:
            value = paper(key)
            tx.execute(insert(paper_table).values(asdict(value)))


def test_a_digest_comes_back_whole(store):
    know(store, "a", "b", "c")
    made = digest()
    with store.begin() as tx:
        digest_id = digests.save(tx, made, NOW)
    with store.read() as tx:
        assert digests.load(tx, "models", DAY) == (digest_id, made)
        assert digests.by_id(tx, digest_id) == made
        assert digests.load(tx, "models", NEXT) is None
        assert digests.load(tx, "other", DAY) is None
    assert made.picks
    assert made.near_misses


def test_a_digest_is_never_overwritten(store):
    know(store, "a", "b", "c", "d")
    with store.begin() as tx:
        first = digests.save(tx, digest(), NOW)
        again = digests.save(tx, digest(ids=("c", "d"), relevance=10), NOW)
        kept = digests.load(tx, "models", DAY)
        free = digests.uncovered(tx, "models", ["d", "a", "c"])
    assert first == again
    assert kept == (first, digest())
    assert free == ["d"]


def test_two_at_once_make_one(store):
    know(store, "a", "b", "c")
    found, start = [], Barrier(4)

    def race():
        start.wait()
        with store.begin() as tx:
            found.append(digests.save(tx, digest(), NOW))

    threads = [Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_paper_is_covered_once_for_each_rubric(store):
    know(store, "a", "b", "c")
    with store.begin() as tx:
        first = digests.save(tx, digest(ids=("a", "b")), NOW)
        digests.save(tx, digest(NEXT, ids=("b", "c")), NOW)
        rows = tx.execute(select(digest_paper).order_by(digest_paper.c.paper_id)).all()
        other = digests.uncovered(tx, "other", ["a", "b"])
    assert [row.paper_id for row in rows] == ["a", "b", "c"]
    assert {row.paper_id for row in rows if row.digest_id == first} == {"a", "b"}
    assert [row.picked for row in rows] == [True, False, False]
    assert other == ["a", "b"]


def test_thousands_of_papers_are_asked_in_pages(store):
    ids = [f"{n:05}" for n in range(3000)]
    with store.read() as tx:
        assert digests.uncovered(tx, "models", iter(ids)) == ids


def test_held_days_are_not_frozen(store):
    failed = compose(RUBRIC, DAY, [Listing(paper("a"))], {}, {}, [], judged=True, prompt="")
    assert failed.kind == DayKind.SCORING_FAILED
    with store.begin() as tx, pytest.raises(ValueError, match="held"):
        digests.save(tx, failed, NOW)


def test_an_empty_day_is_a_digest_too(store):
    empty = compose(RUBRIC, DAY, [], {}, {}, [], judged=True, prompt="")
    with store.begin() as tx:
        digest_id = digests.save(tx, empty, NOW)
        assert digests.load(tx, "models", DAY) == (digest_id, empty)


def test_lists_for_status_and_archive(store):
    know(store, "a", "b", "c", "d")
    other = Rubric("zoo", "Zoo", ("cs.LG",), RUBRIC.criteria)
    with store.begin() as tx:
        digests.save(tx, digest(ids=("a", "b")), NOW)
        digests.save(tx, digest(NEXT, ids=("c", "d")), NOW)
        digests.save(tx, digest(ids=("a", "d"), rubric=other), NOW)
        found = digests.summaries(tx, 2)
        mine = digests.summaries(tx, 10, "models")
        of_day = digests.summaries(tx, None, day=DAY)
        assert digests.dates(tx, "models") == [DAY, NEXT]
        assert digests.latest(tx, "models") == (found[0].id, digest(NEXT, ids=("c", "d")))
        assert digests.latest(tx, "none") is None
        assert [d.date for d in digests.newest(tx, "models", 5)] == [NEXT, DAY]
        assert [d.date for d in digests.between(tx, "models", DAY, NEXT)] == [DAY, NEXT]
        assert digests.between(tx, "models", date(2025, 1, 1), date(2025, 1, 31)) == []
    assert [(e.rubric, e.date) for e in found] == [("models", NEXT), ("models", DAY)]
    assert [e.date for e in mine] == [NEXT, DAY]
    assert [(e.rubric, e.date) for e in of_day] == [("models", DAY), ("zoo", DAY)]
    assert (found[0].picks, found[0].announced, found[0].scanned) == (1, 2, 2)
    assert (found[0].cost_nanos, found[0].kind, found[0].at) == (1101, DayKind.NORMAL, NOW)


def test_days_that_were_ranked_locally_say_nothing_of_how_much_a_model_picks(store):
    know(store, "a", "b", "c", "d")
    with store.begin() as tx:
        judged = digest(rubric=replace(RUBRIC, title='"judged":false'))
        digests.save(tx, judged, NOW)
        digests.save(tx, replace(digest(NEXT, ids=("d",)), judged=False), NOW)
        assert digests.judged_days(tx, RUBRIC.slug, 20) == [
            (len(judged.picks), judged.coverage.scanned)
        ]
