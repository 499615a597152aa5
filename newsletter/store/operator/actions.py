"""The log of what operators did on their pages: recorded with the change, listed, undone once.

An action is recorded in the transaction of its change. Its id comes from the form that was sent, so
a form that is sent twice is recorded once. `lock` makes operators' changes wait for one another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, text, update

from newsletter.store.tables import operator_action, subscriber

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection, RowMapping


KEPT = timedelta(days=365)
"""How long the log keeps an action."""
STARTED = "started, and not known to be finished yet: reload this page"
UNDO_STARTED = "the undo was started, and is not known to be finished yet: reload this page"
"""The results of an action that writes a file, until the file is written."""
UNFINISHED = (STARTED, UNDO_STARTED)
NO_ANSWER = "started, and no answer is stored yet: reload this page"
"""The result of an action that sends something outside, until the answer is stored."""
NEVER_ANSWERED = "it may not have been sent: the process ended before an answer was stored"


class ActionKind(StrEnum):
    """What an operator can do on the pages; the log shows these words."""

    ADD_READER = "add reader"
    IMPORT_READERS = "import readers"
    INVITE_READER = "send confirmation mail"
    EDIT_READER = "edit reader"
    PAUSE_READER = "pause reader"
    RESUME_READER = "resume reader"
    RESTORE_READER = "restore reader"
    REMOVE_READER = "remove reader"
    RUN_DOCTOR = "run doctor"
    SEND_TEST = "send test mail"
    ANSWER_REPLY = "answer reply"
    RESOLVE_MAIL = "resolve mail"
    RESOLVE_BATCH = "resolve batch of mails"
    SAVE_RUBRIC = "save rubric"
    DELETE_RUBRIC = "delete rubric"
    PAUSE_RUBRIC = "pause rubric of a reader"
    RESUME_RUBRIC = "resume rubric of a reader"


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One change by an operator. `before` and `after` are the state of the subject, as JSON."""

    id: str
    at: datetime
    operator: str
    """The name that a proxy gave, or how they logged in."""
    session: str
    kind: ActionKind
    subject: str
    """A subscriber's id, a rubric's name, the id of a reply or a mail."""
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    subscriber_id: str | None = None
    """The reader whom it was about: it is in their download, and blanked by their erasure."""
    result: str = ""
    """What the outside answered, where something was sent after the change was stored."""
    undone_at: datetime | None = None
    undone_by: str = ""


def lock(tx: Connection) -> None:
    """Wait for the change of another operator to end. SQLite's write lock does so by itself."""
    if tx.dialect.name == "postgresql":
        tx.execute(text("LOCK TABLE operator_action IN EXCLUSIVE MODE"))


def record(tx: Connection, action: OperatorAction) -> None:
    """Add an action to the log. Its id must be new: see `by_id`, after `lock`."""
    values = {name: getattr(action, name) for name in action.__slots__}
    tx.execute(insert(operator_action).values({**values, "kind": action.kind.value}))


def by_id(tx: Connection, action_id: str) -> OperatorAction | None:
    query = select(operator_action).where(operator_action.c.id == action_id)
    row = tx.execute(query).mappings().one_or_none()
    return _action(row) if row else None


def last_of(tx: Connection, subject: str) -> OperatorAction | None:
    """The newest action on this subject."""
    query = select(operator_action).where(operator_action.c.subject == subject)
    newest_first = query.order_by(operator_action.c.at.desc()).limit(1)
    row = tx.execute(newest_first).mappings().one_or_none()
    return _action(row) if row else None


def newest(tx: Connection, limit: int, offset: int = 0) -> list[OperatorAction]:
    order = operator_action.c.at.desc(), operator_action.c.id
    query = select(operator_action).order_by(*order).limit(limit).offset(offset)
    return [_action(row) for row in tx.execute(query).mappings()]


def of_subscriber(tx: Connection, subscriber_id: str, limit: int) -> list[OperatorAction]:
    """The newest actions about a reader."""
    query = select(operator_action).where(operator_action.c.subscriber_id == subscriber_id)
    order = operator_action.c.at.desc(), operator_action.c.id
    return [_action(row) for row in tx.execute(query.order_by(*order).limit(limit)).mappings()]


def count(tx: Connection) -> int:
    return tx.scalar(select(func.count()).select_from(operator_action)) or 0


def set_result(tx: Connection, action_id: str, result: str) -> None:
    mine = operator_action.c.id == action_id
    tx.execute(update(operator_action).where(mine).values(result=result))


def unfinished(tx: Connection, since: datetime) -> list[OperatorAction]:
    """Actions that began to write a file before this time, and did not record that they did."""
    began = func.coalesce(operator_action.c.undone_at, operator_action.c.at)
    query = select(operator_action).where(operator_action.c.result.in_(UNFINISHED))
    return [_action(row) for row in tx.execute(query.where(began < since)).mappings()]


def is_unanswered(tx: Connection, since: datetime) -> bool:
    mine = (operator_action.c.result == NO_ANSWER) & (operator_action.c.at < since)
    return tx.scalar(select(select(operator_action.c.id).where(mine).exists())) or False


def end_unanswered(tx: Connection, since: datetime) -> None:
    """Give up the answers of what was sent before this time."""
    mine = (operator_action.c.result == NO_ANSWER) & (operator_action.c.at < since)
    tx.execute(update(operator_action).where(mine).values(result=NEVER_ANSWERED))


def take_back(tx: Connection, action: OperatorAction) -> None:
    """Delete what the log has of an action, or of an undo, that did not happen."""
    mine = operator_action.c.id == action.id
    if action.result == STARTED:
        tx.execute(delete(operator_action).where(mine))
        return
    as_before = {"undone_at": None, "undone_by": "", "result": ""}
    tx.execute(update(operator_action).where(mine).values(as_before))


def mark_undone(tx: Connection, action_id: str, operator: str, now: datetime) -> bool:
    """Record that an action was undone. False if it was undone before, or is unknown."""
    open_one = (operator_action.c.id == action_id) & operator_action.c.undone_at.is_(None)
    undone = {"undone_at": now, "undone_by": operator}
    return tx.execute(update(operator_action).where(open_one).values(undone)).rowcount == 1


def blank(tx: Connection, subscriber_id: str) -> None:
    """Delete what the log holds of a reader, for their erasure; that something was done stays."""
    of_reader = operator_action.c.subscriber_id == subscriber_id
    tx.execute(update(operator_action).where(of_reader).values(before={}, after={}, result=""))


def delete_old(tx: Connection, now: datetime) -> None:
    """Delete actions of more than a year ago, and blank those about readers who are no more."""
    tx.execute(delete(operator_action).where(operator_action.c.at < now - KEPT))
    mine = subscriber.c.id == operator_action.c.subscriber_id
    is_there = select(subscriber.c.id).where(mine).exists()
    gone = operator_action.c.subscriber_id.is_not(None) & ~is_there
    tx.execute(update(operator_action).where(gone).values(before={}, after={}, result=""))


def _action(row: RowMapping) -> OperatorAction:
    return OperatorAction(**{**row, "kind": ActionKind(row["kind"])})
