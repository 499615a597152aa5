"""The log page: what was done, by whom and when; each action with its undo, where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from newsletter.errors import OperatorError
from newsletter.operations import undo
from newsletter.operations.undo import UndoOutcome
from newsletter.store.operator import actions as action_log
from newsletter.web.forms import first
from newsletter.web.operator import auth
from newsletter.web.operator.actions import MENU, operator_page, refusal, shown_action

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.context import Site
    from newsletter.web.forms import Form

SHOWN = 100
MAX_PAGE = 10_000


def show(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site)
    page = requested_page(request)
    with site.app.store.read() as tx:
        found = action_log.newest(tx, SHOWN, (page - 1) * SHOWN)
        number = action_log.count(tx)
    return operator_page(
        site,
        session,
        "operator_log.html",
        here="/log",
        title="Log",
        said=UndoOutcome.UNDONE if request.query_params.get("said") == "undone" else "",
        actions=[{**shown_action(each), "can_undo": undo.is_possible(each)} for each in found],
        number=number,
        page=page,
        pages=max(1, -(-number // SHOWN)),
    )


def requested_page(request: Request) -> int:
    """The number of a page of a list; 1 where it makes no sense."""
    given = request.query_params.get("page", "")
    return min(max(1, int(given)), MAX_PAGE) if given.isascii() and given[:6].isdecimal() else 1


def undo_action(site: Site, request: Request, form: Form) -> Response:
    """Undo an action, unless that was done before or its subject was changed meanwhile."""
    session = auth.require_csrf_token(site, request, form)
    back = first(form, "back") if first(form, "back") in MENU else "/log"
    try:
        with site.app.store.begin() as tx:
            done = undo.undo(tx, first(form, "id")[:32], session.operator, site.app.clock())
    except OperatorError as refused:
        return refusal(site, session, back, f"{refused}.")
    if done is not UndoOutcome.UNDONE:
        return refusal(site, session, back, f"{done.value}.")
    return RedirectResponse(f"{site.prefix}/operator{back}?said=undone", 303)
