"""Units of work: what is to be done, named by ids, and what came of it.

    open --done by who holds it--> done
      |----it could not be done--> failed
      |----its worker is gone----> open      one generation more
    done, failed --planned again-> open      one generation more

A generation is one attempt to place the unit somewhere. Who holds an older one changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, datetime

    from newsletter.model import Digest

LONGEST = 64


class Kind(StrEnum):
    SCORE = "score"
    DIGEST = "digest"
    MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece of a morning's work. `ids` are rubrics, or a digest's id and a lane's number.

    `wanted_by` is when its result is wanted; None means now.
    """

    kind: Kind
    day: date
    ids: tuple[str, ...]
    wanted_by: datetime | None = None

    @property
    def subject(self) -> str:
        """Its name among the units of its kind and day."""
        name = "/".join(self.ids)
        return name if len(name) <= LONGEST else sha256(name.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.kind} of {self.day}, {self.subject}"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a unit came to: the trouble in words, or none, and how many mails it sent.

    The digest it made is passed on only where the unit ran in this process.
    """

    trouble: str = ""
    sent: int = 0
    digest: Digest | None = None
    digest_id: int | None = None
