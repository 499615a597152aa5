"""The front matter of a rubric file: every field checked, every fault with its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import yaml

from newsletter.categories import is_known, nearest

MAX_TITLE = 120

Fault = Callable[[int, str], None]


def read_front_matter(text: str, fault: Fault) -> dict[str, Any]:
    """The fields of a Rubric. `text` begins on line 2; `fault` hears (line, message)."""
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
        if not is_known(name):
            near = " or ".join(nearest(name))
            hint = f"did you mean {near}?" if near else "write it like cs.LG or hep-th"
            message = f"{name!r} is no arXiv category; {hint}"
            raise ValueError(message)
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
