"""Reader rubrics by the real commands: one line for all, a list, pause, export, import."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from newsletter.domain.mail import SubscriberState
from newsletter.store import Store, reader_rubrics, subscribers
from tests.fakes.installation import Installation
from tests.fakes.reader_rubrics import WRITTEN, add_reader, save_rubric, text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="sample",
        NEWSLETTER_SCORER="local",
        NEWSLETTER_READER_RUBRICS="3",
    )
    (made.rubrics / "models.md").write_text(text("Models"), encoding="utf-8")
    made.create_database()
    return made


def own(installation: Installation, number: int) -> list[str]:
    """So many readers, each with a rubric of their own; the slugs."""
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    slugs = [save_rubric(store, add_reader(store, n), text(f"Title {n}")) for n in range(number)]
    store.close()
    return slugs


def test_a_run_and_the_status_have_one_line_for_all(installation: Installation) -> None:
    own(installation, 3)
    done = installation.newsletter("run")
    assert done.status == 0, done.err
    progress, _, summary = done.out.partition("arXiv's announcement of")
    assert "own-" in progress
    assert "3 reader rubrics" in summary
    assert "own-" not in summary
    assert len(installation.mails()) == 6
    status = installation.newsletter("status")
    assert "reader rubrics: 3 active, 0 paused, 0 drafts, of 3 readers" in status.out
    assert "own-" not in status.out
    facts = json.loads(installation.newsletter("status", "--json").out)
    assert facts["reader_rubrics"]["active"] == 3
    assert {one["rubric"] for one in facts["digests"]} == {"models"}
    listed = installation.newsletter("rubrics", "list")
    assert "reader rubrics: 3 active" in listed.out
    assert "own-" not in listed.out
    dry = installation.newsletter("run", "--dry-run")
    assert "3 reader rubrics" in dry.out
    assert "own-" not in dry.out
    doctor = installation.newsletter("doctor", "--offline")
    assert "3 active, 0 paused, 0 drafts" in doctor.out
    assert "no file for" not in doctor.out


def test_doctor_says_the_most_that_a_day_costs_with_drafts_and_previews(tmp_path: Path) -> None:
    """Drafts and previews have a budget for each reader, also for one without a rubric."""
    made = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="sample",
        ANTHROPIC_API_KEY="sk-test",
        NEWSLETTER_READER_RUBRICS="3",
    )
    (made.rubrics / "models.md").write_text(text("Models"), encoding="utf-8")
    made.create_database()

    def said() -> str:
        return " ".join(made.newsletter("doctor", "--offline").out.split())

    assert "0 drafts; at most $0.00 a day for digests" in said()
    own(made, 3)
    store = Store(made.environment["NEWSLETTER_DATABASE_URL"])
    for number in (7, 8):
        add_reader(store, number)
    left = f"{7:032x}"
    with store.begin() as tx:
        subscribers.end(tx, left, SubscriberState.COMPLAINED, "complaint", WRITTEN)
    store.close()
    assert (
        "3 active, 0 paused, 0 drafts; at most $0.0900 a day for digests, and $0.12 for drafts "
        "and previews if all 4 readers use them"
    ) in said()


def test_the_operator_lists_pauses_and_resumes_one(installation: Installation) -> None:
    [slug] = own(installation, 1)
    [row] = json.loads(installation.newsletter("rubrics", "list", "--readers", "--json").out)
    assert (row["rubric"], row["title"], row["state"]) == (slug, "Title 0", "active")
    assert row["reader"] == "own0@example.org"
    paused = installation.newsletter("rubrics", "pause", slug, "--reason", "too dear")
    assert paused.status == 0, paused.err
    [row] = json.loads(installation.newsletter("rubrics", "list", "--readers", "--json").out)
    assert (row["state"], row["paused_by"], row["reason"]) == ("paused", ["operator"], "too dear")
    run = installation.newsletter("run")
    assert run.status == 0, run.err
    assert "reader rubric" not in run.out
    assert len(installation.mails()) == 1, "that of the operator's rubric"
    assert "resumed" in installation.newsletter("rubrics", "resume", slug).out
    assert "own0@example.org" in installation.newsletter("rubrics", "list", "--readers").out
    again = installation.newsletter("run")
    assert "1 reader rubric" in again.out
    assert len(installation.mails()) == 2
    unknown = installation.newsletter("rubrics", "pause", "models", "--reason", "x")
    assert unknown.status == 2
    assert "rubrics list --readers" in unknown.err


def test_export_skips_them_with_a_count_and_import_refuses_them(
    installation: Installation, tmp_path: Path
) -> None:
    [slug] = own(installation, 1)
    exported = installation.newsletter("subscribers", "export")
    assert "own-" not in exported.out
    assert "own0@example.org" in exported.out
    assert "1 subscription to rubrics that readers wrote" in exported.err
    file = tmp_path / "people.csv"
    file.write_text(f"email,rubric\na@example.org,models\nb@example.org,{slug}\n", encoding="utf-8")
    done = installation.newsletter("subscribers", "import", str(file), "--consent", "x")
    assert done.status == 1
    assert f"line 3: rubric: '{slug}' is a reader's own" in done.err
    added = installation.newsletter(
        "subscribers", "add", "c@example.org", "--rubric", slug, "--consent", "x"
    )
    assert added.status == 2
    assert "reader's own" in added.err


def test_a_file_named_like_a_reader_rubric_is_refused_with_its_reason(
    installation: Installation, tmp_path: Path
) -> None:
    (installation.rubrics / "own-things.md").write_text(text("Things"), encoding="utf-8")
    listed = installation.newsletter("rubrics", "list")
    assert listed.status == 1
    assert "own-things.md line 1: names that begin with 'own-'" in listed.err
    file = tmp_path / "people.csv"
    file.write_text("email,rubric\na@example.org,own-things\n", encoding="utf-8")
    done = installation.newsletter("subscribers", "import", str(file), "--consent", "x")
    assert done.status == 1


def test_a_copy_of_the_database_keeps_them(installation: Installation, tmp_path: Path) -> None:
    [slug] = own(installation, 1)
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    done = installation.newsletter("db", "copy", "--to", target)
    assert done.status == 0, done.err
    copied = Store(target)
    with copied.read() as tx:
        assert list(reader_rubrics.load_active(tx)) == [(slug, 1)]
    copied.close()
