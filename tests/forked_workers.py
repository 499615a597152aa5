"""`pytest --workers 3`: the tests run in processes that are forked after the collection.

The test files are read, rewritten and imported once. `tests/conftest.py` imports the hooks.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import traceback
from multiprocessing.connection import Connection, Pipe, wait
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tests.fakes.anthropic_rules import build_adapters
from tests.fakes.command import load_all
from tests.fakes.database import migrated_file

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBER_BYTES = 4
PIECES_FOR_EACH_WORKER = 16


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--workers",
        default="0",
        help="Run the tests in that many forked processes; auto: one more than there are cores.",
    )


def count_of(config: pytest.Config) -> int:
    """How many workers are wanted; 0 runs the tests in this process."""
    wanted = str(config.getoption("workers"))
    # One more than there are cores: some tests wait for a lease or for a lock's timeout.
    return (os.cpu_count() or 1) + 1 if wanted == "auto" else int(wanted)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    if not count_of(session.config) or session.testsfailed or session.config.option.collectonly:
        return None
    workers = _fork_workers(session)
    try:
        _report(session, workers)
    except BaseException:
        for pid in workers.values():
            os.kill(pid, signal.SIGINT)
        raise
    finally:
        for pid in workers.values():
            os.waitpid(pid, 0)
    return True


def _fork_workers(session: pytest.Session) -> dict[Connection, int]:
    """The running workers: where each reports, and its process id."""
    count = count_of(session.config)
    pieces = list(_pieces(session.items, count))
    orders, order = os.pipe()
    os.write(order, b"".join(n.to_bytes(NUMBER_BYTES) for n in range(len(pieces))))
    os.close(order)
    workers: dict[Connection, int] = {}
    load_before_forking()
    sys.stdout.flush()
    sys.stderr.flush()
    for number in range(count):
        reports, told = Pipe(duplex=False)
        if pid := os.fork():
            told.close()
            workers[reports] = pid
        else:
            reports.close()
            _work(session, number, _ordered(pieces, orders), told)
    os.close(orders)
    return workers


def load_before_forking() -> None:
    """What nearly every worker would load or make for itself."""
    load_all()
    build_adapters()
    migrated_file()
    gc.freeze()


def _pieces(items: list[pytest.Item], workers: int) -> Iterator[list[pytest.Item]]:
    """Tests that follow one another in a file, fewer towards the end: all workers end together."""
    start = 0
    while start < len(items):
        end = start + max(1, (len(items) - start) // (workers * PIECES_FOR_EACH_WORKER))
        piece = [one for one in items[start:end] if one.path == items[start].path]
        yield piece
        start += len(piece)


def _ordered(pieces: list[list[pytest.Item]], orders: int) -> Iterator[pytest.Item]:
    """The tests that fall to this worker: it takes the next piece when it has done one."""
    while number := os.read(orders, NUMBER_BYTES):
        yield from pieces[int.from_bytes(number)]


def _report(session: pytest.Session, workers: dict[Connection, int]) -> None:
    """Hand on what the workers report, until the last has ended."""
    running = dict.fromkeys(workers, "before its first test")
    hook = session.config.hook
    while running:
        for one in wait(list(running)):
            kind, told = _received(one)
            if kind == "start":
                running[one] = f"in {told}"
            elif kind == "report":
                report = hook.pytest_report_from_serializable(config=session.config, data=told)
                hook.pytest_runtest_logreport(report=report)
            elif kind == "fault":
                session.shouldfail = f"a worker ended {running[one]}\n{told}"
            else:
                del running[one]
        if session.shouldfail:
            raise session.Failed(session.shouldfail)


def _received(worker: Connection) -> tuple[str, object]:
    """What kind of message a worker sends, and what it says."""
    try:
        kind, told = pickle.loads(worker.recv_bytes())  # noqa: S301 - our own process
    except EOFError:
        return "fault", ""
    return kind, told


class Reporter:
    """Sends the reports of a worker to the process that started it."""

    def __init__(self, config: pytest.Config, told: Connection) -> None:
        self.config = config
        self.told = told
        self.all = config.getoption("durations") is not None

    def send(self, kind: str, told: object) -> None:
        self.told.send_bytes(pickle.dumps((kind, told)))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.send("start", nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Of most tests only the call itself is shown.
        if self.all or report.when == "call" or not report.passed:
            hook = self.config.hook
            told = hook.pytest_report_to_serializable(config=self.config, report=report)
            self.send("report", told)


def _work(
    session: pytest.Session, number: int, items: Iterator[pytest.Item], told: Connection
) -> NoReturn:
    """Run tests in this new process, and end it."""
    config: Any = session.config
    reporter = Reporter(config, told)
    try:
        _make_own(config, number)
        config.pluginmanager.register(reporter)
        item = next(items, None)
        while item and not session.shouldfail:
            following = next(items, None)
            config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            item = following
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # It fails for what tests left open, as pytest does at its end.
        config._ensure_unconfigure()
        reporter.send("end", "")
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        session._setupstate.teardown_exact(None)
    except BaseException:  # noqa: BLE001 - it is raised where the process was started
        reporter.send("fault", traceback.format_exc())
    finally:
        os._exit(0)


def _make_own(config: Any, number: int) -> None:
    """Give a worker folders and files of its own for what it captures; it shows nothing itself."""
    plugins = config.pluginmanager
    for name in ("terminalreporter", "terminalprogress"):
        if plugins.has_plugin(name):
            plugins.unregister(name=name)
    capture = plugins.getplugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()
    capture.suspend_global_capture()
    folders = config._tmp_path_factory
    folders._basetemp = folders.getbasetemp() / f"worker{number}"
    folders._basetemp.mkdir()
