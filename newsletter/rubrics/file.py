"""A rubric file: Markdown with front matter, read into a Rubric (docs/rubrics.md).

Every field is checked, and every fault has its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import yaml

from newsletter.domain.categories import category_fault
from newsletter.domain.model import Criterion, Rubric
from newsletter.domain.reader_rubrics import NAME_REFUSED, is_reader_rubric
from newsletter.domain.sanitize import FORBIDDEN
from newsletter.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

MAX_TITLE = 120

Fault = Callable[[int, str], None]


def read_front_matter(text: str, fault: Fault) -> dict[str, Any]:
    """The fields of a Rubric. `text` begins on line 2; `fault` is called with (line, message)."""
    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 2
        fault(line, f"front matter: {error.problem}; write 'name: value' lines")
        return {}
    except (yaml.YAMLError, RecursionError, ValueError):
        fault(2, "front matter: not readable; write 'name: value' lines")
        return {}
    if not isinstance(node, yaml.MappingNode):
        fault(2, "front matter: write 'name: value' lines, at least title and categories")
        return {}
    settings: dict[str, Any] = {}
    names = set()
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 2
        if isinstance(key_node, yaml.ScalarNode):
            names.add(name := str(key_node.value))
            _take(settings, name, value_node, line, fault)
        else:
            fault(line, "front matter: a list stands where a name belongs; write 'name: value'")
    for needed in ("title", "categories"):
        if needed not in names:
            fault(2, f"{needed}: missing; add '{needed}: {EXAMPLES[needed]}'")
    return settings


def _take(settings: dict[str, Any], name: str, node: yaml.Node, line: int, fault: Fault) -> None:
    """Check one setting and keep it, or say what is wrong with it."""
    if name not in FIELDS:
        near = get_close_matches(name.lower(), FIELDS, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(FIELDS)}"
        fault(line, f"{name}: not known; {hint}")
    elif name in settings:
        fault(line, f"{name}: is there twice; keep one")
    else:
        try:
            settings[name] = FIELDS[name](_plain(node))
        except ValueError as error:
            fault(line, f"{name}: {error}")


def _plain(node: yaml.Node) -> object:
    """Text, a whole number, yes/no, nothing, or a list of these; an empty dict for all else."""
    if isinstance(node, yaml.SequenceNode):
        # Not any deeper: an alias could make a list hold itself.
        return [_scalar(item) if isinstance(item, yaml.ScalarNode) else {} for item in node.value]
    return _scalar(node) if isinstance(node, yaml.ScalarNode) else {}


def _scalar(node: yaml.ScalarNode) -> object:
    value = str(node.value)
    tag = node.tag.rpartition(":")[2]
    if tag == "int" and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    if tag == "bool":
        return value.lower() in ("true", "yes", "on")
    return None if tag == "null" else value


def _title(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        message = "is not text; write it in quotes"
        raise ValueError(message)
    if len(value) > MAX_TITLE:
        message = f"{len(value)} characters; use at most {MAX_TITLE}"
        raise ValueError(message)
    return " ".join(value.split())


def _whole(low: int, high: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            shown = repr(value) if isinstance(value, str) else value
            message = f"{shown} is not between {low} and {high}"
            raise ValueError(message)
        return value

    return check


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = "write a list of texts: [first, second]; a number or yes/no needs quotes"
        raise ValueError(message)
    return tuple(dict.fromkeys(" ".join(item.split()) for item in value if item.strip()))


def _categories(value: object) -> tuple[str, ...]:
    names = _texts(value)
    if not names:
        message = "empty; name at least one, like [cs.LG]"
        raise ValueError(message)
    for name in names:
        if fault := category_fault(name):
            raise ValueError(fault)
    return names


def _yes_no(value: object) -> bool:
    if not isinstance(value, bool):
        message = "write true or false"
        raise ValueError(message)  # noqa: TRY004 - one kind of fault for every field
    return value


def _limit(value: object) -> int | None:
    return None if value is None else _whole(1, 500)(value)


EXAMPLES = {"title": "Stars and dwarf galaxies", "categories": "[cs.LG, cs.AI]"}
FIELDS: dict[str, Callable[[object], object]] = {
    "title": _title,
    "categories": _categories,
    "relevance": _whole(1, 10),
    "novelty": _whole(1, 10),
    "exclude": _texts,
    "authors": _texts,
    "max_papers": _limit,
    "public": _yes_no,
}

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


class RubricError(OperatorError):
    """One or more rubric files are wrong. `faults` has one line for each fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass
class _Faults:
    """Collects all faults of one file, so that its author can fix them together."""

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
    if is_reader_rubric(path.stem):
        faults.add(1, NAME_REFUSED)
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise RubricError([message]) from error
    return _whole_rubric(path.stem, data, faults)


def parse(text: str, slug: str, name: str) -> Rubric:
    """The rubric in a text. Raises RubricError with every fault, under `name`."""
    return _whole_rubric(slug, text.encode(), _Faults(name))


def parse_draft(text: str, slug: str) -> Rubric:
    """What can be read of an unfinished rubric. Fields with a fault have their default."""
    faults = _Faults(slug)
    return _read(slug, _decoded(text.encode(), faults), faults)


def _whole_rubric(slug: str, data: bytes, faults: _Faults) -> Rubric:
    text = _decoded(data, faults)
    rubric = _read(slug, text, faults) if text or not faults.found else None
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
    if unseen := FORBIDDEN.search(text):
        line = text.count("\n", 0, unseen.start()) + 1
        faults.add(line, f"an invisible character (U+{ord(unseen[0]):04X}); delete it")
        return ""
    return text


def _read(slug: str, text: str, faults: _Faults) -> Rubric:
    """The rubric, with its defaults in place of what has a fault."""
    nothing = Rubric(slug, "", (), (), scoring=DEFAULT_SCORING)
    if len(text) > MAX_CHARACTERS:
        faults.add(1, f"{len(text)} characters; a rubric has at most {MAX_CHARACTERS}")
        return nothing
    lines = text.split("\n")
    end = next((n for n, line in enumerate(lines) if n and line.rstrip() == "---"), 0)
    if lines[0].rstrip() != "---" or not end:
        faults.add(1, "the front matter is missing: begin with --- and end it with another ---")
        return nothing
    fields = read_front_matter("\n".join(lines[1:end]), faults.add)
    sections = _sections(lines[end + 1 :], end + 2, faults)
    preface, criteria = _criteria(sections.get("Criteria", []))
    if not criteria:
        faults.add(end + 2, "Criteria: none found; write '## Criteria' and a list 1. 2. 3.")
    read: dict[str, Any] = {
        "preface": preface,
        "criteria": criteria,
        "scoring": "\n".join(sections.get("Scoring", [])).strip() or DEFAULT_SCORING,
        "keywords": "\n".join(sections.get("Keywords", [])).strip(),
    }
    return replace(nothing, **read, **fields)


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
