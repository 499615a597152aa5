"""Checks of `.env` before it is read: python-dotenv skips a line that it cannot parse."""

from __future__ import annotations

import io
import os
import re
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dotenv import dotenv_values, set_key
from dotenv.parser import Binding, parse_stream

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PREFIX = "NEWSLETTER_"
MIN_SIMILARITY = 0.7
"""Of two names without the prefix, by difflib: BUDGET and BUDGET_USD have 0.75."""
NETWORK = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Not fields of `Settings`: the libraries read them from the environment."""
VENDORS = ("ANTHROPIC_", "SENDGRID_")
MIN_VENDOR_SIMILARITY = 0.6
"""KEY and API_KEY have 0.6; AUTH_TOKEN, a name that the vendor uses, has 0.47."""
COMMENT = re.compile(r"\s#[^\s#]")
"""A comment behind a value follows a space; the `#` of `12 #4` is part of an address."""
PLAIN = re.compile(r"[\w.@:/%+-]*", re.ASCII)
NEW_FILE = "# Written by newsletter init; .env.example lists all settings.\n"
TEST_DATABASE = "NEWSLETTER_TEST_DATABASE_URL"


def syntax_fault(path: Path) -> str:
    """The first line of `.env` that cannot be read, with the fix but not the value; or nothing."""
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return f"{path}: not UTF-8; save the file as UTF-8"
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            # The parser counts blank lines to the statement that follows them.
            statement = binding.original.string
            blank = statement[: len(statement) - len(statement.lstrip())]
            line = binding.original.line + blank.count("\n")
            return f"{path} line {line}: not readable; write NAME=value and close every quote"
    return ""


def _assignments(path: Path) -> list[Binding]:
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [one for one in parse_stream(io.StringIO(written)) if one.key]


def changed_text(path: Path, values: Mapping[str, str]) -> str:
    """The text of `path` with `values` set and all other lines kept.

    Raises OSError, and ValueError with the name of a value that would be read back otherwise.
    """
    with TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        given = path.read_text(encoding="utf-8") if path.is_file() else NEW_FILE
        draft.write_text(given, encoding="utf-8")
        for key, value in values.items():
            # docker run --env-file takes quotes for a part of the value.
            set_key(draft, key, value, "never" if PLAIN.fullmatch(value) else "always")
        written = dotenv_values(draft)
        text = draft.read_text(encoding="utf-8")
    if changed := [key for key, value in values.items() if written.get(key) != value]:
        message = f"{', '.join(changed)}: the value cannot be written to {path}"
        raise ValueError(message)
    return text


def export_network(path: Path) -> None:
    """Copy proxies and certificate authorities of `.env` to the environment, which wins."""
    given = {name.upper() for name, value in os.environ.items() if value}
    for one in _assignments(path):
        if one.key and one.value and one.key.upper() in NETWORK and one.key.upper() not in given:
            os.environ[one.key] = one.value


def misspelt(path: Path, known: Collection[str]) -> list[str]:
    """A sentence for each name that is no setting, with the likely one. It shows no value.

    Names with the prefix NEWSLETTER_, and names similar to a vendor's setting that is not set.
    Other names of the environment are ignored: Kubernetes sets NEWSLETTER_PORT and others for a
    service of that name.
    """
    written = {one.key.upper() for one in _assignments(path) if one.key}
    given = written | {name.upper() for name in os.environ}
    unset = {name for name in known if name not in given}
    found = []
    for name in sorted(given.difference(known, {TEST_DATABASE})):
        ours = name.startswith(PREFIX) and name.removesuffix("_FILE") not in known
        meant = _similar_vendor_name(name, unset)
        if ours and not meant:
            meant = _similar(name, known, PREFIX, MIN_SIMILARITY)
        if meant:
            found.append(f"{name} is no setting and does nothing; is {meant} meant?")
        elif ours and name in written:
            found.append(f"{name} is no setting and does nothing; take it out of {path}")
    return found


def _similar_vendor_name(name: str, unset: set[str]) -> str:
    prefix = next((one for one in VENDORS if name.startswith(one)), "")
    if not prefix or name.removesuffix("_FILE") in unset:
        return ""
    names = {one for one in unset if one.startswith(prefix)}
    return _similar(name, names, prefix, MIN_VENDOR_SIMILARITY)


def _similar(name: str, names: Collection[str], prefix: str, least: float) -> str:
    bare = {one.removeprefix(prefix): one for one in names}
    near = get_close_matches(name.removeprefix(prefix), bare, n=1, cutoff=least)
    return bare[near[0]] if near else ""


def cut_values(path: Path) -> list[str]:
    """A sentence for each value of `.env` that a `#` may have cut short. It shows no value."""
    found = []
    for one in _assignments(path):
        given = one.original.string.partition("=")[2].strip()
        if given[:1] not in {"'", '"'} and COMMENT.search(given):
            found.append(
                f"{one.key} in {path} ends before its #, which begins a comment; put the whole "
                "value into quotes if what follows belongs to it"
            )
    return found
