"""Reader rubrics: rubrics that readers write on the web, as values (pure).

Their slug is `own-` and 12 letters. No rubric file may have such a name. They are never public.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

PREFIX = "own-"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LENGTH = 12
NAME_REFUSED = f"names that begin with '{PREFIX}' are for the rubrics of readers; rename the file"
FEEDBACK_NAME = "own"
"""All reader rubrics in headers that others read."""


def is_reader_rubric(slug: str) -> bool:
    return slug.startswith(PREFIX)


def new_slug(random: bytes) -> str:
    """A slug out of 8 or more random bytes."""
    number = int.from_bytes(random)
    return PREFIX + "".join(LETTERS[number // 26**place % 26] for place in range(LENGTH))


def trial_account(subscriber_id: str) -> str:
    """What drafts and previews of a reader are charged to: it is no rubric's slug, and stays the
    same when the reader deletes a draft.
    """
    return f"{PREFIX}~{subscriber_id}"


class ReaderRubricState(StrEnum):
    """A draft was never confirmed by its reader; a paused one makes no digest."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"


class VersionState(StrEnum):
    """A `waiting` version becomes `active` when its reader opens the link that was mailed."""

    DRAFT = "draft"
    WAITING = "waiting"
    ACTIVE = "active"
    OLD = "old"


class PausedBy(StrEnum):
    READER = "reader"
    OPERATOR = "operator"


class Confirmation(StrEnum):
    """What the confirmation of a version did."""

    FIRST = "first"
    """The rubric is active, and its reader subscribed to it."""
    CHANGED = "changed"
    REPEATED = "repeated"
    """That version was active already."""
    REPLACED = "replaced"
    """Another version was saved since: nothing was changed."""
    GONE = "gone"
    """The rubric was deleted, or its reader may not be mailed any more: nothing was changed."""


@dataclass(frozen=True, slots=True)
class ReaderRubric:
    """A rubric of a reader, without its text. `active_version` is None for a draft.

    `paused_by` names everyone who paused it: it makes digests again when all of them resumed it.
    `reason` is the operator's, for the reader. `liked` are the papers that it was drafted from.
    """

    slug: str
    subscriber_id: str
    active_version: int | None
    created_at: datetime
    paused_by: tuple[PausedBy, ...] = ()
    reason: str = ""
    liked: tuple[str, ...] = ()

    @property
    def state(self) -> ReaderRubricState:
        if self.active_version is None:
            return ReaderRubricState.DRAFT
        return ReaderRubricState.PAUSED if self.paused_by else ReaderRubricState.ACTIVE


@dataclass(frozen=True, slots=True)
class ReaderRubricVersion:
    """One text of a reader rubric: Markdown, as in a rubric file. A draft's may have faults."""

    slug: str
    version: int
    text: str
    state: VersionState
    saved_at: datetime


CURRENT = (VersionState.DRAFT, VersionState.WAITING, VersionState.ACTIVE)
"""The form opens with the first of these that a rubric has."""


def current_text(versions: Sequence[ReaderRubricVersion]) -> str:
    """The draft; else the text that waits for its confirmation; else the one in use."""
    texts = {one.state: one.text for one in reversed(versions)}
    return next((texts[state] for state in CURRENT if state in texts), "")


def mark_of(text: str) -> str:
    """Hash of a text, in the form that was opened with it."""
    return sha256(text.encode()).hexdigest()[:16]
