"""A file beside an SQLite database for paid answers that it can't store because the disk is full.

It is allocated at full size before the first paid call, so it needs no more space later. Its
answers move into the database when scoring starts again.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from base64 import b64decode, b64encode
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from newsletter.domain.model import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

SIZE = 2 * 2**20
"""Room for some hundred answers; it never holds more than the calls in flight."""


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """A paid answer and the call that it belongs to."""

    call_id: str
    raw: bytes
    usage: Usage | None


class AnswerFile:
    """One JSON line for each answer, padded with zeros to the full size."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def allocate(self) -> None:
        """Allocate the file on disk. Where that fails, scoring goes on without it."""
        try:
            with self._opened(os.O_CREAT) as file:
                if missing := SIZE - os.fstat(file).st_size:
                    os.pwrite(file, bytes(missing), SIZE - missing)
                    os.fsync(file)
        except OSError as error:
            log.warning(
                "cannot allocate the file for unsaved answers at %s: %s", self._path, error.strerror
            )

    def put(self, one: SavedAnswer) -> bool:
        """Append an answer. True when it is synced to disk."""
        given = {
            "call": one.call_id,
            "raw": b64encode(one.raw).decode(),
            "usage": asdict(one.usage) if one.usage else None,
        }
        line = json.dumps(given).encode() + b"\n"
        try:
            with self._opened() as file:
                held = _lines(file)
                if len(held) + len(line) > SIZE:
                    return False
                os.pwrite(file, line, len(held))
                os.fsync(file)
        except OSError as error:
            log.warning("cannot write an unsaved answer to %s: %s", self._path, error.strerror)
            return False
        return True

    def held(self) -> list[SavedAnswer]:
        """The answers in the file."""
        try:
            with self._opened() as file:
                return [_read(line) for line in _lines(file).splitlines()]
        except FileNotFoundError:
            return []

    def clear(self, known: int) -> None:
        """Drop the first `known` answers: they are in the database now."""
        with self._opened() as file:
            lines = _lines(file)
            left = b"".join(lines.splitlines(keepends=True)[known:])
            os.pwrite(file, left.ljust(len(lines), b"\0"), 0)
            os.fsync(file)

    @contextmanager
    def _opened(self, more: int = 0) -> Iterator[int]:
        """The file, opened and locked exclusively."""
        file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | more, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)


def _lines(file: int) -> bytes:
    """All complete lines, without one that a crash left half written."""
    written = os.pread(file, SIZE, 0).partition(b"\0")[0]
    return written[: written.rfind(b"\n") + 1]


def _read(line: bytes) -> SavedAnswer:
    given = json.loads(line)
    usage = Usage(**given["usage"]) if given["usage"] else None
    return SavedAnswer(given["call"], b64decode(given["raw"]), usage)
