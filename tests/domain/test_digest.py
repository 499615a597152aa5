"""Digests: what is kept, in which order, what just missed, and a receipt that adds up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.digest import USUAL_SHARE, compose, merge_digests, usual_share
from newsletter.domain.model import (
    Criterion,
    DayKind,
    Digest,
    Listing,
    Outcome,
    Paper,
    Rubric,
    Score,
    Usage,
)

DAY = date(2025, 9, 23)
RUBRIC = Rubric("r", "R", ("cs.LG", "cs.AI"), (Criterion(1, "One", ""),), relevance=7, novelty=6)


def paper(paper_id, *, authors=("A. Nobody",), categories=("cs.LG",)):
    at = datetime(2025, 9, 22, tzinfo=UTC)
    return Paper(paper_id, 1, "T", authors, "Abstract.", categories[0], categories, at, at)


def score(paper_id, relevance, novelty, fine=0):
    return Score(paper_id, "m", relevance, novelty, fine)


def day(marks, *, rubric=RUBRIC, outcomes=None, papers=None, judged=True):
    """The digest of papers with these {id: (relevance, novelty[, fine])}."""
    scores = {key: score(key, *values) for key, values in marks.items()}
    found = dict.fromkeys(scores, Outcome.SCORED) | (outcomes or {})
    listings = [Listing(paper(key)) for key in found] if papers is None else papers
    return compose(rubric, DAY, listings, scores, found, [], judged=judged, prompt="p")


def ids(digest):
    return [pick.paper.id for pick in digest.picks]


def test_cut_offs_are_inclusive():
    digest = day({"a": (7, 6), "b": (6, 6), "c": (7, 5), "d": (10, 10)})
    assert ids(digest) == ["d", "a"]
    assert digest.kind == DayKind.NORMAL


def test_order_is_total_then_relevance_then_fine_then_id():
    digest = day(
        {
            "5": (8, 8, 1),
            "4": (8, 8, 1),
            "3": (8, 8, 9),
            "2": (9, 7, 0),
            "1": (7, 9, 9),
            "0": (7, 6, 9),
            "6": (10, 10, 0),
        }
    )
    assert ids(digest) == ["6", "2", "3", "4", "5", "1", "0"]


def test_a_limit_keeps_the_best_and_counts_the_rest():
    marks = {str(n): (10, n) for n in range(6, 11)}
    digest = day(marks, rubric=replace(RUBRIC, max_papers=2))
    assert ids(digest) == ["10", "9"]
    assert digest.beyond == 3
    assert digest.near_misses == ()


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ("Kara Hanson", "Kara Hanson"),
        ("martín núñez", "Martin Nunez"),
        ("Paul Erdos", r"Paul Erd\H{o}s"),
        ("Martin Muller", r"Mart{\'\i}n M{\"u}ller"),
        ("Jørgen Ångström", r"J\o{}rgen \AA ngstr\"om"),
        ("Łukasz Kaiser", "Lukasz Kaiser"),
        ("Jean Pierre Serre", "Jean-Pierre Serre"),
        ("Hanson, Kara", "Kara Hanson"),
        ("Conan O\u2019Brien", "Conan O'Brien"),
        ("Kara Hanson", "K. Hanson"),
        ("Kara Hanson", "Kara M. Hanson"),
        ("Kara Hanson", "K.M. Hanson"),
        ("K. M. Hanson", "Kara Maria Hanson"),
        ("Kara Maria Hanson", "Kara Hanson"),
        ("Jean-Pierre Serre", "J.-P. Serre"),
        ("Jan van der Berg", "J. van der Berg"),
        ("Hanson, Kara M., Jr.", "Kara Hanson"),
        ("Kara Hanson", "Kara Hanson Jr."),
        ("Kara Hanson", "Hanson, K., III"),
        ("Anna Weiß", "Anna Weiss"),
        ("Anna Strauss", r"Anna Strau{\ss}"),
        ("Jürgen Müller", "Juergen Mueller"),
        ("Juergen Mueller", r"J{\"u}rgen M\"{u}ller"),
        ("Jurgen Muller", "Jürgen Müller"),
        ("Søren Ågård", "Soeren Aagaard"),
        ("ATLAS Collaboration", "The ATLAS Collaboration"),
        ("The LIGO Scientific Collaboration", "LIGO Scientific Collaboration"),
        ("CMS Collaboration", "on behalf of the CMS Collaboration"),
        ("Plato", "PLATO"),
        ("王伟", "王伟"),
    ],
)
def test_followed_authors_are_kept_however_they_are_spelled(wanted, named):
    rubric = replace(RUBRIC, authors=(wanted,))
    listing = Listing(paper("a", authors=("X Y", named)))
    digest = day({"a": (1, 1)}, rubric=rubric, papers=[listing])
    assert [pick.followed for pick in digest.picks] == [named]


def test_a_namesake_with_another_first_name_is_not_followed():
    rubric = replace(RUBRIC, authors=("Kara Hanson",))
    listing = Listing(paper("a", authors=("Karl Hanson", "Kara Hansons", "M. Hanson", "Hanson")))
    assert day({"a": (1, 1)}, rubric=rubric, papers=[listing]).picks == ()


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ("Kara M. Hanson", "Kara T. Hanson"),
        ("K. M. Hanson", "Kara T. Hanson"),
        ("Kara Hanson Jr.", "Kara Hanson Sr."),
        ("Jan Berg", "Jan van der Berg"),
        ("Jan van den Berg", "Jan van der Berg"),
        ("Muller Anna", "Anna Müller"),
        ("Anna Mueller", "Anna Muller"),
        # One word matches only itself.
        ("Plato", "Ada Plato"),
        ("Plato", "P. Plato"),
        ("Ada Plato", "Plato"),
        ("ATLAS", "ATLAS Collaboration"),
        # A group's name holds no initials.
        ("CMS Collaboration", "C. Collaboration"),
        ("CMS Collaboration", "The ATLAS Collaboration"),
        ("Gemini Team", "G. Team"),
        ("", "Kara Hanson"),
        ("-", "*"),
    ],
)
def test_a_name_that_is_another_is_not_followed(wanted, named):
    rubric = replace(RUBRIC, authors=(wanted,))
    listing = Listing(paper("a", authors=(named,)))
    assert day({"a": (1, 1)}, rubric=rubric, papers=[listing]).picks == ()


def test_followed_papers_come_in_order_and_the_unread_last():
    rubric = replace(RUBRIC, authors=("Kara Hanson",), exclude=("x",), max_papers=3)
    hers = ("Kara Hanson",)
    papers = [
        Listing(paper("unread", authors=hers)),
        Listing(paper("low", authors=hers)),
        Listing(paper("top")),
        Listing(paper("second")),
    ]
    outcomes = {"unread": Outcome.EXCLUDED}
    marks = {"low": (2, 2), "top": (9, 9), "second": (8, 8)}
    digest = day(marks, rubric=rubric, outcomes=outcomes, papers=papers)
    assert ids(digest) == ["top", "low", "unread"]
    assert digest.picks[2].score is None
    assert digest.beyond == 1


def test_near_misses_are_the_nearest_with_the_reason():
    digest = day(
        {
            "kept": (9, 9),
            "n6": (9, 5),
            "both": (6, 5),
            "rel": (6, 9),
            "far": (1, 9),
            "x": (6, 8),
            "y": (6, 7),
            "z": (6, 6),
        }
    )
    found = {miss.paper.id: miss.reason for miss in digest.near_misses}
    assert list(found) == ["rel", "n6", "x", "y", "z"]
    assert found["n6"] == "novelty 5, your cut-off is 6"
    assert found["rel"] == "relevance 6, your cut-off is 7"


def test_both_reasons_are_told_and_the_far_ones_only_when_nothing_met():
    digest = day({"both": (6, 5), "far": (1, 1)})
    assert digest.kind == DayKind.NOTHING_MET
    reasons = [miss.reason for miss in digest.near_misses]
    assert reasons[0] == "relevance 6, your cut-off is 7 and novelty 5, your cut-off is 6"
    assert len(reasons) == 2
    busy = day({"kept": (9, 9), "both": (6, 5), "far": (1, 1)})
    assert [miss.paper.id for miss in busy.near_misses] == ["both"]


def test_the_receipt_adds_up_and_names_the_unread():
    outcomes = {
        "a": Outcome.REFUSED,
        "b": Outcome.FAILED,
        "c": Outcome.UNSCORED_BUDGET,
        "d": Outcome.UNSCORED_DEADLINE,
        "e": Outcome.EXCLUDED,
    }
    papers = [Listing(paper(key), late=key == "a") for key in [*outcomes, "s"]]
    papers.append(Listing(paper("t", categories=("stat.ML", "cs.AI"))))
    papers.append(Listing(paper("u", categories=("cs.LG", "cs.AI"))))
    marks = dict.fromkeys("stu", (9, 9))
    coverage = day(marks, outcomes=outcomes, papers=papers).coverage
    assert coverage.adds_up
    assert (coverage.announced, coverage.scanned, coverage.unscored) == (8, 3, 3)
    assert coverage.by_category == {"cs.LG": 7, "cs.AI": 1}
    assert coverage.unread == ("a", "b", "c", "d", "e")
    assert coverage.papers == tuple("abcdestu")
    assert coverage.late == 1


def test_a_paper_nobody_accounts_for_counts_as_failed():
    digest = compose(RUBRIC, DAY, [Listing(paper("a"))], {}, {}, [], judged=True, prompt="")
    assert digest.coverage.count(Outcome.FAILED) == 1
    assert digest.kind == DayKind.SCORING_FAILED


@pytest.mark.parametrize(
    ("scored", "failed", "refused", "excluded", "kind"),
    [
        (0, 0, 0, 0, DayKind.NOTHING_ANNOUNCED),
        (20, 0, 0, 0, DayKind.NOTHING_MET),
        (19, 1, 0, 0, DayKind.NOTHING_MET),
        (18, 2, 0, 0, DayKind.SCORING_FAILED),
        (0, 5, 0, 0, DayKind.SCORING_FAILED),
        (0, 0, 5, 0, DayKind.SCORING_FAILED),
        (3, 0, 2, 0, DayKind.NOTHING_MET),
        (0, 0, 0, 5, DayKind.NOTHING_MET),
        (1, 1, 0, 50, DayKind.SCORING_FAILED),
    ],
)
def test_nothing_relevant_is_never_said_when_scoring_failed(
    scored, failed, refused, excluded, kind
):
    marks = {f"s{n}": (2, 2) for n in range(scored)}
    outcomes = {f"f{n}": Outcome.FAILED for n in range(failed)}
    outcomes |= {f"r{n}": Outcome.REFUSED for n in range(refused)}
    outcomes |= {f"e{n}": Outcome.EXCLUDED for n in range(excluded)}
    assert day(marks, outcomes=outcomes).kind == kind


def test_a_pick_makes_a_normal_day_even_when_many_failed():
    outcomes = {f"f{n}": Outcome.FAILED for n in range(9)}
    assert day({"a": (9, 9)}, outcomes=outcomes).kind == DayKind.NORMAL


def test_a_followed_paper_does_not_hide_that_scoring_failed():
    rubric = replace(RUBRIC, authors=("Kara Hanson",))
    papers = [Listing(paper("a", authors=("Kara Hanson",)))]
    digest = day({}, rubric=rubric, outcomes={"a": Outcome.FAILED}, papers=papers)
    assert digest.kind == DayKind.SCORING_FAILED


def local(similarities, **changes):
    rubric = replace(RUBRIC, **changes)
    scores = {k: Score(k, "local", None, None, similarity=v) for k, v in similarities.items()}
    outcomes = dict.fromkeys(scores, Outcome.SCORED)
    listings = [Listing(paper(key)) for key in scores]
    return compose(rubric, DAY, listings, scores, outcomes, [], judged=False, prompt="")


def test_a_local_ranking_shows_no_cut_offs():
    digest = local({f"{n:02}": n / 20 for n in range(15)})
    assert ids(digest) == [f"{n:02}" for n in range(14, 4, -1)]
    assert (digest.judged, digest.near_misses, digest.beyond) == (False, (), 0)
    assert {pick.score.relevance for pick in digest.picks} == {None}


def test_a_local_ranking_obeys_the_limit_and_leaves_out_the_unlike():
    assert ids(local({"a": 0.1, "b": 0.3, "c": 0.2}, max_papers=2)) == ["b", "c"]
    nothing = local({"a": 0.0})
    assert (nothing.picks, nothing.kind) == ((), DayKind.NOTHING_MET)


def test_cost_and_prompt_are_carried_along():
    usage = [Usage("m", input_tokens=5)]
    digest = compose(RUBRIC, DAY, [], {}, {}, usage, judged=True, prompt="read this")
    assert digest.usage == tuple(usage)
    assert digest.prompt == "read this"


mark = st.tuples(st.integers(1, 10), st.integers(1, 10), st.integers(0, 9))


@given(st.dictionaries(st.text("0123456789", min_size=1, max_size=4), mark), st.integers(1, 9))
def test_whatever_the_scores_the_order_holds_and_nothing_is_lost(marks, limit):
    digest = day(marks, rubric=replace(RUBRIC, max_papers=limit))
    met = {key for key, (r, n, _) in marks.items() if r >= 7 and n >= 6}
    assert len(digest.picks) + digest.beyond == len(met)
    assert len(digest.picks) == min(limit, len(met))
    keys = [(-p.score.total, -p.score.relevance, -p.score.fine, p.paper.id) for p in digest.picks]
    assert keys == sorted(keys)
    assert digest.coverage.adds_up
    assert not {miss.paper.id for miss in digest.near_misses} & met


@pytest.mark.parametrize(
    ("read", "failed", "usual", "kind"),
    [
        (100, 0, 0.001, DayKind.NOTHING_MET),
        (100, 1, 0.1, DayKind.NOTHING_MET),
        # As many failed as such a day has picks: 3 of 100 by this rubric.
        (98, 2, 0.03, DayKind.NOTHING_MET),
        (97, 3, 0.03, DayKind.SCORING_FAILED),
        # So many usually hold a pick, though a usual day has fifty.
        (491, 9, 0.1, DayKind.NOTHING_MET),
        (490, 10, 0.1, DayKind.SCORING_FAILED),
    ],
)
def test_a_quiet_day_is_one_that_the_failed_papers_could_not_change(read, failed, usual, kind):
    marks = {f"r{n}": (2, 2) for n in range(read)}
    outcomes = {f"f{n}": Outcome.FAILED for n in range(failed)}
    found = [Listing(paper(key)) for key in [*marks, *outcomes]]
    scores = {key: score(key, *values) for key, values in marks.items()}
    every = dict.fromkeys(marks, Outcome.SCORED) | outcomes
    digest = compose(RUBRIC, DAY, found, scores, every, [], judged=True, prompt="", usual=usual)
    assert digest.kind is kind


def test_the_usual_share_of_picks_is_learnt_from_the_rubrics_own_days():
    assert usual_share([]) == USUAL_SHARE
    assert usual_share([(0, 490), (5, 500)]) == pytest.approx(0.006)
    assert usual_share([(1000, 100)]) == 1.0


def picked(name: str, total: int, *, followed: str = "", day: date = DAY) -> Digest:
    """A day with one pick, read as (total - 7, 7), and at most as many picks as it may have."""
    listing = Listing(paper(name, authors=(followed or "A. Nobody",)))
    rubric = replace(RUBRIC, authors=("Kara Hanson",), max_papers=2)
    scores = {name: score(name, total - 7, 7)} if total else {}
    outcomes = {name: Outcome.SCORED if total else Outcome.EXCLUDED}
    return compose(rubric, day, [listing], scores, outcomes, [], judged=True, prompt="")


def test_a_limit_in_a_sum_of_days_goes_to_followed_authors_first():
    hers = "Kara Hanson"
    parts = [picked("best", 17), picked("good", 16), picked("hers", 9, followed=hers)]
    week = merge_digests(parts)
    assert (ids(week), week.beyond) == (["best", "hers"], 1)
    week = merge_digests([*parts, picked("unread", 0, followed=hers)])
    assert (ids(week), week.beyond) == (["hers", "unread"], 2)
    # More of hers than the limit lets in are all there, and nothing else is.
    week = merge_digests(
        [*parts, picked("unread", 0, followed=hers), picked("late", 8, followed=hers)]
    )
    assert (ids(week), week.beyond) == (["hers", "late", "unread"], 2)


@pytest.mark.parametrize(("limit", "kept"), [(None, "abc"), (3, "abc"), (2, "ab"), (1, "a")])
def test_a_sum_of_days_keeps_to_the_newest_limit(limit, kept):
    parts = [picked("b", 16), picked("c", 15), picked("a", 17)]
    newest = replace(parts[-1], rubric=replace(RUBRIC, max_papers=limit))
    assert ids(merge_digests([*parts[:-1], newest])) == list(kept)


def test_a_sum_adds_receipts_and_names_the_nearest_misses():
    first = day({"a": (9, 9), "m1": (6, 6), "m2": (6, 5)}, outcomes={"f": Outcome.FAILED})
    second = day({f"n{n}": (6, 9 - n) for n in range(5)})
    late = [Listing(paper("late", categories=("cs.AI",)), late=True)]
    third = day({"late": (1, 1)}, papers=late)
    week = merge_digests([first, second, third])
    assert [miss.paper.id for miss in week.near_misses] == ["n0", "n1", "n2", "m1", "n3"]
    assert (week.coverage.announced, week.coverage.late) == (10, 1)
    assert week.coverage.by_category == {"cs.LG": 9, "cs.AI": 1}
    assert week.coverage.unread == ("f",)
    assert list(week.coverage.papers) == sorted(
        [*first.coverage.papers, *second.coverage.papers, "late"]
    )
    assert week.coverage.adds_up


def test_a_normal_day_names_misses_up_to_three_points_below_the_bar():
    found = day({"kept": (9, 9), "three": (5, 5), "also": (4, 6), "four": (4, 5)})
    assert [miss.paper.id for miss in found.near_misses] == ["three", "also"]


def test_a_score_of_nothing_counts_as_zero():
    found = day({"zero": (0, 9), "one": (1, 5), "none": (9, 0)})
    reasons = {miss.paper.id: miss.reason for miss in found.near_misses}
    assert list(reasons) == ["none", "zero", "one"]
    assert reasons["zero"] == "relevance 0, your cut-off is 7"
    assert reasons["none"] == "novelty 0, your cut-off is 6"


def test_the_misses_of_a_sum_are_the_nearest_to_the_newest_bar():
    first, second = day({"a": (3, 9), "b": (6, 5)}), day({"c": (2, 2)})
    newest = replace(second, rubric=replace(RUBRIC, relevance=3, novelty=9))
    assert [m.paper.id for m in merge_digests([first, newest]).near_misses] == ["a", "b", "c"]
    assert [m.paper.id for m in merge_digests([first, second]).near_misses] == ["b", "a", "c"]


def test_categories_with_as_many_papers_stand_in_the_order_of_their_names():
    listed = [
        Listing(paper("b", categories=("cs.LG",))),
        Listing(paper("a", categories=("cs.AI",))),
    ]
    found = day({"b": (1, 1), "a": (1, 1)}, papers=listed)
    assert list(found.coverage.by_category) == ["cs.AI", "cs.LG"]
    other = replace(found, coverage=replace(found.coverage, by_category={"cs.LG": 1, "cs.AI": 1}))
    assert list(merge_digests([other, other]).coverage.by_category) == ["cs.AI", "cs.LG"]
