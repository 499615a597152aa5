"""A second service on one SQLite file does not start."""

from __future__ import annotations

import os
import signal

import pytest

from newsletter.errors import OperatorError
from newsletter.jobs.daemon import single_instance
from newsletter.store import Store


def test_the_second_is_told_why_and_may_come_when_the_first_is_gone(tmp_path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'n.db'}")
    with single_instance(store):
        with (
            pytest.raises(OperatorError, match="SQLite lets one process write"),
            single_instance(store),
        ):
            pass
        with single_instance(Store(f"sqlite:///{tmp_path / 'other.db'}")):
            pass
    with single_instance(store):
        pass


def test_a_killed_one_keeps_nobody_out(tmp_path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'n.db'}")
    ready, told = os.pipe()
    if (child := os.fork()) == 0:
        with single_instance(store):
            os.write(told, b".")
            signal.pause()
    os.read(ready, 1)
    with pytest.raises(OperatorError), single_instance(store):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with single_instance(store):
        pass


def test_on_postgresql_as_many_as_one_likes() -> None:
    store = Store("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    with single_instance(store), single_instance(store):
        pass


def test_lock_file_is_readable_by_its_owner_only(tmp_path) -> None:
    with single_instance(Store(f"sqlite:///{tmp_path / 'n.db'}")):
        assert (tmp_path / "n.db.lock").stat().st_mode & 0o777 == 0o600
