"""Several rubrics for one address: import, add, list, remove, restore and export by command."""

from __future__ import annotations

import json
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest

from newsletter.store import Store, subscriptions
from tests.fakes.installation import Installation

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.installation import CommandResult

RUBRIC = "---\ntitle: {}\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
HEADER = "email,rubric,timezone,send_at,days,format"
ADA = "ada@example.org"


@pytest.fixture
def installation(tmp_path: Path, store_url: str) -> Installation:
    made = Installation(tmp_path, NEWSLETTER_DATABASE_URL=store_url)
    for slug in ("one", "two"):
        (made.rubrics / f"{slug}.md").write_text(RUBRIC.format(slug.title()), encoding="utf-8")
    made.create_database()
    return made


def imported(installation: Installation, *lines: str, words: tuple[str, ...] = ()) -> CommandResult:
    (installation.folder / "more.csv").write_text("\n".join([HEADER, *lines]), encoding="utf-8")
    options = words or ("--consent", "asked")
    return installation.newsletter("subscribers", "import", "more.csv", *options)


def run(installation: Installation, *words: str) -> CommandResult:
    return installation.newsletter("subscribers", *words)


def listed(installation: Installation) -> dict[str, tuple[str, str]]:
    """By rubric the state and days of Ada's subscriptions."""
    found = json.loads(run(installation, "list", "--json").out)
    mine = [one for one in found if one["email"] == ADA]
    return {one["rubric"]: (one["state"], " ".join(one["days"])) for one in mine}


EVERY_DAY = "mon tue wed thu fri sat sun"


def test_an_address_may_stand_in_several_rows(installation: Installation):
    rows = (f"{ADA},one,Asia/Tokyo,06:00,,", f"{ADA},two,,,weekly,titles")
    done = imported(installation, *rows)
    assert (done.status, done.out.startswith("2 added, 0 updated")) == (0, True), done.err
    assert listed(installation) == {
        "one": ("active", EVERY_DAY),
        "two": ("active", "weekly"),
    }
    exported = run(installation, "export").out.splitlines()
    assert len(exported) == 3
    assert all("Asia/Tokyo,06:00" in line for line in exported[1:])
    again = imported(installation, *rows)
    assert again.out.startswith("0 added, 0 updated, 2 unchanged")


def test_what_is_exported_reads_back_as_it_was(installation: Installation, tmp_path: Path):
    imported(installation, f"{ADA},one,Asia/Tokyo,06:00,mon fri,", f"{ADA},two,,,weekly,titles")
    exported = run(installation, "export").out
    (tmp_path / "there").mkdir()
    other = Installation(tmp_path / "there")
    for slug in ("one", "two"):
        (other.rubrics / f"{slug}.md").write_text(RUBRIC.format(slug), encoding="utf-8")
    (other.folder / "all.csv").write_text(exported, encoding="utf-8")
    assert run(other, "import", "all.csv", "--consent", "asked").status == 0
    assert listed(other) == listed(installation)


def test_different_zones_or_hours_of_an_address_name_both_lines(installation: Installation):
    done = imported(
        installation,
        f"{ADA},one,Asia/Tokyo,06:00,,",
        "bo@example.org,one,,,,",
        "ADA@example.org,two,Europe/Berlin,07:00,,",
        f"{ADA},one,,,,",
    )
    assert done.status == 1
    faults = " ".join(done.err.split())
    for what in (
        "line 4: timezone: ADA@example.org has Europe/Berlin here, Asia/Tokyo on line 2",
        "line 4: send_at: ADA@example.org has 07:00 here, 06:00 on line 2",
        "line 5: email: ada@example.org is on line 2 already, with the same rubric",
    ):
        assert what in faults
    assert listed(installation) == {}


def test_a_row_with_another_rubric_adds_it_and_the_dry_run_says_so(installation: Installation):
    imported(installation, f"{ADA},one,,,,")
    row = f"{ADA},two,,,weekly,"
    tried = imported(installation, row, words=("--consent", "asked", "--dry-run"))
    assert "line 2: ada@example.org: rubrics one -> one two" in tried.out
    assert listed(installation) == {"one": ("active", EVERY_DAY)}
    assert imported(installation, row).out.startswith("1 added")
    assert listed(installation)["two"] == ("active", "weekly")
    assert listed(installation)["one"] == ("active", EVERY_DAY)


def test_rubrics_are_added_with_one_command(installation: Installation):
    two = ("add", ADA, "--rubric", "one", "--rubric", "two", "--days", "mon", "--consent", "asked")
    assert run(installation, *two).out.startswith("2 added")
    assert listed(installation) == {"one": ("active", "mon"), "two": ("active", "mon")}
    wrong = run(installation, "add", ADA, "--rubric", "one", "--rubric", "three")
    assert (wrong.status, "'three' is not known" in wrong.err) == (2, True)
    assert run(installation, "add", ADA, "--rubric", "").status == 2


def test_one_confirmation_mail_asks_for_all_that_waits(installation: Installation):
    rows = (f"{ADA},one,,,,", f"{ADA},two,,,,")
    done = imported(installation, *rows, words=("--dry-run",))
    assert done.status == 0
    done = imported(installation, *rows, words=("--skip-bad",))
    assert "1 asked by mail to confirm" in done.out, done.err
    [mail] = [
        message_from_bytes(path.read_bytes(), policy=policy.default)
        for path in installation.outbox.glob("*.eml")
    ]
    assert {"One", "Two"} <= set(mail["Subject"].replace(",", " ").split())
    assert {state for state, _ in listed(installation).values()} == {"pending"}
    assert "asked by mail" not in imported(installation, *rows, words=("--skip-bad",)).out


def test_one_rubric_or_all_are_removed_and_what_was_left_last_is_restored(
    installation: Installation,
):
    imported(installation, f"{ADA},one,,,,", f"{ADA},two,,,,")
    wrong = run(installation, "remove", ADA, "--rubric", "three", "--yes")
    assert (wrong.status, "has only one, two" in wrong.err) == (2, True)
    assert run(installation, "remove", ADA, "--rubric", "one", "--yes").status == 0
    assert {slug: state for slug, (state, _) in listed(installation).items()} == {
        "one": "unsubscribed",
        "two": "active",
    }
    assert "1 suppressed" in imported(installation, f"{ADA},one,,,,").out
    assert run(installation, "remove", ADA, "--yes").status == 0
    restored = run(installation, "restore", ADA, "--consent", "wrote on Monday")
    assert restored.out == f"{ADA}: active again, with 'two'\n", restored.err
    one = run(installation, "restore", ADA, "--consent", "wrote", "--rubric", "one")
    assert one.out == f"{ADA}: active again, with 'one'\n", one.err
    assert {state for state, _ in listed(installation).values()} == {"active"}
    again = run(installation, "restore", ADA, "--consent", "wrote", "--rubric", "one")
    assert "no change" in again.out

    assert run(installation, "remove", ADA, "--yes").status == 0
    both = run(installation, "restore", ADA, "--consent", "wrote")
    assert ("'one'" in both.out, "'two'" in both.out) == (True, True), "left together"


def test_what_the_reader_chose_for_a_rubric_stays(installation: Installation):
    imported(installation, f"{ADA},one,,,,", f"{ADA},two,,,,")
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.begin() as tx:
        [two] = [one for one in subscriptions.of_address(tx, ADA) if one.rubric == "two"]
        assert two.since
        subscriptions.set_preferences(tx, two.id, {"days": ("weekly",)}, two.since)
    store.close()
    done = imported(installation, f"{ADA},one,,,tue,", f"{ADA},two,,,tue,")
    assert "1 preferences stay" in done.out
    assert listed(installation) == {"one": ("active", "tue"), "two": ("active", "weekly")}
