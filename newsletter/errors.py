"""Errors that an operator can fix, and `run_guarded`, which keeps one fault from ending a run."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

RUN_AGAIN = "run again"
"""Part of a reason: running again is enough, once the fault in the reason is fixed."""


class OperatorError(Exception):
    """The message says what went wrong and what to do; the command line prints it and exits."""

    exit_status = 1


def file_error(error: OSError) -> str:
    """The path that failed and why: `var is a file, not a folder`."""
    path = os.fsdecode(error.filename) if error.filename is not None else ""
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"{_first_file(path)} is a file, not a folder"
    return f"{path}: {error.strerror}" if path else str(error.strerror)


def _first_file(path: str) -> str:
    """The part of `path` that should be a folder and is none."""
    found = Path(path)
    return str(next((part for part in reversed(found.parents) if part.is_file()), found))


T = TypeVar("T")


def run_guarded(
    what: str, act: Callable[[], T], passing: type[OperatorError] | tuple[()] = ()
) -> tuple[T | None, str]:
    """The result of `act`, or None and the reason why it failed. Other work goes on.

    Raises Stopped, and errors of the type `passing`.
    """
    try:
        return act(), ""
    except Stopped:
        raise
    except passing:
        raise
    except OperatorError as error:
        return None, str(error)
    except Exception as fault:
        log.exception("%s failed", what)
        return None, f"unexpected {type(fault).__name__}; the log has the traceback"


class Stopped(OperatorError):
    """Sending or scoring was stopped on request; the tables hold the state of each item."""
