"""`.env` looked over before it is read: python-dotenv passes over a line that it can't read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from dotenv.parser import parse_stream

if TYPE_CHECKING:
    from pathlib import Path


def what_is_wrong(path: Path) -> str:
    """The first fault with its line and the fix, never with the value; nothing if all is well."""
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return f"{path}: not UTF-8; save the file as UTF-8"
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            # Blank lines count as the beginning of the statement behind them.
            statement = binding.original.string
            blank = statement[: len(statement) - len(statement.lstrip())]
            line = binding.original.line + blank.count("\n")
            return f"{path} line {line}: not readable; write NAME=value and close every quote"
    return ""
