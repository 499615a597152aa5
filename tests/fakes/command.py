"""The program run as its operator runs it, without loading its libraries each time.

A process loads them once and forks itself for each command: its own process id, folder,
environment and files, as if it had been started. Half a second of imports for each of some hundred
commands is what this saves; tests that kill or signal the program start it the long way.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

READ_AT_START = {"LC_ALL", "PYTHONUTF8"}
"""An interpreter reads these once: they need one of their own."""
LOADED = (
    "newsletter.__main__",
    "newsletter.commands.morning",
    "newsletter.commands.one_off",
    "newsletter.commands.subscribers",
    "newsletter.commands.database",
    "newsletter.commands.doctor",
    "newsletter.commands.moving",
    "newsletter.wiring",
    "alembic.command",
    "alembic.config",
    "email_validator",
    "premailer",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
)
READY = b"ready\n"
ROOT = Path(__file__).parents[2]


def run(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error. Raises TimeoutError."""
    if READ_AT_START & environment.keys():
        return _started(words, folder, environment, timeout)
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        socket.socket(socket.AF_UNIX) as line,
    ):
        line.settimeout(timeout)
        line.connect(_nursery())
        order = json.dumps([list(words), str(folder), dict(environment)]).encode()
        socket.send_fds(line, [len(order).to_bytes(4)], [out.fileno(), err.fileno()])
        line.sendall(order)
        status = line.recv(16)
        out.seek(0)
        err.seek(0)
        return int(status), out.read(), err.read()


def _started(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "newsletter", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@functools.cache
def _nursery() -> str:
    """Where the process that has loaded everything listens; started at the first command."""
    folder = tempfile.mkdtemp(prefix="nl")
    place = str(Path(folder) / "s")
    mother = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.command", place],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert mother.stdout is not None
    assert mother.stdout.readline() == READY

    def end() -> None:
        mother.terminate()
        mother.wait()
        for handle in (mother.stdin, mother.stdout):
            if handle:
                handle.close()
        Path(place).unlink(missing_ok=True)
        Path(folder).rmdir()

    atexit.register(end)
    return place


def serve(place: str) -> None:
    """Fork for each connection, until standard input closes or a signal ends it."""
    import importlib
    import select

    for name in LOADED:
        importlib.import_module(name)
    os.environ.pop("OMP_NUM_THREADS", None)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(place)
        door.listen(16)
        sys.stdout.buffer.write(READY)
        sys.stdout.buffer.flush()
        while True:
            ready, _, _ = select.select([door, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            line, _ = door.accept()
            if os.fork() == 0:
                door.close()
                _accompany(line)
            line.close()


def _accompany(line: socket.socket) -> None:
    """Fork once more for the command itself, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, (out, err), _, _ = socket.recv_fds(line, 4, 2)
    order = b""
    while len(order) < int.from_bytes(size):
        order += line.recv(65536)
    words, folder, environment = json.loads(order)
    child = os.fork()
    if child == 0:
        line.close()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        _become(words, folder, environment)
    _, status = os.waitpid(child, 0)
    line.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(words: list[str], folder: str, environment: dict[str, str]) -> None:
    from newsletter.__main__ import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["newsletter", *words]
    # As a fresh interpreter would have them: bound to the files it was started with.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    status = 0
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException as fault:  # noqa: BLE001 - what an interpreter does at its end
        sys.excepthook(type(fault), fault, fault.__traceback__)
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
