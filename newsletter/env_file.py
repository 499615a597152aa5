"""`.env` looked over before it is read: python-dotenv passes over a line that it can't read.

And names looked over that nothing reads, there and in the environment.
"""

from __future__ import annotations

import io
import os
from difflib import get_close_matches
from typing import TYPE_CHECKING

from dotenv.parser import parse_stream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic.fields import FieldInfo

PREFIX = "NEWSLETTER_"
ALIKE = 0.7
"""Of two names without the prefix, by difflib: BUDGET and BUDGET_USD are 0.75 alike."""
NETWORK = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What no setting of ours holds: the libraries read it from the environment themselves."""
OF_THE_TESTS = "NEWSLETTER_TEST_DATABASE_URL"


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


def export_network(path: Path) -> None:
    """Proxies and certificate authorities of `.env` go into the environment, which wins."""
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    given = {name.upper() for name, value in os.environ.items() if value}
    for one in parse_stream(io.StringIO(written)):
        if one.key and one.value and one.key.upper() in NETWORK and one.key.upper() not in given:
            os.environ[one.key] = one.value


def misspelt(path: Path, fields: Mapping[str, FieldInfo]) -> list[str]:
    """A sentence for each NEWSLETTER_ name that is none of `fields`, with the likely one; no value.

    Of the environment only what is like a setting counts: Kubernetes puts NEWSLETTER_PORT and such
    there by itself, for a service of that name.
    """
    known = {str(one.validation_alias or f"{PREFIX}{name}").upper() for name, one in fields.items()}
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    here = {one.key.upper() for one in parse_stream(io.StringIO(written)) if one.key}
    found = []
    for name in sorted(here | {name.upper() for name in os.environ}):
        if not name.startswith(PREFIX) or name == OF_THE_TESTS:
            continue
        if name in known or name.removesuffix("_FILE") in known:
            continue
        meant = _meant(name, known)
        if meant:
            found.append(f"{name} is no setting and does nothing; is {meant} meant?")
        elif name in here:
            found.append(f"{name} is no setting and does nothing; take it out of {path}")
    return found


def _meant(name: str, known: set[str]) -> str:
    bare = {one.removeprefix(PREFIX): one for one in known}
    near = get_close_matches(name.removeprefix(PREFIX), bare, n=1, cutoff=ALIKE)
    return bare[near[0]] if near else ""
