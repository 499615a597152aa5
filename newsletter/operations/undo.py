"""Undo of an operator's action: only while its subject is still as the action left it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.errors import OperatorError
from newsletter.operations import review, rubric_changes
from newsletter.rubrics.folder import RubricFolder, of_operator
from newsletter.store.operator import actions, reader_state, readers
from newsletter.store.operator.actions import ActionKind

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.domain.model import Rubric
    from newsletter.store.operator.actions import OperatorAction


class UndoOutcome(StrEnum):
    """As the log page shows it."""

    UNDONE = "The action was undone"
    ALREADY = "This action was undone before"
    CHANGED = "Someone changed this after the action, so undo would overwrite a later change"
    IMPOSSIBLE = "This action cannot be undone"
    UNKNOWN = "The log has no such action"


class Reversal(NamedTuple):
    """How one kind of action is undone. Both may raise OperatorError."""

    state: Callable[[Connection, OperatorAction], Mapping[str, Any]]
    """The subject now, in the form of the action's `before` and `after`."""
    revert: Callable[[Connection, OperatorAction, datetime], None]
    """Bring back `before`."""


def _reader(tx: Connection, action: OperatorAction) -> Mapping[str, Any]:
    return reader_state.read(tx, action.subject)


def _revert_reader(tx: Connection, action: OperatorAction, _now: datetime) -> None:
    reader_state.write(tx, action.subject, action.before)


def _revert_add(tx: Connection, action: OperatorAction, _now: datetime) -> None:
    if reader_state.was_mailed(tx, action.subject, action.before):
        message = "they were mailed already; to end that, remove the reader"
        raise OperatorError(message)
    if action.before:
        reader_state.write(tx, action.subject, action.before)
    else:
        reader_state.delete_new(tx, action.subject)


READER_CHANGES = (
    ActionKind.EDIT_READER,
    ActionKind.PAUSE_READER,
    ActionKind.RESUME_READER,
    ActionKind.RESTORE_READER,
    ActionKind.REMOVE_READER,
)
REVERSALS: dict[ActionKind, Reversal] = {
    **dict.fromkeys(READER_CHANGES, Reversal(_reader, _revert_reader)),
    ActionKind.ADD_READER: Reversal(_reader, _revert_add),
    ActionKind.ANSWER_REPLY: Reversal(review.reply_now, review.reopen_reply),
    ActionKind.RESOLVE_MAIL: Reversal(review.mail_now, review.reopen_mail),
    ActionKind.PAUSE_RUBRIC: Reversal(rubric_changes.pause_now, rubric_changes.revert_pause),
    ActionKind.RESUME_RUBRIC: Reversal(rubric_changes.pause_now, rubric_changes.revert_pause),
}


def reversals_of(rubrics: Mapping[str, Rubric]) -> Mapping[ActionKind, Reversal]:
    """All reversals, with that of rubric files where these rubrics are of a folder."""
    files = of_operator(rubrics)
    if not isinstance(files, RubricFolder):
        return REVERSALS
    of_file = rubric_changes.RubricFileReversal(files.folder)
    return {**REVERSALS, **dict.fromkeys(FILE_CHANGES, Reversal(of_file.state, of_file.revert))}


FILE_CHANGES = (ActionKind.SAVE_RUBRIC, ActionKind.DELETE_RUBRIC)
UNDOABLE = frozenset({*REVERSALS, *FILE_CHANGES})


def is_possible(action: OperatorAction, kinds: Container[ActionKind] = UNDOABLE) -> bool:
    """Whether an action has an undo that was not used. Later changes may still forbid it."""
    is_finished = action.result not in actions.UNFINISHED
    return action.kind in kinds and action.undone_at is None and is_finished and bool(action.after)


def undo(
    tx: Connection,
    action_id: str,
    operator: str,
    now: datetime,
    reversals: Mapping[ActionKind, Reversal] = REVERSALS,
) -> UndoOutcome:
    actions.lock(tx)
    action = actions.by_id(tx, action_id)
    if action is None:
        return UndoOutcome.UNKNOWN
    if action.undone_at:
        return UndoOutcome.ALREADY
    if not is_possible(action, reversals):
        return UndoOutcome.IMPOSSIBLE
    reversal = reversals[action.kind]
    if reversal.state(tx, action) != action.after:
        return UndoOutcome.CHANGED
    reversal.revert(tx, action, now)
    actions.mark_undone(tx, action_id, operator, now)
    return UndoOutcome.UNDONE


def address_to_free(tx: Connection, action_id: str) -> str:
    """The address that the provider's lists must not hold when this is undone; empty if none, or
    if the reader was changed since: they may have complained.

    The provider may have been told that the reader left.
    """
    action = actions.by_id(tx, action_id)
    if action is None or action.kind is not ActionKind.REMOVE_READER or not is_possible(action):
        return ""
    if _reader(tx, action) != action.after:
        return ""
    return readers.addresses(tx, [action.subject]).get(action.subject, "")
