"""When a run of sending pauses, and when it ends before its time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from newsletter.mailers import Verdict

if TYPE_CHECKING:
    from newsletter.mailers import SendError

FIRST_PAUSE = 2.0
SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 300.0


def in_a_row() -> dict[Verdict, int]:
    """How many equal failures end a run: then it is not the single mail that is wrong."""
    return {
        Verdict.UNSENT: 10,
        Verdict.THROTTLED: 10,
        Verdict.UNKNOWN: 5,
        Verdict.REFUSED: 20,
    }


@dataclass(slots=True)
class Patience:
    """What the answers so far mean for the run as a whole; `halted` says why it must end."""

    bounds: dict[Verdict, int] = field(default_factory=in_a_row)
    halted: str = ""
    _streak: tuple[Verdict | None, int] = (None, 0)
    _paused_until: datetime | None = None

    def taken(self) -> None:
        self._streak = (None, 0)

    def failed(self, error: SendError, now: datetime) -> None:
        before, length = self._streak
        length = length + 1 if before is error.verdict else 1
        self._streak = (error.verdict, length)
        if error.verdict is Verdict.HALT:
            self.halted = self.halted or str(error)
        elif length >= self.bounds[error.verdict]:
            self.halted = self.halted or f"stopped after {length} in a row: {error}"
        if error.verdict is Verdict.THROTTLED:
            self._pause(now, error.retry_after, length)

    def pause_left(self, now: datetime) -> float:
        """Seconds that all hands still rest."""
        return max(0.0, (self._paused_until - now).total_seconds()) if self._paused_until else 0.0

    def _pause(self, now: datetime, asked: float | None, length: int) -> None:
        """As long as asked, within bounds; else longer each time; never all at one instant."""
        seconds = asked or FIRST_PAUSE * 2.0**length
        seconds = min(max(seconds, SHORTEST_PAUSE), LONGEST_PAUSE)
        until = now + timedelta(seconds=seconds * (1 + random.random() / 10))  # noqa: S311 - jitter
        self._paused_until = max(until, self._paused_until or until)
