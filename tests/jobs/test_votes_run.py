"""Votes in a run by the real command: the digest is ordered once, and a later vote changes none."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from newsletter.domain.votes import Vote
from newsletter.render.templates import template_folder
from newsletter.store import Store, digests, subscriptions, votes
from newsletter.store.tables import paper, vote
from newsletter.store.upsert import insert_new
from tests.jobs.test_daily_run import small_installation

NOW = datetime(2025, 11, 17, tzinfo=UTC)
WANTED = re.compile(r"theor|bound|prove", re.IGNORECASE)
SLUG = "foundation-models"
"""A shipped rubric, for which there are sample scores."""


def with_sample_rubric(folder, scorer):
    made = small_installation(folder, NEWSLETTER_SCORER=scorer)
    shipped = template_folder("rubrics") / f"{SLUG}.md"
    (made.rubrics / shipped.name).write_bytes(shipped.read_bytes())
    return made


def vote_as(store, email, wanted=WANTED):
    """Votes about every stored paper; those with the words are liked."""
    with store.begin() as tx:
        person = subscriptions.find(tx, email)
        rows = tx.execute(select(paper.c.id, paper.c.title, paper.c.abstract).order_by(paper.c.id))
        given = [
            {
                "subscription_id": person.id,
                "paper_id": row.id,
                "rubric": SLUG,
                "vote": Vote.MORE if wanted.search(f"{row.title} {row.abstract}") else Vote.LESS,
                "at": NOW,
            }
            for row in rows
        ]
        insert_new(tx, vote, given)
    return len(given)


@pytest.fixture(params=["local", "sample"])
def installation(request, tmp_path):
    made = with_sample_rubric(tmp_path, request.param)
    made.subscribe(f"ada@example.org,{SLUG}")
    return made


def opened(installation):
    return Store(installation.environment["NEWSLETTER_DATABASE_URL"])


def stored(installation):
    store = opened(installation)
    with store.read() as tx:
        [(_, one)] = [digests.latest(tx, SLUG)]
    store.close()
    return one


def titles(text):
    return re.findall(r"^(\d+)\. (.{20})", text, re.MULTILINE)


def test_the_mail_says_that_votes_were_used_and_later_ones_change_nothing(installation):
    """Only the sample scorer judges: then the picks stay the same papers."""
    assert installation.newsletter("run", "--dry-run").status == 0
    store = opened(installation)
    number = vote_as(store, "ada@example.org")
    done = installation.newsletter("run")
    assert done.status == 0, done.err
    [mail] = installation.mails()
    text = mail.get_body(("plain",)).get_content()
    words = " ".join(text.split())
    judged = installation.environment["NEWSLETTER_SCORER"] == "sample"
    what = "order" if judged else "choice and order"
    assert f"{what} learned from {number} votes" in words
    digest = stored(installation)
    assert digest.votes == number
    assert all(pick.order_key is not None for pick in digest.picks)
    keys = [pick.order_key for pick in digest.picks]
    assert keys == sorted(keys, reverse=True)
    assert mail["Subject"].startswith(digest.picks[0].paper.title[:20])
    with store.begin() as tx:
        votes.forget_all(tx, subscriptions.find(tx, "ada@example.org").id)
    installation.subscribe(f"late@example.org,{SLUG}")
    assert installation.newsletter("run").status == 0
    later = [one for one in installation.mails() if one["To"] == "late@example.org"]
    again = later[0].get_body(("plain",)).get_content()
    assert titles(again) == titles(text)
    store.close()


def test_votes_change_neither_which_papers_a_model_picks_nor_their_scores(tmp_path):
    made = {}
    for name in ("with", "without"):
        folder = tmp_path / name
        folder.mkdir()
        installation = with_sample_rubric(folder, "sample")
        installation.subscribe(f"ada@example.org,{SLUG}")
        assert installation.newsletter("run", "--dry-run").status == 0
        if name == "with":
            store = opened(installation)
            vote_as(store, "ada@example.org")
            store.close()
        assert installation.newsletter("run").status == 0
        made[name] = stored(installation)
    ordered, plain = made["with"], made["without"]
    scores = [{pick.paper.id: pick.score for pick in one.picks} for one in (ordered, plain)]
    assert scores[0] == scores[1]
    assert [p.paper.id for p in ordered.picks] != [p.paper.id for p in plain.picks]
    assert ordered.near_misses == plain.near_misses
    assert ordered.coverage == plain.coverage
