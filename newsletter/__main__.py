"""`newsletter` and `python -m newsletter`: run a command, print a failure as one line."""

from __future__ import annotations

import functools
import io
import os
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from typer.main import get_command

from newsletter import process
from newsletter.cli.app import app
from newsletter.domain.sanitize import clean
from newsletter.errors import OperatorError, file_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


def main() -> NoReturn:
    process.collect_garbage_less_often()
    sys.excepthook = _with_traceback if os.environ.get("NEWSLETTER_DEBUG") else _one_line
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character must not make a finished command fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    process.exit_now(_run())


@functools.cache
def command() -> Callable[..., object]:
    # Called as a function, the application would put Typer's own hook in place of ours.
    return get_command(app)


def _run() -> int:
    try:
        command()(prog_name="newsletter")
    except OperatorError as problem:
        return _failed(str(problem), problem.exit_status)
    except OSError as problem:
        # A file or folder that the operator named. Other faults of the system name no file.
        if problem.filename is None or os.environ.get("NEWSLETTER_DEBUG"):
            raise
        return _failed(f"{file_error(problem)}; name another path, or change this one", 1)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else bool(end.code)
    return 0


def _failed(reason: str, status: int) -> int:
    from newsletter import logs

    sys.stderr.write(f"newsletter: {clean(logs.without_secrets(reason))}\n")
    return status


def _one_line(kind: type[BaseException], fault: BaseException, _: TracebackType | None) -> None:
    """Print an unexpected exception as one line that names the way to its traceback."""
    reason = _clean(" ".join(str(fault).split())[:300])
    sys.stderr.write(
        f"newsletter: unexpected {kind.__name__}: {reason}; "
        "please report it with what NEWSLETTER_DEBUG=1 shows\n"
    )


def _with_traceback(
    kind: type[BaseException], fault: BaseException, trace: TracebackType | None
) -> None:
    sys.stderr.write(_clean("".join(traceback.format_exception(kind, fault, trace))))


def _clean(text: str) -> str:
    """Text without secrets and control characters. `logs` is imported only when it is needed."""
    from newsletter import logs

    return logs.clean(text)


if __name__ == "__main__":
    main()
