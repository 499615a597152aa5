"""How fast arXiv is asked, over all processes and machines: it wishes for one request in three
seconds (info.arxiv.org/help/api/tou.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsletter.store import Store, pace
from newsletter.store.pace import Cost

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from newsletter.sources import Queue

NAME = "arxiv"


@dataclass(frozen=True, slots=True)
class Line:
    """Turns are `seconds` apart."""

    store: Store
    clock: Callable[[], datetime]
    seconds: float

    def wait(self) -> float:
        with self.store.begin() as tx:
            return pace.spend(tx, [Cost(NAME, 1 / self.seconds)], self.clock())

    def hold(self, seconds: float) -> None:
        with self.store.begin() as tx:
            pace.pause(tx, NAME, self.clock(), seconds)


_: type[Queue] = Line
