"""Which life of the program a row belongs to, so that what a dead one left can be taken up."""

from __future__ import annotations

import os
import socket
from uuid import uuid4

_BIRTH = uuid4().hex[:12]


def me() -> str:
    """The running process: host, process id, and a mark no later process of that id has."""
    return f"{socket.gethostname()[:64]}/{os.getpid()}/{_BIRTH}"


def is_gone(owner: str) -> bool:
    """True when `owner` certainly runs no more. Of other hosts nothing is certain but the lease."""
    host, _, rest = owner.partition("/")
    pid, _, _birth = rest.partition("/")
    mine_host, _, mine = me().partition("/")
    # A row may name the work in the process, too: `.../birth/work`.
    if host != mine_host or f"{rest}/".startswith(f"{mine}/"):
        return False
    if pid == str(os.getpid()):
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return True
    except PermissionError:
        return False
    return False
