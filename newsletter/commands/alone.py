"""One service to a SQLite file: a second one is told why it may not start."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.store import Store


@contextmanager
def only_one(store: Store) -> Iterator[None]:
    """Raises Trouble where another service has the file. The kernel lets go of it when we die."""
    if not store.is_sqlite:
        yield
        return
    path = Path(f"{store.url.database}.lock")
    with path.open("w", encoding="ascii") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = (
                f"another serve works on {store.url.database}, and SQLite lets one process write; "
                "stop that one, or move to PostgreSQL: newsletter db copy"
            )
            raise Trouble(message) from None
        yield
