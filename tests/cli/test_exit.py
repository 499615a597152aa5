"""The end of a command: at once, with its status and all of its output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HANGING_THREAD = "import threading; threading.Thread(target=threading.Event().wait).start(); "
EXIT = "from newsletter.process import exit_now; print('done'); exit_now({status})"


def exit_with(status: int, *, before: str = "", stdout: int | None = subprocess.PIPE):
    return subprocess.run(
        [sys.executable, "-c", before + EXIT.format(status=status)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        # Unbuffered output would fail before the exit.
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        check=False,
    )


def test_a_thread_that_never_ends_does_not_delay_the_exit():
    end = exit_with(3, before=HANGING_THREAD)
    assert (end.returncode, end.stdout) == (3, "done\n")


def test_output_that_cannot_be_written_is_a_failure():
    with Path("/dev/full").open("w") as full:
        assert exit_with(0, stdout=full.fileno()).returncode == 1
