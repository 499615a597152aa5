"""What an operator can mend, said in one line."""

from __future__ import annotations


class Trouble(Exception):
    """The message says what went wrong and what to do; the command line prints it and ends."""

    exit_status = 1
