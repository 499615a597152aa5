from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from newsletter.store import Store
from tests.fakes.installation import Installation

if TYPE_CHECKING:
    from pathlib import Path


def test_migrations_of_several_processes_at_once_wait_for_each_other(
    tmp_path: Path, store_url: str
) -> None:
    made = Installation(tmp_path, NEWSLETTER_DATABASE_URL=store_url)
    with ExitStack() as begun:
        processes = [begun.enter_context(made.begin("migrate")) for _ in range(4)]
        ended = [process.communicate(240)[1] for process in processes]
        assert [process.returncode for process in processes] == [0] * 4, ended
    store = Store(store_url)
    store.require_schema()
    store.close()
