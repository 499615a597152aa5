"""`newsletter why`, on the bundled sample day, by the real command."""

from __future__ import annotations

import json

import pytest

from newsletter.store import Store
from tests.jobs.test_daily_run import small_installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    made = small_installation(tmp_path_factory.mktemp("why"))
    made.subscribe("ada@example.org,small")
    assert made.newsletter("run").status == 0
    return made


COVERED = "SELECT paper_id, picked, title FROM digest_paper JOIN paper ON id = paper_id"


def papers(installation):
    store = Store(f"sqlite:///{installation.folder}/newsletter.db")
    with store.read() as tx:
        rows = [tuple(row) for row in tx.exec_driver_sql(COVERED)]
    store.close()
    return rows


def test_it_answers_for_every_announced_paper(installation):
    everyone = papers(installation)
    assert len(everyone) > 20
    some = [one for one in everyone if one[1]][:2] + [one for one in everyone if not one[1]][:2]
    for paper_id, picked, title in some:
        done = installation.newsletter("why", paper_id, "--json")
        answer = json.loads(done.out)
        assert (done.status, answer["paper"]["title"]) == (0, title)
        [one] = answer["rubrics"]
        assert one["result"] == ("picked" if picked else "ranked lower")
        assert one["outcome"] == "scored"
        assert one["score"]["relevance"] is None


def test_it_says_so_in_sentences_and_finds_titles(installation):
    _, _, title = next(one for one in papers(installation) if one[1])
    done = installation.newsletter("why", title.upper(), "--rubric", "small")
    assert done.status == 0
    assert "Small and fast models: Picked: number " in done.out
    assert "180 days" in done.out


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        (("2509.99999",), 1, "cannot be asked for single papers"),
        (("no such title at all",), 1, "2509.12345"),
        (("2509.99999", "--rubric", "nowhere"), 2, "nowhere"),
    ],
)
def test_what_cannot_be_answered_says_what_to_do(installation, asked, status, said):
    done = installation.newsletter("why", *asked)
    assert done.status == status
    assert said in done.out + done.err
