"""The log page: what was done, by whom and when; each action with its undo, where there is one."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from newsletter.errors import OperatorError
from newsletter.operations import undo
from newsletter.operations.rubric_changes import settle, write_file
from newsletter.operations.undo import UndoOutcome
from newsletter.store import StoreError
from newsletter.store.operator import actions as action_log
from newsletter.store.operator import readers
from newsletter.web.forms import first
from newsletter.web.operator import auth
from newsletter.web.operator.actions import (
    MENU,
    folder_of,
    operator_page,
    page_number,
    refusal,
    shown_action,
)

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.store.operator.actions import OperatorAction
    from newsletter.web.context import Site
    from newsletter.web.operator.auth import OperatorSession, SentForm

SHOWN = 100
DOUBLE_CLICK = timedelta(seconds=5)
READER_PAGE = re.compile(r"/readers/[0-9a-f]{32}")


def show(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    settle(site.app.store, site.app.rubrics, site.app.clock())
    page = page_number(request.query_params.get("page", ""))
    with site.app.store.read() as tx:
        found = action_log.newest(tx, SHOWN, (page - 1) * SHOWN)
        number = action_log.count(tx)
        known = readers.addresses(tx, [each.subscriber_id for each in found])
    return operator_page(
        site,
        session,
        "operator_log.html",
        here="/log",
        title="Log",
        said=UndoOutcome.UNDONE if request.query_params.get("said") == "undone" else "",
        actions=[shown_action(each, known) for each in found],
        number=number,
        page=page,
        pages=max(1, -(-number // SHOWN)),
    )


def undo_action(site: Site, _request: Request, sent: SentForm) -> Response:
    """Undo an action, unless that was done before or its subject was changed meanwhile."""
    session, form = sent.session, sent.fields
    back, action_id = _back(first(form, "back")), first(form, "id")[:32]
    try:
        with site.app.store.read() as tx:
            removed = undo.address_to_free(tx, action_id)
        # The provider first: the other order could let it drop the mail of an active reader.
        if removed and site.app.suppression_lists:
            site.app.suppression_lists.free(removed)
        with site.app.store.begin() as tx:
            reversals = undo.reversals_of(site.app.rubrics)
            done = undo.undo(tx, action_id, session.operator, site.app.clock(), reversals)
        done = _written(site, action_id, done)
        with site.app.store.read() as tx:
            action = action_log.by_id(tx, action_id)
            is_there = bool(readers.addresses(tx, [back.rpartition("/")[2]]))
    except StoreError:
        raise
    except OperatorError as refused:
        return refusal(site, session, back, str(refused))
    repeated = done is UndoOutcome.ALREADY and _is_own(action, session, site.app.clock())
    if done is not UndoOutcome.UNDONE and not repeated:
        return refusal(site, session, back, done.value)
    if READER_PAGE.fullmatch(back) and not is_there:
        # The reader was only just added, and is no more.
        back = "/log"
    return RedirectResponse(f"{site.prefix}/operator{back}?said=undone", 303)


def _written(site: Site, action_id: str, done: UndoOutcome) -> UndoOutcome:
    """Write the former text of a file, if that is what is undone. Raises OperatorError."""
    folder = folder_of(site)
    if folder is None or done not in (UndoOutcome.UNDONE, UndoOutcome.ALREADY):
        return done
    is_written = write_file(site.app.store, folder, action_id)
    return done if is_written else UndoOutcome.CHANGED


def _is_own(action: OperatorAction | None, session: OperatorSession, now: datetime) -> bool:
    """Whether this operator undid the action a moment ago: the second click of a double click."""
    undone_at = action.undone_at if action else None
    if action is None or undone_at is None:
        return False
    return action.undone_by == session.operator and now - undone_at < DOUBLE_CLICK


def _back(given: str) -> str:
    """The page that the form was on: an entry of the menu, or one reader's page."""
    return given if given in MENU or READER_PAGE.fullmatch(given) else "/log"
