"""Write a rubric file: whole or not at all, and only over the text that its author saw."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.errors import OperatorError
from newsletter.files.atomic_write import replaced, sync_folder
from newsletter.rubrics.file import SLUG

if TYPE_CHECKING:
    from collections.abc import Mapping

NEW_FILE_MODE = 0o666
"""Before the umask, as for every file that a program creates."""
LEFT_AFTER = 60.0
"""Seconds: a temporary file that is older was left by a process that was killed."""


class RubricText(NamedTuple):
    """What a rubric file holds. `hash` is of its bytes; both are empty where there is no file.

    Bytes that are not UTF-8 are shown as U+FFFD.
    """

    text: str = ""
    hash: str = ""

    @property
    def state(self) -> Mapping[str, Any]:
        return self._asdict()

    @classmethod
    def of(cls, text: str) -> RubricText:
        return cls(text, hashlib.sha256(text.encode()).hexdigest())


def is_file_name(slug: str) -> bool:
    """Whether a rubric file may have this name."""
    return SLUG.fullmatch(slug) is not None and not is_reader_rubric(slug)


def read_text(folder: Path, slug: str) -> RubricText:
    """The file as it is now. Raises OperatorError where it cannot be read."""
    try:
        data = _path(folder, slug).read_bytes()
    except FileNotFoundError:
        return RubricText()
    except OSError as error:
        message = f"The file {slug}.md cannot be read: {error.strerror}"
        raise OperatorError(message) from error
    return RubricText(data.decode("utf-8", "replace"), hashlib.sha256(data).hexdigest())


def write_text(folder: Path, slug: str, text: str) -> None:
    """Replace the file, or create it. A crash leaves the old file or the new one.

    Raises OperatorError where the folder cannot be written.
    """
    path = _path(folder, slug)
    _delete_left_parts(path.parent)
    try:
        with replaced(path, NEW_FILE_MODE) as file:
            _keep_mode_and_owner(file, path)
            file.write(text.encode())
    except OSError as error:
        raise OperatorError(_not_writable(folder, error)) from error


def put(folder: Path, slug: str, wanted: RubricText) -> None:
    """Give the file this text; delete it where there shall be none. Raises OperatorError."""
    if wanted.hash:
        write_text(folder, slug, wanted.text)
    else:
        delete_file(folder, slug)


def delete_file(folder: Path, slug: str) -> None:
    """Delete the file or the link to it. Raises OperatorError where the folder is not writable."""
    _path(folder, slug)
    try:
        (folder / f"{slug}.md").unlink(missing_ok=True)
        sync_folder(folder)
    except OSError as error:
        raise OperatorError(_not_writable(folder, error)) from error


def write_problem(folder: Path) -> str:
    """Why files of this folder cannot be replaced; empty if they can."""
    if not folder.is_dir():
        return f"The folder {folder} is not there. {ADVICE}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"The folder {folder} cannot be written by this service. {ADVICE}"
    return ""


ADVICE = (
    "Give the user that runs the service write permission there (in a container: mount the folder "
    "writable), or change the file where it comes from and deploy it."
)


def _path(folder: Path, slug: str) -> Path:
    """The file itself where a link stands in the folder. Raises OperatorError for a bad name."""
    if not is_file_name(slug):
        message = f"The name {slug!r} is no name of a rubric file"
        raise OperatorError(message)
    # Not Path.resolve, which raises RuntimeError for a link that leads to itself.
    return Path(os.path.realpath(folder / f"{slug}.md"))


def _keep_mode_and_owner(file: BinaryIO, path: Path) -> None:
    """Give a new file the mode and, if permitted, the owner of the file at `path`."""
    if path.exists():
        before = path.stat()
        os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
        with suppress(PermissionError):
            os.fchown(file.fileno(), before.st_uid, before.st_gid)


def _delete_left_parts(folder: Path) -> None:
    """Delete the temporary files of processes that were killed."""
    for part in folder.glob(".*.md.????????.part"):
        with suppress(OSError):
            if part.stat().st_mtime < time.time() - LEFT_AFTER:
                part.unlink()


def _not_writable(folder: Path, error: OSError) -> str:
    return f"Nothing was saved: {folder} cannot be written ({error.strerror}). {ADVICE}"
