"""What all the operator's pages share: their menu, and how a form changes something once.

Each form has three hidden fields besides its own: the CSRF token; an id that is new in each
rendered form, so that a double click does nothing twice; and a stamp of the state that the
operator saw, so that nobody changes what another changed meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from newsletter.errors import OperatorError
from newsletter.store.operator import actions as log
from newsletter.store.operator.actions import OperatorAction
from newsletter.web.forms import first
from newsletter.web.operator import auth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.store.operator.actions import ActionKind
    from newsletter.web.context import Site
    from newsletter.web.forms import Form
    from newsletter.web.operator.auth import OperatorSession

    State = Mapping[str, Any]

MENU = {"": "Overview", "/review": "Review", "/log": "Log"}
"""The operator's pages, by their paths below `/operator`."""
FORM_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Change:
    """What a form does to one subject; nothing of it runs if the form is out of date."""

    kind: ActionKind
    subject: str
    state: Callable[[Connection], State]
    """The subject as it is stored now: what forms are stamped with, and what the log keeps."""
    apply: Callable[[Connection, datetime], None]
    """Raises OperatorError if the change is refused; nothing is stored then."""
    back: str
    """The page that shows the outcome, below `/operator`."""
    subscriber_id: str | None = None


@dataclass(frozen=True, slots=True)
class SentForm:
    session: OperatorSession
    id: str
    stamp: str
    now: datetime

    def action(self, change: Change, before: State, after: State) -> OperatorAction:
        return OperatorAction(
            self.id,
            self.now,
            self.session.operator,
            self.session.key,
            change.kind,
            change.subject,
            before,
            after,
            change.subscriber_id,
        )


def operator_page(
    site: Site,
    session: OperatorSession,
    template: str,
    *,
    here: str | None,
    status: int = 200,
    **values: Any,  # noqa: ANN401 - what a template shows
) -> Response:
    """A page with the operator's menu; `here` is its own entry there."""
    return site.page(
        template,
        status=status,
        here=here,
        menu=MENU,
        token=auth.csrf_token(site, session),
        by_cookie=session.by_cookie,
        new_form_id=new_form_id,
        **values,
    )


def new_form_id() -> str:
    return secrets.token_hex(16)


def stamp(state: State) -> str:
    """A short hash of a state, for the forms that would change it."""
    text = json.dumps(state, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def sent_form(site: Site, request: Request, form: Form) -> SentForm:
    """The hidden fields. Raises HTTPException 403 for a wrong CSRF token, 400 without an id."""
    session = auth.require_csrf_token(site, request, form)
    form_id = first(form, "form")
    if not FORM_ID.fullmatch(form_id):
        raise HTTPException(400)
    return SentForm(session, form_id, first(form, "stamp"), site.app.clock())


def perform(site: Site, request: Request, form: Form, change: Change) -> Response:
    """Do what a form asks for, once, and record it in the same transaction."""
    sent = sent_form(site, request, form)
    try:
        with site.app.store.begin() as tx:
            log.lock(tx)
            if log.by_id(tx, sent.id) is None:
                before = change.state(tx)
                if stamp(before) != sent.stamp:
                    return out_of_date(site, sent.session, change.back, _last(tx, change.subject))
                change.apply(tx, sent.now)
                log.record(tx, sent.action(change, before, change.state(tx)))
    except OperatorError as refused:
        return refusal(site, sent.session, change.back, str(refused))
    return done(site, change.back, sent.id)


def done(site: Site, back: str, action_id: str) -> Response:
    """Redirect to the page that shows the outcome of this action."""
    separator = "&" if "?" in back else "?"
    return RedirectResponse(f"{site.prefix}/operator{back}{separator}done={action_id}", 303)


def out_of_date(site: Site, session: OperatorSession, back: str, last: str) -> Response:
    """The answer to a form whose subject was changed after it was opened."""
    text = "Someone changed this after you opened the form, so nothing was done now."
    return refusal(site, session, back, f"{text} {last}".strip())


def refusal(site: Site, session: OperatorSession, back: str, reason: str) -> Response:
    return operator_page(
        site,
        session,
        "operator_refusal.html",
        here=None,
        status=409,
        title="Nothing was changed",
        reason=reason,
        back=back,
    )


def outcome(tx: Connection, request: Request) -> dict[str, Any] | None:
    """The action that the page was redirected to show, if any."""
    found = log.by_id(tx, request.query_params.get("done", "")[:32])
    return shown_action(found) if found else None


def shown_action(action: OperatorAction) -> dict[str, Any]:
    return {
        "id": action.id,
        "kind": action.kind.value,
        "subject": action.subject,
        "subscriber_id": action.subscriber_id,
        "operator": action.operator,
        "session": action.session,
        "at": action.at,
        "undone_at": action.undone_at,
        "undone_by": action.undone_by,
    }


def _last(tx: Connection, subject: str) -> str:
    last = log.last_of(tx, subject)
    if last is None:
        return ""
    done = f"{last.kind.value}, by {last.operator}, {last.at:%Y-%m-%d %H:%M} UTC"
    return f"The last action here: {done}."
