"""Tasks of the daily run and their results. A task carries ids only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, datetime

    from newsletter.domain.model import Digest

SUBJECT_LENGTH = 64


class TaskKind(StrEnum):
    SCORE = "score"
    DIGEST = "digest"
    MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Task:
    """One task of the daily run. `ids` are rubrics, or a digest's id and a shard's number.

    `wanted_by` is when its result is wanted; None means now.
    """

    kind: TaskKind
    day: date
    ids: tuple[str, ...]
    wanted_by: datetime | None = None

    @property
    def subject(self) -> str:
        """Unique name among the tasks of its kind and day."""
        name = "/".join(self.ids)
        return name if len(name) <= SUBJECT_LENGTH else sha256(name.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.kind} of {self.day}, {self.subject}"


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Result of a task: the error, or none, and how many mails it sent.

    The digest is passed on only where the task ran in this process.
    """

    problem: str = ""
    sent: int = 0
    digest: Digest | None = None
    digest_id: int | None = None
