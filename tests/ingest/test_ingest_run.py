"""`newsletter run` on the newest announcement, by the real command against a loopback arXiv."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from newsletter.domain import announcements
from newsletter.domain.announcements import announcement
from newsletter.store import Store
from newsletter.store.tables import digest
from tests.fakes.arxiv import FakeArxiv, line, row
from tests.fakes.installation import Installation

RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"


@pytest.fixture
def rows():
    window = announcement(announcements.newest(datetime.now(UTC)))
    return [
        row(f"2509.{number:05d}", window.end - timedelta(minutes=number)) for number in range(1, 9)
    ]


@pytest.fixture
def installation(tmp_path):
    made = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="arxiv",
        NEWSLETTER_SCORER="local",
        NEWSLETTER_FROM_EMAIL="digest@example.org",
        NEWSLETTER_POSTAL_ADDRESS="1 Example Street",
    )
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    made.subscribe("ada@example.org,one")
    return made


def run(installation, fake, *words, rss=True):
    given = {"NEWSLETTER_ARXIV_API_URL": fake.url}
    if rss:
        given["NEWSLETTER_ARXIV_RSS_URL"] = fake.rss_url
    return installation.newsletter("run", "--json", *words, **given)


def text(installation):
    [mail] = installation.mails()
    return " ".join(mail.get_body(("plain",)).get_content().split())


@pytest.mark.parametrize("rss", [True, False])
def test_the_newest_day_is_made_in_one_run_without_a_feed(installation, rows, rss):
    with FakeArxiv(rows) as fake:
        done = run(installation, fake, rss=rss)
        assert done.status == 0, done.err
        again = run(installation, fake, rss=rss)
    assert json.loads(done.out)["issues"][0]["announced"] == 8
    assert json.loads(again.out)["issues"][0]["already"] == 1
    assert "list could not be read" in text(installation)


def test_a_feed_that_agrees_is_told_in_the_receipt(installation, rows):
    with FakeArxiv(rows, feed=lambda _: [line(each) for each in rows]) as fake:
        assert run(installation, fake).status == 0
        asked = len(fake.requests)
        assert run(installation, fake).status == 0
        assert len(fake.requests) == asked
    assert "own list: cs.LG 8 of 8." in text(installation)


def test_a_holiday_is_no_date_to_ask_for(installation):
    done = installation.newsletter("run", "--date", "2025-11-28")
    assert done.status == 2
    assert "arXiv announces nothing (Thanksgiving)" in " ".join(done.err.split())


@pytest.mark.parametrize("words", [("preview", "--rubric", "one"), ("run", "--dry-run")])
def test_a_late_batch_is_said_in_one_line_by_every_command(installation, words):
    with FakeArxiv() as fake:
        late = installation.newsletter(*words, NEWSLETTER_ARXIV_API_URL=fake.url)
    assert late.status == 1 or "nothing" in (late.out + late.err).lower()
    assert "please report it" not in late.err


def test_a_paper_that_was_accepted_after_its_mail_is_told_in_a_later_one(installation):
    newest = announcements.newest(datetime.now(UTC))
    first = announcements.following(newest - timedelta(days=12))
    second = announcements.following(first)
    rubric = RUBRIC.replace("categories", "authors: [Ada Author]\ncategories")
    (installation.rubrics / "one.md").write_text(rubric, encoding="utf-8")
    papers = [
        row(f"2509.0000{number}", announcement(day).end - timedelta(hours=1))
        for number, day in enumerate((first, second, newest), 1)
    ]
    with FakeArxiv(papers) as fake:
        assert run(installation, fake, "--date", str(first)).status == 0
        store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
        with store.begin() as tx:
            tx.execute(update(digest).values(at=datetime.now(UTC) - timedelta(days=10)))
        store.close()
        papers[0]["comment"] = "9 pages. Accepted at NeurIPS 2025"
        assert run(installation, fake).status == 0
        assert fake.requests[-1].params["id_list"] == "2509.00001"
        asked = len([one for one in fake.requests if "id_list" in one.params])
        assert run(installation, fake, "--date", str(second)).status == 0
        assert len([one for one in fake.requests if "id_list" in one.params]) == asked
    mails = [mail.get_body(("plain",)).get_content().split() for mail in installation.mails()]
    assert sum("Accepted at NeurIPS 2025 Sent" in " ".join(words) for words in mails) == 1
