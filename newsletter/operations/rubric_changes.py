"""Changes of rubrics by the operator: of files, and of the pause of a reader's own rubric.

An action is logged before its file is written, with the text before and after, and again
afterwards. If the process was killed in between, `settle` compares the file with both texts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from newsletter.domain.formatting import plural
from newsletter.domain.reader_rubrics import PausedBy
from newsletter.errors import OperatorError
from newsletter.rubrics import save
from newsletter.rubrics.folder import RubricFolder, of_operator
from newsletter.store import reader_rubrics
from newsletter.store.operator import actions, readers
from newsletter.store.operator.actions import UNDO_STARTED, UNFINISHED, ActionKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from newsletter.domain.model import Rubric
    from newsletter.store import Store
    from newsletter.store.operator.actions import OperatorAction

MAX_REASON = 200
MOMENT = timedelta(minutes=1)
"""Longer than a process takes from logging an action to writing its file."""
ANSWERED_WITHIN = timedelta(minutes=15)
"""Longer than a provider takes to answer."""
TOO_LATE = "This took more than a minute, so nothing was done; try again."
INTERRUPTED = "the process ended while it wrote the file, which was changed by others since"


def write_file(store: Store, folder: Path, action_id: str) -> bool:
    """Write the file of a recorded action, or of its undo, unless that was done already.

    False if the file was changed meanwhile: the action is taken back. Raises OperatorError.
    """
    try:
        with store.begin() as tx:
            actions.lock(tx)
            return _is_written(tx, folder, action_id)
    except OperatorError:
        with store.begin() as tx:
            actions.lock(tx)
            if (known := actions.by_id(tx, action_id)) and known.result in UNFINISHED:
                _settle_one(tx, folder, known)
        raise


def _is_written(tx: Connection, folder: Path, action_id: str) -> bool:
    action = actions.by_id(tx, action_id)
    if action is None:
        raise OperatorError(TOO_LATE)
    if action.result not in UNFINISHED:
        return True
    old, new = _texts(action)
    found = save.read_text(folder, action.subject)
    if found == old:
        save.put(folder, action.subject, new)
    elif found != new:
        actions.take_back(tx, action)
        return False
    actions.set_result(tx, action_id, "")
    return True


def settle(store: Store, rubrics: Mapping[str, Rubric], now: datetime) -> None:
    """Record what became of actions whose process was killed while it sent or wrote something."""
    with store.read() as tx:
        unanswered = actions.is_unanswered(tx, now - ANSWERED_WITHIN)
        if not unanswered and not actions.unfinished(tx, now - MOMENT):
            return
    files = of_operator(rubrics)
    with store.begin() as tx:
        actions.lock(tx)
        actions.end_unanswered(tx, now - ANSWERED_WITHIN)
        for action in actions.unfinished(tx, now - MOMENT):
            if isinstance(files, RubricFolder):
                _settle_one(tx, files.folder, action)


def _settle_one(tx: Connection, folder: Path, action: OperatorAction) -> None:
    old, new = _texts(action)
    try:
        found = save.read_text(folder, action.subject)
    except OperatorError:
        return
    if found == new:
        actions.set_result(tx, action.id, "")
    elif found == old:
        actions.take_back(tx, action)
    else:
        actions.set_result(tx, action.id, INTERRUPTED)


def _texts(action: OperatorAction) -> tuple[save.RubricText, save.RubricText]:
    """The text that the action, or its undo, finds, and the one that it writes."""
    before, after = (save.RubricText(**one) for one in (action.before, action.after))
    return (after, before) if action.result == UNDO_STARTED else (before, after)


def refuse_readers(tx: Connection, slug: str) -> None:
    """Raises OperatorError for a rubric that is read: without its file they would get nothing."""
    if number := readers.count_of_rubric(tx, slug):
        message = (
            f"The rubric has {plural(number, 'reader')}, who would get no digest and would not be "
            "told why: remove them from it first, or keep the file"
        )
        raise OperatorError(message)


class RubricFileReversal:
    """The undo of a saved or deleted file: its former text comes back, or the new file goes.

    `revert` says in the log that the undo begins; `write_file` does it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def state(self, _tx: Connection, action: OperatorAction) -> Mapping[str, Any]:
        return save.read_text(self._folder, action.subject).state

    def revert(self, tx: Connection, action: OperatorAction, _now: datetime) -> None:
        """Raises OperatorError where the folder cannot be written, or a new rubric has readers."""
        before = save.RubricText(**action.before)
        if not before.hash:
            refuse_readers(tx, action.subject)
        elif save.RubricText.of(before.text) != before:
            message = "The former file was not UTF-8, so its text was not kept."
            raise OperatorError(message)
        if problem := save.write_problem(self._folder):
            raise OperatorError(problem)
        actions.set_result(tx, action.id, UNDO_STARTED)


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
