"""What an operator can mend, said in one line."""

from __future__ import annotations


class Trouble(Exception):  # noqa: N818 - its children are errors, it names what they share
    """The message says what went wrong and what to do; the command line prints it and ends."""

    exit_status = 1
