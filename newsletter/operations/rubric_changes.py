"""Changes of rubrics by the operator: of files, and of the pause of a reader's own rubric."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from newsletter.domain.formatting import plural
from newsletter.domain.reader_rubrics import PausedBy
from newsletter.errors import OperatorError
from newsletter.rubrics import save
from newsletter.store import reader_rubrics, subscriptions
from newsletter.store.operator.actions import ActionKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from newsletter.store.operator.actions import OperatorAction

MAX_REASON = 200


class RubricFileReversal:
    """The undo of a saved file: its former text comes back, or the new file goes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def state(self, _tx: Connection, action: OperatorAction) -> Mapping[str, Any]:
        return save.read_text(self._folder, action.subject).state

    def revert(self, tx: Connection, action: OperatorAction, _now: datetime) -> None:
        """Raises OperatorError where the folder cannot be written, or a new rubric has readers."""
        before = save.RubricText(**action.before)
        if not before.hash:
            if readers := subscriptions.count_by_rubric(tx).get(action.subject):
                message = (
                    f"The new rubric has {plural(readers, 'reader')}, who would get no digest: "
                    "remove them first, or edit the rubric"
                )
                raise OperatorError(message)
            save.delete_file(self._folder, action.subject)
            return
        if hashlib.sha256(before.text.encode()).hexdigest() != before.hash:
            message = "The former file was not UTF-8, so its text was not kept."
            raise OperatorError(message)
        save.write_text(self._folder, action.subject, before.text)


def pause_state(tx: Connection, slug: str) -> Mapping[str, Any]:
    """Whether the operator paused a saved reader rubric, and why; empty for one that is gone."""
    found = reader_rubrics.by_slug(tx, slug)
    if found is None or found.active_version is None:
        return {}
    return {"paused": PausedBy.OPERATOR in found.paused_by, "reason": found.reason}


def set_pause(tx: Connection, slug: str, reason: str | None, now: datetime) -> None:
    """Pause a reader rubric with a reason for its reader, or resume it (None).

    Raises OperatorError where there is nothing to change.
    """
    if reason is None:
        done = reader_rubrics.resume(tx, slug, PausedBy.OPERATOR, now)
    else:
        done = reader_rubrics.pause(tx, slug, PausedBy.OPERATOR, now, reason[:MAX_REASON])
    if not done:
        message = "The rubric is gone, or was not paused by an operator."
        raise OperatorError(message)


def pause_now(tx: Connection, action: OperatorAction) -> Mapping[str, Any]:
    return pause_state(tx, action.subject)


def revert_pause(tx: Connection, action: OperatorAction, now: datetime) -> None:
    reason = str(action.before["reason"]) if action.kind is ActionKind.RESUME_RUBRIC else None
    set_pause(tx, action.subject, reason, now)
