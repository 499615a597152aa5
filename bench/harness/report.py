"""Arguments that benches share, and how they print their figures."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def arguments(
    doc: str | None, *, as_json: bool = False, database: bool = False
) -> argparse.ArgumentParser:
    """A parser whose `--help` shows the module's docstring as it is written."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if as_json:
        parser.add_argument("--json", action="store_true", help="one JSON object, not tables")
    if database:
        parser.add_argument("--database", default="", help="its URL; default: a new SQLite file")
    return parser


def show(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print figures as JSON, or as Markdown: one table of them, and a column for each group."""
    if as_json:
        print(json.dumps(figures, indent=1))
        return
    groups = {name: one for name, one in figures.items() if isinstance(one, dict)}
    single = [(name, one) for name, one in figures.items() if name not in groups]
    if single:
        print_table(["", ""], single)
    if groups:
        names = dict.fromkeys(name for one in groups.values() for name in one)
        rows = [[name, *(one.get(name, "") for one in groups.values())] for name in names]
        print_table(["", *groups], rows)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    print("\n| " + " | ".join(headings) + " |\n|---|" + "---:|" * (len(headings) - 1))
    for row in rows:
        print("| " + " | ".join(_cell(one) for one in row) + " |")


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
