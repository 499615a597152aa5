"""First commands in an empty folder: looking creates nothing, errors name the path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.installation import Installation

if TYPE_CHECKING:
    from pathlib import Path

RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n## Criteria\n1. Any\n   - Relevant: all\n"
BROKEN = RUBRIC.replace("[cs.LG]", "[cs.LG")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(tmp_path, NEWSLETTER_SOURCE="sample", NEWSLETTER_SCORER="local")
    for name in ("DATABASE_URL", "OUTBOX_DIR", "SECRET_KEY", "PUBLIC_URL"):
        del made.environment[f"NEWSLETTER_{name}"]
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    return made


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("subscribers", "list"),
        ("subscribers", "export", "-"),
        ("deliveries", "list"),
        ("replies", "list"),
        ("preview", "--rubric", "one", "--out", "page.html"),
        ("preview", "--rubric", "none", "--out", "page.html"),
        ("run", "--dry-run", "--rubric", "one"),
        ("rubrics", "list"),
        ("doctor", "--offline"),
    ],
)
def test_a_command_that_only_reads_creates_nothing(
    installation: Installation, words: tuple[str, ...]
) -> None:
    installation.newsletter(*words)
    left = {path.name for path in installation.folder.iterdir()}
    assert left - {"rubrics", "page.html", "page.txt"} == set()


def test_status_names_a_broken_rubric_file_without_readers(installation: Installation) -> None:
    installation.create_database()
    (installation.rubrics / "one.md").write_text(BROKEN, encoding="utf-8")
    said = installation.newsletter("status").out
    assert said.startswith("! ")
    assert "one.md line 3" in said
    assert f"newsletter rubrics check {installation.rubrics}/one.md" in said
    assert "0 readers" not in said


def test_status_says_that_there_is_no_rubric(installation: Installation) -> None:
    installation.create_database()
    (installation.rubrics / "one.md").unlink()
    said = installation.newsletter("status").out
    assert said.startswith(f"! {installation.rubrics}: no rubric")
    assert "newsletter init" in said


def test_status_names_no_unknown_cost_where_there_is_none(installation: Installation) -> None:
    installation.create_database()
    [cost] = [line for line in installation.newsletter("status").out.splitlines() if "cost" in line]
    assert cost == "cost this month: $0.00"


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "--out", "taken/inside"),
        ("preview", "--rubric", "one", "--out", "taken/page.html"),
        ("init", "--yes", "--email", "me@example.org", "--topic", "foundation-models"),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_named(
    installation: Installation, words: tuple[str, ...]
) -> None:
    (installation.folder / "taken").touch()
    failed = installation.newsletter(*words, NEWSLETTER_DATABASE_URL="sqlite:///taken/deep/x.db")
    assert failed.status == 1
    assert "taken is a file, not a folder" in failed.err


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_day_without_an_announcement_is_named(
    installation: Installation, more: tuple[str, ...]
) -> None:
    installation.subscribe("ada@example.org,one")
    # The sample source has papers of one day, and this is another one.
    done = installation.newsletter("run", "--date", "2025-11-17", *more)
    assert done.status == 0, done.err
    assert "one: arXiv announced nothing in cs.LG on 2025-11-17" in done.out


@pytest.mark.parametrize(
    "words",
    [
        ("preview", "--rubric", "one", "--out", "x" * 300),
        ("rubrics", "draft", "--about", "compression", "--local", "--out", "x" * 300),
        ("db", "backup", "x" * 300),
    ],
)
def test_a_path_that_cannot_be_used_is_named(
    installation: Installation, words: tuple[str, ...]
) -> None:
    installation.create_database()
    done = installation.newsletter(*words)
    assert done.status == 1
    assert "File name too long" in done.err
    assert "unexpected" not in done.err


def test_an_unknown_reader_of_a_preview_is_named_before_papers_are_scored(
    installation: Installation,
) -> None:
    done = installation.newsletter("preview", "--rubric", "one", "--for", "a@example.org")
    assert done.status == 1
    assert done.err == (
        "newsletter: a@example.org is no subscriber; see: newsletter subscribers list\n"
    )


def test_the_example_in_a_message_is_no_secret(installation: Installation) -> None:
    done = installation.newsletter(
        "doctor", "--offline", NEWSLETTER_DATABASE_URL="postgresql://u:hidden-password@host/x"
    )
    assert done.status == 2
    assert "postgresql+psycopg://USER:PASSWORD@HOST/NAME" in done.out
    assert "hidden-password" not in done.out + done.err


def test_the_password_of_a_mirror_of_arxiv_is_never_shown(installation: Installation) -> None:
    installation.subscribe("a@example.org,one")
    done = installation.newsletter(
        "run",
        NEWSLETTER_SOURCE="arxiv",
        NEWSLETTER_ARXIV_API_URL="http://u:hidden-password@127.0.0.1:9/api",
    )
    assert done.status == 1
    assert "arXiv (127.0.0.1:9)" in done.err
    assert "hidden-password" not in done.out + done.err
