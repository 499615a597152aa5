"""What a reader chose stays chosen, whatever is imported; by the real command."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import time
from pathlib import Path

import pytest
from sqlalchemy import text

from newsletter.domain.mail import PREFERENCES
from newsletter.store import Store, subscriptions
from tests.fakes.database import upgraded
from tests.fakes.installation import CommandResult, Installation

ROOT = Path(__file__).parents[2]
RUBRIC = "---\ntitle: {}\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
FULL = "email,rubric,name,timezone,send_at,days,max_papers,format"
ADA = "ada@example.org,one,Ada,Asia/Tokyo,06:00,mon fri,5,brief"


@pytest.fixture
def installation(tmp_path: Path, store_url: str) -> Installation:
    made = Installation(tmp_path, NEWSLETTER_DATABASE_URL=store_url)
    for slug in ("one", "two"):
        (made.rubrics / f"{slug}.md").write_text(RUBRIC.format(slug), encoding="utf-8")
    made.create_database()
    return made


def listed(installation: Installation) -> list[dict[str, object]]:
    found = json.loads(installation.newsletter("subscribers", "list", "--json").out)
    assert isinstance(found, list)
    return found


def imported(installation: Installation, data: str, *words: str) -> CommandResult:
    (installation.folder / "more.csv").write_text(data, encoding="utf-8")
    return installation.newsletter(
        "subscribers", "import", "more.csv", "--consent", "asked", *words
    )


def choose(installation: Installation, **wished: object) -> None:
    """What the preferences page stores."""
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.begin() as tx:
        known = subscriptions.find(tx, "ada@example.org")
        assert known
        assert known.since
        subscriptions.set_preferences(tx, known.id, wished, known.since)
    store.close()


@pytest.mark.parametrize(
    "row", ["email,rubric\nada@example.org,one\n", f"{FULL}\nADA@example.org,one,,,,,,\n"]
)
def test_20_absent_columns_and_empty_cells_change_nothing(installation: Installation, row: str):
    installation.subscribe(ADA, header=FULL)
    before = listed(installation)
    done = imported(installation, row)
    assert (done.status, listed(installation)) == (0, before)
    assert done.out.startswith("0 added, 0 updated, 1 unchanged, 0 suppressed\n")
    again = installation.newsletter(
        "subscribers", "add", "ada@example.org", "--rubric", "one", "--consent", "x"
    )
    assert (again.status, listed(installation)) == (0, before)
    assert again.out == "ada@example.org: unchanged\n"


def test_20_a_dry_run_lists_each_change(installation: Installation):
    installation.subscribe(ADA, "bo@example.org,one,,,,,,", header=FULL)
    changed = ADA.replace("06:00", "7:30").replace("mon fri", "daily")
    file = f"{FULL}\n{changed}\nbo@example.org,one,Bo,,,,,\n"
    before = listed(installation)
    tried = imported(installation, file, "--dry-run")
    assert tried.out.splitlines() == [
        "0 added, 2 updated, 0 unchanged, 0 suppressed (dry run: nothing was saved)",
        "line 2: ada@example.org: days mon fri -> daily",
        "line 2: ada@example.org: send_at 06:00 -> 07:30",
        'line 3: bo@example.org: name "" -> Bo',
    ]
    assert listed(installation) == before
    assert imported(installation, file).out.startswith("0 added, 2 updated, 0 unchanged")
    assert imported(installation, file).out.startswith("0 added, 0 updated, 2 unchanged")


def test_20_what_the_reader_chose_wins_unless_overwritten(installation: Installation):
    installation.subscribe(ADA, header=FULL)
    choose(installation, timezone="Europe/Berlin", send_at=time(9), format="brief")
    file = f"{FULL}\nada@example.org,one,Ada L.,Asia/Seoul,,tue,,titles\n"
    tried = imported(installation, file, "--dry-run")
    assert "timezone stays Europe/Berlin, as the reader chose; given was Asia/Seoul" in tried.out
    assert "format brief -> titles" in tried.out
    assert "1 preferences stay" in imported(installation, file).out
    [ada] = listed(installation)
    assert (ada["timezone"], ada["send_at"], ada["days"]) == ("Europe/Berlin", "09:00", ["tue"])
    assert (ada["name"], ada["format"]) == ("Ada L.", "titles")
    assert ada["chosen"] == ["timezone", "send_at"]
    assert imported(installation, file, "--overwrite").status == 0
    [ada] = listed(installation)
    assert (ada["timezone"], ada["send_at"], ada["chosen"]) == ("Asia/Seoul", "09:00", ["send_at"])


def test_20_nobody_is_moved_to_another_rubric_which_is_added_instead(installation: Installation):
    installation.subscribe("ada@example.org,one", "bo@example.org,one")
    file = "email,rubric,name\nada@example.org,two,\nbo@example.org,one,Bo\n"
    before = listed(installation)
    tried = imported(installation, file, "--dry-run")
    assert (tried.status, listed(installation)) == (0, before)
    assert "line 2: ada@example.org: rubrics one -> one two" in tried.out
    for words in ((), ("--overwrite",)):
        assert imported(installation, file, *words).status == 0
        assert sorted(
            (one["email"], one["rubric"], one["name"]) for one in listed(installation)
        ) == [
            ("ada@example.org", "one", ""),
            ("ada@example.org", "two", ""),
            ("bo@example.org", "one", "Bo"),
        ]


def test_one_is_added_with_all_that_a_file_can_say(installation: Installation):
    words = ["--name", "Ada", "--timezone", "Asia/Tokyo", "--send-at", "06:00", "--days", "mon fri"]
    words += ["--format", "brief", "--max-papers", "5", "--consent", "asked in a test"]
    added = installation.newsletter(
        "subscribers", "add", "ada@example.org", "--rubric", "one", *words
    )
    assert added.status == 0, added.err
    mine = listed(installation)
    store = installation.newsletter("subscribers", "export").out
    assert ADA in store.splitlines()
    assert mine[0]["days"] == ["mon", "fri"]
    bad = installation.newsletter(
        "subscribers",
        "add",
        "bo@example.org",
        "--rubric",
        "one",
        "--send-at",
        "7",
        "--timezone",
        "EST",
    )
    assert (bad.status, listed(installation)) == (2, mine)
    assert "send_at: '7' is not a time of day" in bad.err
    assert "America/New_York" in bad.err


def test_an_address_is_removed_after_a_yes(installation: Installation):
    installation.subscribe("ada@example.org,one")
    for words, status, state in (((), 1, "active"), (("--yes",), 0, "unsubscribed")):
        done = installation.newsletter("subscribers", "remove", "ada@example.org", *words)
        assert (done.status, listed(installation)[0]["state"]) == (status, state)


def test_of_an_older_database_who_joined_on_the_web_keeps_everything(store_url: str):
    with upgraded(store_url, "0010") as store:
        with store.begin() as tx:
            for number, consent in enumerate(("web form of 2026-01-01", "on paper")):
                row = {"id": str(number), "email": f"{number}@x.org", "consent": consent}
                tx.execute(text(OLD_READER), {**row, "at": "2026-01-01 00:00:00"})
        store.migrate()
        with store.read() as tx:
            chosen = {one.id: one.chosen for one in subscriptions.all_subscriptions(tx)}
    assert chosen == {"0": PREFERENCES, "1": ()}


OLD_READER = (
    "INSERT INTO subscriber (id, email, email_key, email_hash, name, rubric, days, format, state,"
    " state_reason, state_at, soft_bounces, consent, since)"
    " VALUES (:id, :email, :email, :id, '', 'one', '[\"mon\"]', 'full', 'active',"
    " '', :at, 0, :consent, :at)"
)


def test_a_removal_asks_and_hears_the_answer(installation: Installation):
    installation.subscribe("ada@example.org,one")
    words = [sys.executable, "-m", "newsletter", "subscribers", "remove", "ada@example.org"]
    given = {
        "cwd": installation.folder,
        "env": {**installation.environment, "PYTHONPATH": str(ROOT)},
    }
    done = subprocess.run(
        words, input="y\n", capture_output=True, text=True, timeout=300, check=True, **given
    )
    assert "[y/N]" in done.stderr
    assert listed(installation)[0]["state"] == "unsubscribed"
