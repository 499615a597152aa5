"""Where units of work run.

    local    in this process: nothing to install
    dbos     on any number of workers, which share a PostgreSQL database

Nothing here is trusted for correctness: a unit may run twice, late, or in two places at once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from newsletter.store.units import Ending, Kind, Unit

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    Do = Callable[[Unit], Ending]
    """Does one unit. Raises nothing but Stopped."""
    Report = Callable[[str, int, int], None]

AT_ONCE = {Kind.MAIL: 4}
"""Units of a kind that one process does at once; one of the others, whose calls are many."""


class Engine(Protocol):
    def run(
        self, units: Sequence[Unit], do: Do, report: Report, stop: threading.Event
    ) -> list[Ending]:
        """What became of each unit, in their order, once all have ended. Raises Stopped."""


class Local:
    """Threads of this process. What each unit has done is in its own tables."""

    def run(
        self, units: Sequence[Unit], do: Do, report: Report, stop: threading.Event
    ) -> list[Ending]:
        del report, stop
        hands = min(AT_ONCE.get(unit.kind, 1) for unit in units) if units else 1
        if hands == 1 or len(units) == 1:
            # In the caller's own thread, where Ctrl-C is heard.
            return [do(unit) for unit in units]
        with ThreadPoolExecutor(hands, thread_name_prefix="unit") as pool:
            return list(pool.map(do, units))


_: type[Engine] = Local
