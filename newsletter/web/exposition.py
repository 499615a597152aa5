"""The text that Prometheus reads (pure).

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "newsletter_"


class Family(NamedTuple):
    """One measure: its name without our prefix, what it is, and a value for each label value.

    `label` is empty where there is only one value, whose key is then of no matter. What only ever
    grows bears a name that ends in `_total`.
    """

    name: str
    words: str
    values: Mapping[str, float]
    label: str = ""


def one(name: str, words: str, value: float) -> Family:
    return Family(name, words, {"": value})


def exposition(families: Iterable[Family]) -> str:
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterable[str]:
    name = f"{PREFIX}{family.name}"
    yield f"# HELP {name} {_escaped(family.words)}"
    yield f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"
    for key, value in sorted(family.values.items()):
        quoted = _escaped(key).replace('"', r"\"")
        label = f'{{{family.label}="{quoted}"}}' if family.label else ""
        yield f"{name}{label} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
