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


AT_LEAST = {Verdict.UNSENT: timedelta(seconds=60), Verdict.THROTTLED: timedelta(seconds=60)}
"""For how long such failures must go on before they end a run: a server may be starting anew."""


@dataclass(slots=True)
class _Streak:
    """Equal failures without a success between them."""

    verdict: Verdict
    since: datetime
    length: int = 0
    pauses: int = 0


@dataclass(slots=True)
class Patience:
    """What the answers so far mean for the run as a whole; `halted` says why it must end."""

    bounds: dict[Verdict, int] = field(default_factory=in_a_row)
    halted: str = ""
    _streak: _Streak | None = None
    _paused_until: datetime | None = None

    def taken(self) -> None:
        self._streak = None

    def failed(self, error: SendError, now: datetime) -> None:
        verdict = error.verdict
        if self._streak is None or self._streak.verdict is not verdict:
            self._streak = _Streak(verdict, now)
        streak = self._streak
        streak.length += 1
        if verdict is Verdict.HALT:
            self.halted = self.halted or str(error)
            return
        many = streak.length >= self.bounds[verdict]
        if many and now - streak.since >= AT_LEAST.get(verdict, timedelta()):
            self.halted = self.halted or f"stopped after {streak.length} in a row: {error}"
        elif verdict is Verdict.THROTTLED or (many and verdict is Verdict.UNSENT):
            self._pause(streak, now, error.retry_after)

    def pause_left(self, now: datetime) -> float:
        """Seconds that all hands still rest."""
        return max(0.0, (self._paused_until - now).total_seconds()) if self._paused_until else 0.0

    def _pause(self, streak: _Streak, now: datetime, asked: float | None) -> None:
        """As long as asked, within bounds; else longer each time; never all at one instant.

        What fails in a pause left before it, and does not make it longer by itself.
        """
        if not self.pause_left(now):
            streak.pauses += 1
        seconds = asked or FIRST_PAUSE * 2.0**streak.pauses
        seconds = min(max(seconds, SHORTEST_PAUSE), LONGEST_PAUSE)
        until = now + timedelta(seconds=seconds * (1 + random.random() / 10))  # noqa: S311 - jitter
        self._paused_until = max(until, self._paused_until or until)
