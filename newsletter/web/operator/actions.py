"""What all the operator's pages share: their menu, and how a form changes something once.

Each form has three hidden fields besides its own: the CSRF token; an id that is new in each
rendered form, so that a double click does nothing twice; and a stamp of the state that the
operator saw, so that nobody changes what another changed meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse

from newsletter.errors import OperatorError
from newsletter.operations import undo
from newsletter.operations.rubric_changes import write_file
from newsletter.rubrics.changes import differing_lines
from newsletter.rubrics.folder import RubricFolder, of_operator
from newsletter.store import StoreError
from newsletter.store.operator import actions as log
from newsletter.store.operator.actions import OperatorAction
from newsletter.web.operator import auth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.rubrics.save import RubricText
    from newsletter.store.operator.actions import ActionKind
    from newsletter.web.context import Site
    from newsletter.web.operator.auth import OperatorSession, SentForm

    State = Mapping[str, Any]

MENU = {
    "": "Overview",
    "/next-run": "Next run",
    "/readers": "Readers",
    "/rubrics": "Rubrics",
    "/review": "Review",
    "/test-mail": "Test mail",
    "/doctor": "Doctor",
    "/log": "Log",
}
"""The operator's pages, by their paths below `/operator`."""
MAX_PAGE = 10_000
UNSHOWN = {"id", "at", "state_at", "since", "soft_bounces", "text", "hash"}
"""Values of a state that say nothing to an operator."""


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
    refused_back: str | None = None
    """The page that a refusal links to; None: the same."""
    then: Callable[[str], None] | None = None
    """Runs once after the change is committed, with the id of the action: what is sent outside."""
    writes: RubricText | None = None
    """The rubric file that is written after the action is recorded; its subject is the file."""
    changed_page: Callable[[State, str], Response] | None = None
    """Answers a form that is out of date, from the state now and what was done last."""


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


def page_number(given: str) -> int:
    """The number of a page of a list; 1 where it makes no sense."""
    return min(max(1, int(given[:6])), MAX_PAGE) if given.isascii() and given.isdecimal() else 1


def new_form_id() -> str:
    return secrets.token_hex(16)


def stamp(state: State) -> str:
    """A short hash of a state, for the forms that would change it."""
    text = json.dumps(state, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def perform(site: Site, sent: SentForm, change: Change) -> Response:
    """Do what a form asks for, once, and record it in the same transaction.

    Raises HTTPException 400 for a form without an id.
    """
    refused_back = change.back if change.refused_back is None else change.refused_back
    try:
        subject, changed = _recorded(site, sent, change)
    except StoreError:
        raise
    except OperatorError as refused:
        return refusal(site, sent.session, refused_back, str(refused))
    if changed is None:
        return done(site, change.back.replace(change.subject, subject), sent.id)
    if change.changed_page:
        return change.changed_page(*changed)
    return out_of_date(site, sent.session, refused_back, changed[1])


def _recorded(site: Site, sent: SentForm, change: Change) -> tuple[str, tuple[State, str] | None]:
    """The subject of the form's action, which is done once; and the state and what was done last,
    if the form is out of date. Raises OperatorError.
    """
    store = site.app.store
    with store.begin() as tx:
        log.lock(tx)
        known = log.by_id(tx, sent.id)
        if known is None:
            before = change.state(tx)
            if stamp(before) != sent.stamp:
                return change.subject, (before, _last(tx, change.subject))
            change.apply(tx, sent.now)
            after = change.state(tx) if change.writes is None else change.writes.state
            log.record(tx, _action(sent, change, before, after))
    if change.writes is not None and (folder := folder_of(site)):
        if not write_file(store, folder, sent.id):
            with store.read() as tx:
                return change.subject, (change.state(tx), _last(tx, change.subject))
    elif change.then and known is None:
        change.then(sent.id)
    return (known.subject if known else change.subject), None


def _action(sent: SentForm, change: Change, before: State, after: State) -> OperatorAction:
    sends = log.NO_ANSWER if change.then else ""
    result = sends if change.writes is None else log.STARTED
    return OperatorAction(
        sent.id,
        sent.now,
        sent.session.operator,
        sent.session.key,
        change.kind,
        change.subject,
        before,
        after,
        change.subscriber_id,
        result,
    )


def folder_of(site: Site) -> Path | None:
    """Where the rubric files are; None for rubrics that come from no folder."""
    rubrics = of_operator(site.app.rubrics)
    return rubrics.folder if isinstance(rubrics, RubricFolder) else None


def done(site: Site, back: str, action_id: str) -> Response:
    """Redirect to the page that shows the outcome of this action."""
    separator = "&" if "?" in back else "?"
    return RedirectResponse(f"{site.prefix}/operator{back}{separator}done={action_id}", 303)


def out_of_date(site: Site, session: OperatorSession, back: str, last: str) -> Response:
    """The answer to a form whose subject was changed after it was opened."""
    text = "Someone changed this after you opened the form, so nothing was done now."
    return refusal(site, session, back, f"{text} {last}".strip())


def refusal(
    site: Site,
    session: OperatorSession,
    back: str,
    reason: str,
    link: str = "Show the present state",
) -> Response:
    """A page that says why nothing was changed, with a link to the page `back`."""
    return operator_page(
        site,
        session,
        "operator_refusal.html",
        here=None,
        status=409,
        title="Nothing was changed",
        reason=f"{reason[:1].upper()}{reason[1:].rstrip('.')}.",
        back=back,
        link=link,
    )


def outcome(tx: Connection, request: Request) -> dict[str, Any] | None:
    """The action that the page was redirected to show, if any."""
    found = log.by_id(tx, request.query_params.get("done", "")[:32])
    return shown_action(found) if found else None


def shown_action(
    action: OperatorAction, addresses: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """An action for a template; `addresses` are those of the readers who are not erased, by id."""
    return {
        "email": (addresses or {}).get(action.subscriber_id or ""),
        "changes": list(state_changes(action.before, action.after)),
        "lines": differing_lines(
            *(str(one.get("text", "")) for one in (action.before, action.after))
        ),
        "id": action.id,
        "kind": action.kind.value,
        "subject": action.subject,
        "subscriber_id": action.subscriber_id,
        "operator": action.operator,
        "session": action.session,
        "at": action.at,
        "result": action.result,
        "can_undo": undo.is_possible(action),
        "undone_at": action.undone_at,
        "undone_by": action.undone_by,
    }


def state_changes(before: State, after: State, of: str = "") -> Iterator[tuple[str, str, str]]:
    """What differs between two states, without times: the name of a value, what it was and is."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new or name in UNSHOWN:
            continue
        title = f"{of} {name}".strip().replace("_", " ")
        if isinstance(old or new, dict):
            yield from state_changes(old or {}, new or {}, of if name == "reader" else title)
        elif _is_rows(old or new):
            yield from state_changes(_by_rubric(old), _by_rubric(new), of)
        elif _shown(old) != _shown(new):
            yield title, _shown(old), _shown(new)


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _by_rubric(rows: list[State] | None) -> State:
    return {str(one.get("rubric", "address")): one for one in rows or ()}


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)


def _last(tx: Connection, subject: str) -> str:
    last = log.last_of(tx, subject)
    if last is None:
        return ""
    done = f"{last.kind.value}, by {last.operator}, {last.at:%Y-%m-%d %H:%M} UTC"
    return f"The last action here: {done}."
