"""The file of an SQLite database: created with mode 0600, and checked for replacement.

A process keeps the file that it opened, even when that was removed or replaced: it would go on
writing to a file that nobody reads.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path

DAMAGED = ("malformed", "not a database", "could not decode", "orphan index", "corrupt")
"""Words in SQLite's messages about a damaged file."""

MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class DatabaseFile:
    """`given` is the path, or a `file:` address, for which no file is created."""

    def __init__(self, given: str) -> None:
        self.path = Path(given.removeprefix("file:"))
        self._made_here = not given.startswith("file:")
        self._known: tuple[int, int] | None = None

    def make_folder(self) -> None:
        """Make the folder if it is not there, for its owner alone. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make(self) -> None:
        """Create the file if there is none, with access for its owner only. Raises OSError.

        An existing file is not opened: closing it would release all locks that SQLite has on it in
        this process (POSIX locks), and another process could then delete the write-ahead log.
        """
        if self._made_here:
            with suppress(FileExistsError):
                os.close(os.open(self.path, MAKE, 0o600))

    def changed(self) -> str:
        """What happened to the file since the first check; empty where it is the same."""
        try:
            found = self.path.stat()
        except OSError:
            return "was removed" if self._known else ""
        here = (found.st_dev, found.st_ino)
        if self._known is None and stat.S_ISREG(found.st_mode):
            self._known = here
        if self._known is None:
            return ""
        return "" if here == self._known else "was replaced by another one"

    def forget(self) -> None:
        """Accept whatever file is at the path next."""
        self._known = None

    def is_damaged(self) -> bool:
        """Run SQLite's quick_check until the first fault."""
        try:
            with closing(
                sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)
            ) as db:
                return bool(db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            return True
