"""What an operator can mend, said in one line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

RUN_AGAIN = "run again"
"""In a reason: nothing but time, or what the reason itself names, has to be mended before."""


class OperatorError(Exception):
    """The message says what went wrong and what to do; the command line prints it and ends."""

    exit_status = 1


T = TypeVar("T")


def run_guarded(
    what: str, act: Callable[[], T], passing: type[OperatorError] | tuple[()] = ()
) -> tuple[T | None, str]:
    """The result of `act`, or None and its trouble in words: the others must go on.

    Raises Stopped, and errors of the type `passing`.
    """
    try:
        return act(), ""
    except Stopped:
        raise
    except passing:
        raise
    except OperatorError as trouble:
        return None, str(trouble)
    except Exception as fault:
        log.exception("%s failed", what)
        return None, f"unexpected {type(fault).__name__}; the log has the traceback"


class Stopped(OperatorError):
    """Mailing or scoring was stopped on request; our tables say what became of each."""
