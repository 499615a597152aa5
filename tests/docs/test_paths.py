"""Files that documents, docstrings and comments name must exist: they lead a newcomer."""

from __future__ import annotations

import io
import os
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(
    r"(?<![\w/.:*{<-])(?:[\w.@-]+/)*[\w.@-]+\.(?:py|pyi|md|toml|mjml|lock)\b(?![\w/])"
)
FOLDER = re.compile(r"`((?:newsletter|tests|bench|docs|deploy|templates)/(?:[\w-]+/)*)`")
LEFT_BY_TOOLS = {"__pycache__", "node_modules", "build", "dist", "demo-out", "var"}
NOT_OURS = re.compile(r"postmark|NNNN|\bmine\.md$|\brubric\.md$|^uv\.lock$|\.db\.lock$")
"""Files that a reader of the documents writes, another tool would, or the program does."""


@cache
def project_files() -> frozenset[str]:
    """All files of the project, without what tools and runs leave in it."""
    found = set()
    for folder, names, files in os.walk(ROOT):
        names[:] = [one for one in names if one not in LEFT_BY_TOOLS and not one.startswith(".")]
        found |= {str((Path(folder) / one).relative_to(ROOT)) for one in files}
    return frozenset(found)


@cache
def exists(name: str) -> bool:
    """Whether a file has this path, or ends with it: `jobs/daily.py` is short for the whole."""
    return any(path == name or path.endswith(f"/{name}") for path in project_files())


def holds_files(folder: str) -> bool:
    return any(path.startswith(folder) for path in project_files())


def lost(text: str) -> list[str]:
    files = [name.removeprefix("./") for name in NAMED.findall(text)]
    missing = {one for one in files if not NOT_OURS.search(one) and not exists(one)}
    return sorted(missing | {one for one in FOLDER.findall(text) if not holds_files(one)})


def comments_and_strings(path: Path) -> str:
    """Comments and docstrings; other strings may name files that the program makes."""
    source = io.StringIO(path.read_text(encoding="utf-8"))
    return "\n".join(
        token.string
        for token in tokenize.generate_tokens(source.readline)
        if token.type == tokenize.COMMENT or token.string.startswith('"""')
    )


@pytest.mark.parametrize("name", sorted(one for one in project_files() if one.endswith(".md")))
def test_files_that_a_document_names_exist(name):
    assert lost((ROOT / name).read_text(encoding="utf-8")) == []


def test_files_that_the_package_names_exist():
    package = sorted((ROOT / "newsletter").rglob("*.py"))
    found = {str(one.relative_to(ROOT)): lost(comments_and_strings(one)) for one in package}
    assert {name: names for name, names in found.items() if names} == {}


def test_links_between_documents_lead_somewhere():
    broken = []
    for name in (one for one in project_files() if one.endswith(".md")):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text):
            file = (ROOT / name).parent / target if target else ROOT / name
            if not file.exists() or (anchor and anchor not in anchors(file)):
                broken.append(f"{name}: {target}#{anchor}")
    assert broken == []


def anchors(file: Path) -> set[str]:
    """The anchors that a document sets itself, and those GitHub gives its headings."""
    text = file.read_text(encoding="utf-8")
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    given = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
    return given | set(re.findall(r'<a id="([\w-]+)">', text))


def test_a_file_that_is_not_there_is_found():
    assert lost("see `jobs/nowhere.py` and newsletter/jobs/daily.py") == ["jobs/nowhere.py"]
    assert lost("in `newsletter/commands/`") == ["newsletter/commands/"]
