"""`newsletter` and `python -m newsletter`: run a command, answer trouble with one line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from newsletter.cli import app
from newsletter.trouble import Trouble

if TYPE_CHECKING:
    from types import TracebackType


def main() -> None:
    if not os.environ.get("NEWSLETTER_DEBUG"):
        sys.excepthook = _one_line
    try:
        app(prog_name="newsletter")
    except Trouble as trouble:
        sys.stderr.write(f"newsletter: {trouble}\n")
        sys.exit(trouble.exit_status)


def _one_line(kind: type[BaseException], fault: BaseException, _: TracebackType | None) -> None:
    """A fault of ours: said in one line, with the way to the traceback."""
    reason = " ".join(str(fault).split())[:300]
    sys.stderr.write(
        f"newsletter: unexpected {kind.__name__}: {reason}; "
        "please report it with what NEWSLETTER_DEBUG=1 shows\n"
    )


if __name__ == "__main__":
    main()
