"""The order that votes teach: follows a pattern, ignores noise, moves picks and drops none."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from newsletter.domain.digest import compose, merge_digests
from newsletter.domain.learned_order import LearnedOrder, learn, moved_forward, ranks
from newsletter.domain.model import Criterion, Listing, Outcome, Paper, Rubric, Score

NOW = datetime(2025, 9, 23, tzinfo=UTC)
DAY = date(2025, 9, 23)
RUBRIC = Rubric("models", "Models", ("cs.LG",), (Criterion(1, "One", ""),), authors=("Fay Fol",))
COLD = "quantum lattice magnet spin ice crystal"
WARM = "galaxy dust stellar cloud halo dwarf"
PLAIN = "method results show approach paper data model study large small"


def paper(paper_id, topic="", *, seed=None, authors=("A",)):
    lot = random.Random(seed or paper_id)  # noqa: S311 - words of a sample paper
    text = " ".join(lot.choices(PLAIN.split(), k=20) + lot.choices(topic.split() or ["x"], k=6))
    return Paper(paper_id, 1, "Title", authors, text, "cs.LG", ("cs.LG",), NOW, NOW)


def votes(number):
    """As many votes for cold papers as against warm ones, one by one."""
    return [(paper(f"v{n}", COLD if n % 2 else WARM), bool(n % 2)) for n in range(number)]


TODAY = [paper(f"p{n}", COLD if n % 3 == 0 else WARM) for n in range(12)]


def test_votes_with_a_pattern_are_trusted_and_rank_like_papers_first():
    learned = learn(votes(20), TODAY)
    ranked = learned.ranks(one.id for one in TODAY)
    first = sorted(ranked, key=ranked.__getitem__, reverse=True)[:4]
    assert learned.trust > 0.9
    assert sorted(first) == ["p0", "p3", "p6", "p9"]


def test_the_weight_grows_with_the_votes_up_to_twenty():
    few, enough, many = (LearnedOrder(number, 0.8) for number in (5, 20, 200))
    assert few.weight == pytest.approx(0.4)
    assert enough.weight == many.weight == pytest.approx(1.6)


def test_noise_is_worth_little_and_contradiction_nothing():
    lot = random.Random(7)  # noqa: S311 - a sample
    noise = [(paper(f"v{n}", ""), lot.random() < 0.5) for n in range(40)]
    both = [(one, more) for one, _ in votes(20) for more in (True, False)]
    assert learn(noise, TODAY).trust < 0.5
    assert learn(both, TODAY).weight == 0


def test_votes_of_one_kind_teach_nothing():
    for given in ([], votes(20)[::2], votes(2), votes(3)):
        assert learn(given, TODAY).weight == 0
    assert learn(votes(20), []).weight == 0


def test_votes_for_more_alone_learn_from_the_papers_without_a_vote():
    likes = votes(20)[1::2]
    shown = [one for one, cold in votes(40)[20:] if not cold]
    assert learn(likes, TODAY).weight == 0
    learned = learn(likes, TODAY, unvoted=shown)
    ranked = learned.ranks(one.id for one in TODAY)
    assert sorted(sorted(ranked, key=ranked.__getitem__)[-4:]) == ["p0", "p3", "p6", "p9"]
    assert (learned.votes, learned.trust > 0.5) == (10, True)


def test_papers_without_a_vote_do_not_count_beside_votes_for_less():
    cold = [paper(f"u{n}", COLD) for n in range(30)]
    assert learn(votes(20), TODAY, unvoted=cold) == learn(votes(20), TODAY)


def test_votes_by_lot_are_hardly_trusted():
    """Chance alone predicts some of them: without its standard error the mean is 0.10."""
    found = []
    for seed in range(30):
        lot = random.Random(seed)  # noqa: S311 - a sample
        noise = [(paper(f"v{seed} {n}", ""), n % 2 == 0) for n in range(16)]
        lot.shuffle(noise)
        found.append(learn(noise, TODAY).trust)
    assert sum(found) / len(found) < 0.06
    assert learn(votes(16), TODAY).trust > 0.9


def test_the_same_votes_give_the_same_values():
    assert learn(votes(20), TODAY) == learn(votes(20), TODAY)


def test_ties_share_a_rank():
    assert ranks({"a": 1, "b": 3, "c": 1, "d": 9}) == pytest.approx(
        {"a": 1 / 6, "c": 1 / 6, "b": 2 / 3, "d": 1}
    )
    assert ranks({}) == {}
    assert ranks({"a": 5}) == {"a": 0}


def test_in_triage_votes_move_papers_forward_only():
    """A paper that the readers do not want keeps its place before all that are not wanted more."""
    likes = {one.id: (1.0 if one.id == "p11" else 0.0) for one in TODAY}
    moved = [one.id for one in moved_forward(TODAY, LearnedOrder(20, 1.0, likes))]
    assert moved == ["p11", *(f"p{n}" for n in range(11))]
    assert moved_forward(TODAY, LearnedOrder()) == TODAY


def day(scores, learned=None, rubric=RUBRIC, *, judged=True, papers=None, on=DAY):
    given = papers or [paper(key) for key in scores]
    listings = [Listing(one) for one in given]
    outcomes = {one.id: Outcome.SCORED if one.id in scores else Outcome.FAILED for one in given}
    return compose(
        rubric, on, listings, scores, outcomes, (), judged=judged, prompt="", learned=learned
    )


def judged_scores(**totals):
    """Novelty 8, relevance as given."""
    return {key: Score(key, "m", value, 8) for key, value in totals.items()}


def ids(digest):
    return [pick.paper.id for pick in digest.picks]


def likes(**values):
    return LearnedOrder(20, 1.0, values)


def test_votes_move_picks_but_change_no_score_and_no_near_miss():
    scores = judged_scores(a=10, b=9, c=8, d=6, e=5)
    plain = day(scores)
    learned = day(scores, likes(a=0.1, b=0.2, c=0.9, d=1.0, e=1.0))
    assert ids(plain) == ["a", "b", "c"]
    assert ids(learned) == ["c", "b", "a"]
    assert (plain.votes, learned.votes) == (0, 20)
    assert learned.near_misses == plain.near_misses
    shown = [{pick.paper.id: pick.score for pick in one.picks} for one in (plain, learned)]
    assert shown[0] == shown[1]


def test_max_papers_is_filled_by_the_model():
    scores = judged_scores(a=10, b=9, c=8, d=7)
    made = day(scores, likes(a=0, b=0.1, c=0.5, d=1.0), replace(RUBRIC, max_papers=2))
    assert ids(made) == ["b", "a"]
    assert made.beyond == 2


def test_votes_that_are_not_trusted_leave_the_digest_as_it_was():
    scores = judged_scores(a=10, b=9)
    assert day(scores, LearnedOrder(20, 0.0, {"b": 1.0})) == day(scores)


def test_a_followed_authors_unread_paper_stays_last():
    papers = [paper("a"), paper("b"), paper("f", authors=("Fay Fol",))]
    made = day(judged_scores(a=9, b=8), likes(a=0.1, b=0.9), papers=papers)
    assert ids(made) == ["b", "a", "f"]


def test_without_a_model_votes_choose_the_ten():
    scores = {
        f"p{n}": Score(f"p{n}", "local", None, None, similarity=0.5 - n / 40) for n in range(15)
    }
    made = day(scores, likes(p14=1.0, p0=0.2), judged=False, papers=[paper(key) for key in scores])
    plain = day(scores, judged=False, papers=[paper(key) for key in scores])
    assert len(made.picks) == len(plain.picks) == 10
    assert "p14" in ids(made)
    assert "p14" not in ids(plain)


def test_a_digest_of_several_days_merges_the_stored_order_keys():
    first = day(judged_scores(a=10, b=8), likes(a=0.1, b=0.9))
    second = day(judged_scores(c=9, d=7), on=date(2025, 9, 24))
    week = merge_digests([first, second])
    assert ids(first) == ["b", "a"]
    assert ids(week) == ["b", "a", "c", "d"]
    assert week.votes == 20
    assert ids(merge_digests([day(judged_scores(a=10, b=8)), second])) == ["a", "c", "b", "d"]


def test_a_digest_of_several_days_is_limited_by_the_model():
    limited = replace(RUBRIC, max_papers=2)
    first = day(judged_scores(a=10, b=9), likes(a=0.1, b=0.9), limited)
    second = day(judged_scores(c=10), None, limited, on=date(2025, 9, 24))
    week = merge_digests([first, second])
    assert sorted(ids(week)) == ["a", "c"]
