"""Writing rubric files: whole or not at all, with their mode, and with advice where it fails."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from newsletter.errors import OperatorError
from newsletter.rubrics import save
from newsletter.rubrics.folder import RubricFolder
from tests.fakes.reader_rubrics import text

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_replaced_with_its_mode_and_seen_at_once(tmp_path: Path):
    path = tmp_path / "stars.md"
    path.write_text(text("Stars"), encoding="utf-8")
    path.chmod(0o640)
    folder = RubricFolder(tmp_path)
    before = save.read_text(tmp_path, "stars")
    save.write_text(tmp_path, "stars", text("Cold stars"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["stars.md"]
    after = save.read_text(tmp_path, "stars")
    assert (after.text, after.hash != before.hash) == (text("Cold stars"), True)
    folder.reread()
    assert folder["stars"].title == "Cold stars"


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path):
    assert save.read_text(tmp_path, "stars") == save.RubricText()
    before = os.umask(0o027)
    try:
        save.write_text(tmp_path, "stars", text())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "stars.md").stat().st_mode) == 0o640
    save.delete_file(tmp_path, "stars")
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_a_link(tmp_path: Path):
    shelf, folder = tmp_path / "shelf", tmp_path / "rubrics"
    shelf.mkdir()
    folder.mkdir()
    (shelf / "stars.md").write_text(text(), encoding="utf-8")
    (folder / "stars.md").symlink_to(shelf / "stars.md")
    save.write_text(folder, "stars", text("Cold stars"))
    assert (folder / "stars.md").is_symlink()
    assert (shelf / "stars.md").read_text(encoding="utf-8") == text("Cold stars")


@pytest.mark.parametrize("slug", ["", "../stars", "own-abcdefghijkl", "Stars", "a/b", 65 * "x"])
def test_only_names_of_rubric_files_are_written(tmp_path: Path, slug: str):
    with pytest.raises(OperatorError, match="no name of a rubric file"):
        save.write_text(tmp_path, slug, text())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path):
    gone = tmp_path / "gone"
    assert "is not there" in save.write_problem(gone)
    with pytest.raises(OperatorError, match=r"gone cannot be written .* write permission"):
        save.write_text(gone, "stars", text())
    assert save.write_problem(tmp_path) == ""
    if os.geteuid():
        tmp_path.chmod(0o500)
        assert "cannot be written by this service" in save.write_problem(tmp_path)


def test_a_failed_write_leaves_the_former_file_and_nothing_else(tmp_path: Path):
    """A folder stands where the file should be: it cannot be replaced by a file."""
    (tmp_path / "stars.md").mkdir()
    (tmp_path / "stars.md" / "inside").write_text("x", encoding="utf-8")
    with pytest.raises(OperatorError, match="cannot be written"):
        save.write_text(tmp_path, "stars", text())
    assert [one.name for one in tmp_path.iterdir()] == ["stars.md"]


def test_bytes_that_are_not_utf8_are_shown_and_have_a_hash_of_their_own(tmp_path: Path):
    (tmp_path / "stars.md").write_bytes(b"caf\xe9")
    found = save.read_text(tmp_path, "stars")
    assert found.text == "caf\N{REPLACEMENT CHARACTER}"
    (tmp_path / "stars.md").write_text(found.text, encoding="utf-8")
    assert save.read_text(tmp_path, "stars").hash != found.hash
