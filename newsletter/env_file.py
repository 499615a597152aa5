"""`.env` looked over before it is read: python-dotenv passes over a line that it can't read.

And names looked over that nothing reads, there and in the environment.
"""

from __future__ import annotations

import io
import os
import re
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
VENDORS = ("ANTHROPIC_", "SENDGRID_")
ALIKE_OF_A_VENDOR = 0.6
"""KEY and API_KEY are 0.6 alike; AUTH_TOKEN, a name of the vendor's own, is 0.47."""
COMMENT = re.compile(r"\s#[^\s#]")
"""Behind a value: a comment has a space there, a house number has not."""
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

    So it is with names that are like a vendor's, where that one is not set.

    Of the environment only what is like a setting counts: Kubernetes puts NEWSLETTER_PORT and such
    there by itself, for a service of that name.
    """
    known = {str(one.validation_alias or f"{PREFIX}{name}").upper() for name, one in fields.items()}
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    here = {one.key.upper() for one in parse_stream(io.StringIO(written)) if one.key}
    found = []
    given = here | {name.upper() for name in os.environ}
    for name in sorted(given):
        if meant := _meant_of_a_vendor(name, known - given):
            found.append(f"{name} is no setting and does nothing; is {meant} meant?")
            continue
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


def _meant_of_a_vendor(name: str, unset: set[str]) -> str:
    prefix = next((one for one in VENDORS if name.startswith(one)), "")
    if not prefix or name.removesuffix("_FILE") in unset:
        return ""
    bare = {one.removeprefix(prefix): one for one in unset if one.startswith(prefix)}
    near = get_close_matches(name.removeprefix(prefix), bare, n=1, cutoff=ALIKE_OF_A_VENDOR)
    return bare[near[0]] if near else ""


def cut_values(path: Path) -> list[str]:
    """A sentence for each value of `.env` that may have lost its end at a `#`; no value."""
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = []
    for one in parse_stream(io.StringIO(written)):
        given = one.original.string.partition("=")[2].strip()
        if one.key and given[:1] not in {"'", '"'} and COMMENT.search(given):
            found.append(
                f"{one.key} in {path} ends before its #, which begins a comment; put the whole "
                "value into quotes if what follows belongs to it"
            )
    return found


def _meant(name: str, known: set[str]) -> str:
    bare = {one.removeprefix(PREFIX): one for one in known}
    near = get_close_matches(name.removeprefix(PREFIX), bare, n=1, cutoff=ALIKE)
    return bare[near[0]] if near else ""
