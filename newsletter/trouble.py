"""What an operator can mend, said in one line."""

from __future__ import annotations

RUN_AGAIN = "run again"
"""In a reason: nothing but time, or what the reason itself names, has to be mended before."""


class Trouble(Exception):  # noqa: N818 - its children are errors, it names what they share
    """The message says what went wrong and what to do; the command line prints it and ends."""

    exit_status = 1
