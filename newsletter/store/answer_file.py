"""A file beside an SQLite database for answers that it can't take, because its disk is full.

It is written whole before the first answer is paid for, so that it needs no more room later. What
is in it is taken up when scoring begins again.
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
"""Some hundred answers; no more than the calls in flight are ever in it."""


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """An answer that was paid for, and the call that it belongs to."""

    call_id: str
    raw: bytes
    usage: Usage | None


class AnswerFile:
    """One line of JSON for each answer, and nothing but zeros after the last one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def allocate(self) -> None:
        """Take the room on the disk. Without any, scoring goes on as it did before."""
        try:
            with self._opened(os.O_CREAT) as file:
                if missing := SIZE - os.fstat(file).st_size:
                    os.pwrite(file, bytes(missing), SIZE - missing)
                    os.fsync(file)
        except OSError as error:
            log.warning("no room is set aside for answers at %s: %s", self._path, error.strerror)

    def put(self, one: SavedAnswer) -> bool:
        """Keep an answer; whether it is on the disk now."""
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
            log.warning("an answer could not be set aside at %s: %s", self._path, error.strerror)
            return False
        return True

    def held(self) -> list[SavedAnswer]:
        """What was set aside and not taken up yet."""
        try:
            with self._opened() as file:
                return [_read(line) for line in _lines(file).splitlines()]
        except FileNotFoundError:
            return []

    def clear(self, known: int) -> None:
        """Forget the first `known` answers, which are in the database now."""
        with self._opened() as file:
            lines = _lines(file)
            left = b"".join(lines.splitlines(keepends=True)[known:])
            os.pwrite(file, left.ljust(len(lines), b"\0"), 0)
            os.fsync(file)

    @contextmanager
    def _opened(self, more: int = 0) -> Iterator[int]:
        """The file, while no other process or thread has it."""
        file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | more, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)


def _lines(file: int) -> bytes:
    """All whole lines: what a crash left half written is not one."""
    written = os.pread(file, SIZE, 0).partition(b"\0")[0]
    return written[: written.rfind(b"\n") + 1]


def _read(line: bytes) -> SavedAnswer:
    given = json.loads(line)
    usage = Usage(**given["usage"]) if given["usage"] else None
    return SavedAnswer(given["call"], b64decode(given["raw"]), usage)
