"""Write files whole or not at all: a temporary file beside the target, fsync, rename."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def part_of(target: Path) -> Path:
    """A name for the temporary file: hidden, and new each time."""
    return target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")


@contextmanager
def replaced(target: Path, mode: int) -> Iterator[BinaryIO]:
    """A file that takes the place of `target` at the end of the block.

    A crash or an exception leaves the old file, if there was one. Raises OSError.
    """
    part = part_of(target)
    try:
        with _written(part, mode) as file:
            yield file
        part.replace(target)
        sync_folder(target.parent)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def create(target: Path, data: bytes, mode: int) -> None:
    """Create the file, unless another process created it meanwhile. Raises OSError."""
    part = part_of(target)
    try:
        with _written(part, mode) as file:
            file.write(data)
        with suppress(FileExistsError):
            os.link(part, target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def _written(part: Path, mode: int) -> Iterator[BinaryIO]:
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(number, "wb") as file:
        yield file
        file.flush()
        os.fsync(number)


def sync_folder(folder: Path) -> None:
    """Make renames and deletions in a folder durable. Raises OSError."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
