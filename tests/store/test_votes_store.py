"""Votes and reading lists: one row for a reader and paper, pooled by rubric, gone with a reader."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select

from newsletter.domain.digest import compose
from newsletter.domain.mail import Subscription
from newsletter.domain.model import Criterion, Listing, Outcome, Paper, Rubric, Score
from newsletter.domain.votes import Vote
from newsletter.store import digests, papers, subscribers, subscriptions, votes
from newsletter.store.tables import delivery, saved_paper, vote

NOW = datetime(2025, 9, 23, 6, 0, tzinfo=UTC)
DAY = date(2025, 9, 23)
RUBRIC = Rubric("models", "Models", ("cs.LG",), (Criterion(1, "One", ""),))
ANN, BOB, CARL = ("a" * 32, "b" * 32, "c" * 32)


def paper(paper_id):
    return Paper(paper_id, 1, f"T {paper_id}", ("A",), "Abs", "cs.LG", ("cs.LG",), NOW, NOW)


def keep_digest(store, ids, rubric=RUBRIC, day=DAY):
    """A digest of these papers in this order, all picked."""
    scores = {key: Score(key, "m", 9, 8, fine=9 - n % 10) for n, key in enumerate(ids)}
    listings = [Listing(paper(key)) for key in ids]
    made = compose(
        rubric,
        day,
        listings,
        scores,
        dict.fromkeys(ids, Outcome.SCORED),
        (),
        judged=True,
        prompt="",
    )
    with store.begin() as tx:
        papers.keep(tx, [one.paper for one in listings])
        return digests.save(tx, made, NOW)


def add(store, *ids, rubric="models"):
    for key in ids:
        one = Subscription(key, f"{key[0]}@example.org", rubric)
        with store.begin() as tx:
            subscriptions.insert_new(tx, one, NOW)


@pytest.fixture
def readers(store):
    keep_digest(store, [f"p{n}" for n in range(30)])
    add(store, ANN, BOB)
    return store


def rows(store, table):
    with store.read() as tx:
        return tx.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_later_vote_replaces_the_earlier_one(readers):
    with readers.begin() as tx:
        assert votes.cast(tx, ANN, "p1", Vote.MORE, NOW) == "models"
        assert votes.cast(tx, ANN, "p1", Vote.WEAK, NOW + timedelta(minutes=1)) == "models"
    with readers.read() as tx:
        [one] = votes.given_by(tx, [ANN])
        assert votes.of_paper(tx, ANN, "p1") == (Vote.WEAK, False)
        assert votes.of_paper(tx, BOB, "p1") == (None, False)
    assert (one.title, one.vote, one.at) == ("T p1", Vote.WEAK, NOW + timedelta(minutes=1))


def test_saving_votes_more_but_never_over_a_vote(readers):
    with readers.begin() as tx:
        votes.cast(tx, ANN, "p2", Vote.LESS, NOW)
        assert votes.save(tx, ANN, "p1", NOW) == "models"
        votes.save(tx, ANN, "p2", NOW + timedelta(minutes=1))
        votes.save(tx, ANN, "p2", NOW + timedelta(minutes=2))
    with readers.read() as tx:
        assert votes.of_paper(tx, ANN, "p1") == (Vote.MORE, True)
        assert votes.of_paper(tx, ANN, "p2") == (Vote.LESS, True)
        assert [one.paper_id for one in votes.reading_list(tx, [ANN])] == ["p2", "p1"]
    with readers.begin() as tx:
        votes.undo(tx, ANN, "p1")
        votes.unsave(tx, [ANN], "p2")
    with readers.read() as tx:
        assert votes.of_paper(tx, ANN, "p1") == (None, True)
        assert votes.of_paper(tx, ANN, "p2") == (Vote.LESS, False)


def test_a_vote_needs_a_reader_of_a_digest_with_that_paper(readers):
    keep_digest(readers, ["x1"], replace(RUBRIC, slug="other"))
    with readers.begin() as tx:
        subscriptions.leave(tx, BOB, "test", NOW)
    with readers.begin() as tx:
        assert votes.cast(tx, ANN, "x1", Vote.MORE, NOW) is None
        assert votes.cast(tx, ANN, "nothing", Vote.MORE, NOW) is None
        assert votes.save(tx, ANN, "x1", NOW) is None
        assert votes.cast(tx, BOB, "p1", Vote.MORE, NOW) is None
        assert votes.save(tx, BOB, "p1", NOW) is None
        assert votes.cast(tx, "f" * 32, "p1", Vote.MORE, NOW) is None
    assert rows(readers, vote) == rows(readers, saved_paper) == 0


def test_a_paper_of_an_older_mail_counts_for_the_rubric_of_that_mail(readers):
    digest_id = keep_digest(readers, ["x1"], replace(RUBRIC, slug="other"))
    mail(readers, digest_id, ANN)
    with readers.begin() as tx:
        assert votes.cast(tx, ANN, "x1", Vote.MORE, NOW) == "other"
        assert votes.cast(tx, ANN, "p1", Vote.MORE, NOW) == "models"
        assert votes.cast(tx, BOB, "x1", Vote.MORE, NOW) is None


def mail(store, digest_id, reader, delivery_id="d" * 32):
    row = {
        "id": delivery_id,
        "digest_id": digest_id,
        "subscriber_id": reader,
        "subscription_id": reader,
        "email": "a@example.org",
        "state": "accepted",
        "attempt": 1,
        "created_at": NOW,
        "changed_at": NOW,
    }
    with store.begin() as tx:
        tx.execute(insert(delivery).values(row))


def test_the_number_of_a_pick_is_that_of_the_delivered_digest(readers):
    digest_id = keep_digest(readers, ["y3", "y1", "y2"], replace(RUBRIC, slug="other"))
    mail(readers, digest_id, ANN)
    with readers.read() as tx:
        found = [votes.paper_of_pick(tx, "d" * 32, number) for number in (0, 1, 2, 3, 4, -1)]
        assert votes.paper_of_pick(tx, "e" * 32, 1) is None
    assert found == [None, "y3", "y1", "y2", None, None]


def test_votes_of_several_readers_are_pooled_the_newest_20_of_each(readers):
    with readers.begin() as tx:
        for number in range(25):
            at = NOW + timedelta(minutes=number)
            votes.cast(tx, ANN, f"p{number}", Vote.MORE, at)
    with readers.read() as tx:
        alone = votes.pooled(tx, "models")
    with readers.begin() as tx:
        votes.cast(tx, BOB, "p29", Vote.LESS, NOW + timedelta(hours=1))
    with readers.read() as tx:
        both = votes.pooled(tx, "models")
    assert [paper_id for paper_id, _ in alone] == [f"p{number}" for number in range(25)]
    expected = [(f"p{number}", Vote.MORE) for number in range(5, 25)]
    assert both == [*expected, ("p29", Vote.LESS)]


def test_unvoted_papers_are_the_other_picks_of_the_digests_that_showed_the_voted_ones(readers):
    later = DAY + timedelta(days=1)
    keep_digest(readers, ["q1", "q2", "q3"], day=later)
    keep_digest(readers, ["r1"], day=DAY + timedelta(days=2))
    keep_digest(readers, ["q1", "s1"], replace(RUBRIC, slug="other"), later)
    with readers.read() as tx:
        assert votes.unvoted(tx, "models", ["q2"]) == ["q1", "q3"]
        both = votes.unvoted(tx, "models", ["p0", "q2"])
        assert (both[:2], len(both)) == (["q1", "q3"], 31)
        assert votes.unvoted(tx, "other", ["p0"]) == []


def test_votes_of_readers_who_left_do_not_count(readers):
    with readers.begin() as tx:
        votes.cast(tx, ANN, "p1", Vote.MORE, NOW)
        votes.cast(tx, BOB, "p2", Vote.LESS, NOW)
        subscriptions.leave(tx, BOB, "test", NOW)
    with readers.read() as tx:
        assert votes.pooled(tx, "models") == [("p1", Vote.MORE)]


def test_erasure_deletes_votes_and_reading_list_of_that_reader_only(readers):
    with readers.begin() as tx:
        votes.save(tx, ANN, "p1", NOW)
        votes.save(tx, BOB, "p1", NOW)
    with readers.begin() as tx:
        subscribers.erase(tx, ANN, NOW)
    with readers.read() as tx:
        assert votes.given_by(tx, [ANN]) == votes.reading_list(tx, [ANN]) == []
        assert len(votes.given_by(tx, [BOB])) == len(votes.reading_list(tx, [BOB])) == 1


def test_forgetting_all_votes_keeps_the_reading_list(readers):
    with readers.begin() as tx:
        votes.save(tx, ANN, "p1", NOW)
        votes.cast(tx, ANN, "p2", Vote.LESS, NOW)
        votes.forget_all(tx, ANN)
    with readers.read() as tx:
        assert votes.given_by(tx, [ANN]) == []
        assert [one.paper_id for one in votes.reading_list(tx, [ANN])] == ["p1"]


def test_a_reader_of_two_rubrics_has_one_reading_list_and_votes_in_each(readers):
    other = replace(RUBRIC, slug="other")
    keep_digest(readers, ["x1"], other)
    with readers.begin() as tx:
        second = subscriptions.add(tx, ANN, "other", NOW)
        votes.save(tx, ANN, "p1", NOW)
        votes.save(tx, second, "x1", NOW + timedelta(minutes=1))
        assert votes.cast(tx, second, "p2", Vote.MORE, NOW) is None
    with readers.read() as tx:
        both = [ANN, second]
        assert [one.paper_id for one in votes.reading_list(tx, both)] == ["x1", "p1"]
        assert [one.rubric for one in votes.given_by(tx, both)] == ["other", "models"]
        assert votes.pooled(tx, "models") == [("p1", Vote.MORE)]
        assert votes.pooled(tx, "other") == [("x1", Vote.MORE)]
        assert votes.count_of(tx, ANN) == 2
    with readers.begin() as tx:
        subscribers.erase(tx, ANN, NOW)
    assert rows(readers, vote) == rows(readers, saved_paper) == 0


def test_votes_of_a_reader_who_moved_count_no_longer(readers):
    with readers.begin() as tx:
        votes.cast(tx, ANN, "p1", Vote.MORE, NOW)
        subscriptions.move(tx, ANN, "other", NOW)
    with readers.read() as tx:
        assert votes.pooled(tx, "models") == []
