"""`newsletter` and `python -m newsletter`: run a command, answer trouble with one line."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import TYPE_CHECKING

from typer.main import get_command

from newsletter.cli.app import app
from newsletter.domain.sanitize import clean
from newsletter.errors import OperatorError

if TYPE_CHECKING:
    from types import TracebackType


def main() -> None:
    sys.excepthook = _whole if os.environ.get("NEWSLETTER_DEBUG") else _one_line
    for stream in (sys.stdout, sys.stderr):
        # Work that is done must not end in a fault because a terminal lacks a letter.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # Called as a function, the application would put Typer's own hook in place of ours.
        get_command(app)(prog_name="newsletter")
    except OperatorError as trouble:
        sys.stderr.write(f"newsletter: {clean(str(trouble))}\n")
        sys.exit(trouble.exit_status)


def _one_line(kind: type[BaseException], fault: BaseException, _: TracebackType | None) -> None:
    """A fault of ours: said in one line, with the way to the traceback."""
    reason = _clean(" ".join(str(fault).split())[:300])
    sys.stderr.write(
        f"newsletter: unexpected {kind.__name__}: {reason}; "
        "please report it with what NEWSLETTER_DEBUG=1 shows\n"
    )


def _whole(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(_clean("".join(traceback.format_exception(kind, fault, trace))))


def _clean(text: str) -> str:
    """What may be shown to others; loaded only where there is a fault to show."""
    from newsletter import logs

    return logs.clean(text)


if __name__ == "__main__":
    main()
