from __future__ import annotations

import re
from pathlib import Path

import yaml

from newsletter import __version__

ROOT = Path(__file__).parents[2]


def test_pre_commit_runs_what_make_lint_runs():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    wanted = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]] == wanted


def test_the_readme_is_short_and_each_document_says_whom_it_is_for():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
    unsaid = []
    for page in pages:
        title, blank, first = page.read_text(encoding="utf-8").splitlines()[:3]
        if not (title.startswith("# ") and not blank and first.startswith("For ")):
            unsaid.append(page.name)
    assert unsaid == []


def test_the_version_has_a_dated_entry_in_the_changelog():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
    assert versions[0] == __version__
