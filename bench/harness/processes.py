"""What this process uses: memory and processor time."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def megabytes() -> float:
    """Memory held now (Linux), else the most held so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return round(pages * resource.getpagesize() / 2**20, 1)


def measured(act: Callable[[], int]) -> dict[str, Any]:
    """Figures of one act that sends mails and returns how many were accepted."""
    started, processor, before = time.perf_counter(), time.process_time(), megabytes()
    accepted = act()
    seconds = time.perf_counter() - started
    cpu = time.process_time() - processor
    return {
        "accepted": accepted,
        "seconds": round(seconds, 1),
        "mails/s": round(accepted / seconds),
        "seconds of processor": round(cpu, 1),
        "ms of processor a mail": round(cpu / max(accepted, 1) * 1000, 2),
        "MB of memory before": before,
        "MB of memory after": megabytes(),
    }
