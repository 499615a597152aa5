"""Rubric files: Markdown with front matter, read into Rubric values (docs/rubrics.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from newsletter.front_matter import read_front_matter
from newsletter.hostile import NEVER_MEANT
from newsletter.model import Criterion, Rubric
from newsletter.trouble import Trouble

if TYPE_CHECKING:
    from pathlib import Path

MAX_CHARACTERS = 24_000
"""About 6,000 tokens: what one rubric may add to every request."""
SECTIONS = ("Criteria", "Scoring", "Keywords")
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
ITEM = re.compile(r"\d{1,3}[.)]\s+(\S.*)")
BOLD_TITLE = re.compile(r"\*\*(.+?)\*\*\s*[:.]?\s*(.*)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)

DEFAULT_SCORING = """\
Relevance and novelty are two separate questions. A paper can be high on one and low on the other.

Relevance: how squarely the paper's main contribution answers one of the criteria.

- 9-10: the contribution itself is what a criterion asks for.
- 7-8: clearly within a criterion, though from a side angle or mixed with other matter.
- 5-6: touches a criterion, but the main point lies elsewhere.
- 3-4: shares words or methods with the criteria, not their purpose.
- 1-2: has nothing to do with them.

Novelty: how much of the paper is new, whatever its subject.

- 9-10: a new direction, or the answer to a question that stood open.
- 7-8: a real advance in method, theory or evidence that others will build on.
- 5-6: a sound step on a known path.
- 3-4: a small variation, or new data without new insight.
- 1-2: known methods applied as they are."""


class RubricError(Trouble):
    """One or more rubric files are wrong. `faults` has a line for each thing to mend."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass
class _Faults:
    """Collects what is wrong with one file, so that its author mends it in one go."""

    file: str
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, message: str) -> None:
        self.found.append((line, message))

    def lines(self) -> list[str]:
        return [f"{self.file} line {line}: {message}" for line, message in sorted(self.found)]


def load(path: Path) -> Rubric:
    """The rubric in a file; its slug is the file's stem. Raises RubricError with every fault."""
    faults = _Faults(path.name)
    if not SLUG.fullmatch(path.stem):
        faults.add(1, "name the file in a-z, 0-9 and '-', at most 64 characters, and .md")
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise RubricError([message]) from error
    rubric = _parse(path.stem, _decoded(data, faults), faults)
    if rubric is None or faults.found:
        raise RubricError(faults.lines())
    return rubric


def _decoded(data: bytes, faults: _Faults) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.add(line, "not UTF-8; save the file as UTF-8")
        return ""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if unseen := NEVER_MEANT.search(text):
        line = text.count("\n", 0, unseen.start()) + 1
        faults.add(line, f"an invisible character (U+{ord(unseen[0]):04X}); delete it")
        return ""
    return text


def _parse(slug: str, text: str, faults: _Faults) -> Rubric | None:
    if faults.found and not text:
        return None
    if len(text) > MAX_CHARACTERS:
        faults.add(1, f"{len(text)} characters; a rubric has at most {MAX_CHARACTERS}")
        return None
    lines = text.split("\n")
    end = next((n for n, line in enumerate(lines) if n and line.rstrip() == "---"), 0)
    if lines[0].rstrip() != "---" or not end:
        faults.add(1, "the front matter is missing: begin with --- and end it with another ---")
        return None
    fields = read_front_matter("\n".join(lines[1:end]), faults.add)
    sections = _sections(lines[end + 1 :], end + 2, faults)
    preface, criteria = _criteria(sections.get("Criteria", []))
    if not criteria:
        faults.add(end + 2, "Criteria: none found; write '## Criteria' and a list 1. 2. 3.")
    scoring = "\n".join(sections.get("Scoring", [])).strip()
    keywords = "\n".join(sections.get("Keywords", [])).strip()
    if faults.found:
        return None
    return Rubric(
        slug=slug,
        preface=preface,
        criteria=criteria,
        scoring=scoring or DEFAULT_SCORING,
        keywords=keywords,
        **fields,
    )


def _sections(lines: list[str], first: int, faults: _Faults) -> dict[str, list[str]]:
    """The lines under each `## Heading`. Text that no section would hold is a fault, not lost."""
    text = COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), "\n".join(lines))
    sections: dict[str, list[str]] = {}
    into: list[str] | None = None
    for number, line in enumerate(text.split("\n"), first):
        if re.match(r"##?\s", line):
            into = _open(sections, line.strip("# \t"), number, faults)
        elif into is not None:
            into.append(line.rstrip())
        elif line.strip():
            faults.add(number, "text before the first section; move it below '## Criteria'")
            into = []
    return sections


def _open(sections: dict[str, list[str]], heading: str, line: int, faults: _Faults) -> list[str]:
    name = heading.capitalize()
    if name not in SECTIONS:
        near = get_close_matches(name, SECTIONS, 1, 0.5) or ["Criteria"]
        faults.add(line, f"section '{heading}' is not known; did you mean '## {near[0]}'?")
        return []
    if name in sections:
        faults.add(line, f"section '{name}' is there twice; join them")
    return sections.setdefault(name, [])


def _criteria(lines: list[str]) -> tuple[str, tuple[Criterion, ...]]:
    """The text before the list, and its items. All that follows an item belongs to it."""
    preface: list[str] = []
    items: list[tuple[str, list[str]]] = []
    for line in lines:
        if item := ITEM.fullmatch(line):
            bold = BOLD_TITLE.fullmatch(item[1])
            title, rest = (bold[1], bold[2]) if bold else (item[1], "")
            items.append((title.strip(), [rest] if rest else []))
        else:
            (items[-1][1] if items else preface).append(line)
    criteria = tuple(
        Criterion(number, title, _outdented(body)) for number, (title, body) in enumerate(items, 1)
    )
    return "\n".join(preface).strip(), criteria


def _outdented(lines: list[str]) -> str:
    """The item's text moved left by the list's own indent, its inner nesting kept."""
    lines = [line.expandtabs(4) for line in lines]
    indents = [_indent(line) for line in lines if line.strip()]
    if indents and not indents[0]:
        # Text that began on the number's own line says nothing about the indent below it.
        del indents[0]
    cut = min(indents, default=0)
    return "\n".join(line[min(cut, _indent(line)) :] for line in lines).strip()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
