"""The program run as its operator runs it, without loading its libraries each time.

A process loads them once and forks itself for each command: its own process id, folder,
environment and files, as if it had been started; it may be signalled and killed. Two seconds of
imports and of compiling templates for each of some hundred commands is what this saves.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self, TextIO

import newsletter
from tests.fakes.database import share_compiled_statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

READ_AT_START = {"LC_ALL", "PYTHONUTF8"}
"""An interpreter reads these once: they need one of their own."""
VENDORS = (
    "alembic.command",
    "alembic.config",
    "anthropic",
    "apscheduler.schedulers.background",
    "arxiv",
    "bibtexparser",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "email_validator",
    "httpcore2",
    "premailer",
    "pylatexenc.latex2text",
    "rich.progress",
    "sendgrid",
    "structlog",
    "truststore",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.h11_impl",
)
"""Libraries that the package imports where it uses them."""
NOT_LOADED = ("newsletter.jobs.dbos_engine", "newsletter.store.migrations")
REHEARSED = (
    "migrate",
    "subscribers import readers.csv --consent rehearsed",
    "subscribers list",
    "run",
    "run --json",
    "status",
    "preview --rubric one",
    "doctor --offline",
)
RUBRIC = "---\ntitle: one\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Any\n   - Relevant: all.\n"
READERS = "email,rubric\nada@example.org,one\n"
LISTENING = b"listening\n"
SHARED = "NEWSLETTER_TEST_FORK_SERVER"
ROOT = Path(__file__).parents[2]


class RunningCommand:
    """A command under way: of `subprocess.Popen`, as much as tests need."""

    def __init__(self, line: socket.socket, out: TextIO, err: TextIO) -> None:
        self.stdout, self.stderr = out, err
        self.returncode: int | None = None
        self._line, self._received = line, b""
        self.pid = self._number()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()
        for file in (self.stdout, self.stderr, self._line):
            file.close()

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, that of a signal negative. Raises TimeoutError."""
        if self.returncode is None:
            self._line.settimeout(timeout)
            self.returncode = self._number()
        return self.returncode

    def _number(self) -> int:
        """The next line; after a TimeoutError it can be asked for again."""
        while b"\n" not in self._received and (got := self._line.recv(64)):
            self._received += got
        told, _, self._received = self._received.partition(b"\n")
        return int(told)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it still said and says, to its end; it is killed when that takes too long."""
        end = threading.Timer(timeout, self.kill)
        end.start()
        with ThreadPoolExecutor(1) as beside:
            out = beside.submit(self.stdout.read)
            err = self.stderr.read()
        self.wait(timeout)
        end.cancel()
        return out.result(), err

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def begin(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> RunningCommand:
    """Start a command; read what it says from the pipes."""
    assert not READ_AT_START & environment.keys()
    readers, writers = zip(os.pipe(), os.pipe(), strict=True)
    running = RunningCommand(_ordered(words, folder, environment, writers), *map(_text, readers))
    for each in writers:
        os.close(each)
    return running


def begin_on_terminal(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], terminal: int
) -> RunningCommand:
    """Start a command that controls this terminal, as a shell does."""
    line = _ordered(words, folder, environment, (terminal, terminal))
    return RunningCommand(line, io.StringIO(), io.StringIO())


def run(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error. Raises TimeoutError."""
    if READ_AT_START & environment.keys():
        return _started(words, folder, environment, timeout)
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        line = _ordered(words, folder, environment, (out.fileno(), err.fileno()))
        with RunningCommand(line, out, err) as running:
            status = running.wait(timeout)
            out.seek(0)
            err.seek(0)
            return status, out.read(), err.read()


def _ordered(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], files: Sequence[int]
) -> socket.socket:
    """Where the new process's id is told, and how it ended."""
    line = socket.socket(socket.AF_UNIX)
    line.connect(_fork_server())
    order = json.dumps([list(words), str(folder), dict(environment)]).encode()
    socket.send_fds(line, [len(order).to_bytes(4)], list(files))
    line.sendall(order)
    return line


def _text(reader: int) -> TextIO:
    return os.fdopen(reader, encoding="utf-8")


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
def _fork_server() -> str:
    """Where the process that has loaded everything listens; started at the first command."""
    return os.environ.get(SHARED) or start_fork_server()


def share_fork_server() -> None:
    """Start it now, for this process and those that it starts: pytest-xdist's workers."""
    os.environ[SHARED] = start_fork_server("rehearsed")


def start_fork_server(*options: str) -> str:
    folder = tempfile.mkdtemp(prefix="nl")
    place = str(Path(folder) / "s")
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.command", place, *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert server.stdout is not None
    assert server.stdout.readline() == LISTENING

    def end() -> None:
        # A command that is rehearsed would answer SIGTERM by itself.
        server.kill()
        server.wait()
        for handle in (server.stdin, server.stdout):
            if handle:
                handle.close()
        shutil.rmtree(folder)

    atexit.register(end)
    return place


def serve(place: str, *, rehearsed: bool) -> None:
    """Fork for each connection, until standard input closes or a signal ends it."""
    lines: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(64)
        # Who asks already waits until all is loaded.
        sys.stdout.buffer.write(LISTENING)
        sys.stdout.buffer.flush()
        _load()
        if rehearsed:
            # It takes a second: for a test or two that would be longer than the commands.
            _rehearse(Path(place).parent)
        _keep_what_is_loaded()
        # A process that ends makes `ended` readable.
        ended, signalled = socket.socketpair()
        signalled.settimeout(0)
        signal.set_wakeup_fd(signalled.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ready, _, _ = select.select([listener, ended, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            if ended in ready:
                ended.recv(4096)
                _tell_ends(lines)
            if listener in ready:
                line, _ = listener.accept()
                _fork_command(line, lines, (listener, ended, signalled))


def _load() -> None:
    gc.disable()
    load_all()
    share_compiled_statements()


def _keep_what_is_loaded() -> None:
    """Nobody need look it through for garbage, nor copy it for that."""
    gc.collect()
    gc.freeze()
    gc.enable()
    os.environ.pop("OMP_NUM_THREADS", None)


def load_all() -> None:
    """Import all of the package and what it imports later, and compile the email templates."""
    modules = pkgutil.walk_packages(newsletter.__path__, "newsletter.")
    for name in (*(each.name for each in modules), *VENDORS):
        if not name.startswith(NOT_LOADED):
            importlib.import_module(name)
    from newsletter.render.templates import FOLDER, shared_templates

    templates = shared_templates()
    for name in sorted(path.parent.name for path in FOLDER.glob("*/body.mjml")):
        templates._html_template(name)
        for part in ("body", "subject"):
            templates._filling.get_template(f"{name}/{part}.txt")
    templates.macros("digest/pieces.html")


def _rehearse(place: Path) -> None:
    """Run commands in this process: what a command compiles at first, the forked ones then have."""
    from tests.fakes.anthropic import FakeAnthropic
    from tests.fakes.scoring import scores_in_abstract

    before, folder = dict(os.environ), Path.cwd()
    with FakeAnthropic(scores_in_abstract) as fake:
        paid = {"ANTHROPIC_API_KEY": "sk-x", "ANTHROPIC_BASE_URL": fake.url}
        for environment in ({}, paid):
            with tempfile.TemporaryDirectory(dir=place) as name:
                _run_all(REHEARSED, Path(name), {"NEWSLETTER_SOURCE": "sample", **environment})
            os.chdir(folder)
    os.environ.clear()
    os.environ.update(before)


def _run_all(commands: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    from newsletter.__main__ import _run
    from tests.fakes.installation import Installation

    made = Installation(folder, **environment)
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    (folder / "readers.csv").write_text(READERS, encoding="utf-8")
    os.environ.clear()
    os.environ.update(made.environment)
    os.chdir(folder)
    for words in commands:
        sys.argv = ["newsletter", *words.split()]
        with Path(os.devnull).open("w", encoding="utf-8") as out, redirect_stdout(out):
            assert _run() == 0, f"see above: newsletter {words}"


def _tell_ends(lines: dict[int, socket.socket]) -> None:
    """Tell how each process ended that did."""
    while lines:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with lines.pop(pid) as line, suppress(BrokenPipeError):
            line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _fork_command(
    line: socket.socket, lines: dict[int, socket.socket], own: Sequence[socket.socket]
) -> None:
    """Start what `line` orders, and tell its process id."""
    order, files = _received(line)
    if order and (pid := os.fork()):
        lines[pid] = line
        with suppress(BrokenPipeError):
            line.sendall(f"{pid}\n".encode())
    elif order:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (line, *lines.values(), *own):
            each.close()
        if os.isatty(files[0]):
            _control(files[0])
        else:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, file in enumerate(files, start=1):
            os.dup2(file, number)
            os.close(file)
        _run_command(*json.loads(order))
    else:
        line.close()
    for file in files:
        os.close(file)


def _control(terminal: int) -> None:
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    os.dup2(terminal, 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    # A shell starts background jobs with SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _received(line: socket.socket) -> tuple[bytes, list[int]]:
    """An order with its two files; it is empty where whoever asked is gone."""
    size, files, _, _ = socket.recv_fds(line, 4, 2)
    order = b""
    while len(order) < int.from_bytes(size):
        if not (piece := line.recv(65536)):
            return b"", files
        order += piece
    return order, files


def _run_command(words: list[str], folder: str, environment: dict[str, str]) -> NoReturn:
    from newsletter.__main__ import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["newsletter", *words]
    # As a fresh interpreter would have them: bound to the files it was started with.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    try:
        main()
    except BaseException as fault:  # noqa: BLE001 - what an interpreter does at its end
        sys.excepthook(type(fault), fault, fault.__traceback__)
    # `main` ends the process; an exception comes here, where an interpreter would print it.
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    serve(sys.argv[1], rehearsed="rehearsed" in sys.argv)
