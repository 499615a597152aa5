"""The checks of `newsletter doctor` on a page: started by a button, one run at a time.

The findings stay in this process; the log has their counts.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain.findings import FindingState
from newsletter.domain.formatting import plural
from newsletter.operations.doctor.run import examine
from newsletter.store.operator import actions as log
from newsletter.store.operator.actions import ActionKind
from newsletter.web.forms import first
from newsletter.web.model_calls import StillRunning
from newsletter.web.operator import auth
from newsletter.web.operator.actions import Change, operator_page, outcome, perform, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.findings import Finding
    from newsletter.web.context import Site
    from newsletter.web.operator.auth import SentForm

HERE = "/doctor"
CALL = "doctor"
RUNNING_ALREADY = "the checks were running already; this page shows their findings"
UNCHANGED: Mapping[str, Any] = {}
"""The state that the checks change: none, so that no form of theirs is out of date."""


class Examined(NamedTuple):
    at: datetime
    offline: bool
    found: Sequence[Finding]


def show(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, request.scope["path"])
    last = site.operator_calls.last_result(CALL)
    examined = last if isinstance(last, Examined) else None
    found = examined.found if examined else ()
    with site.app.store.read() as tx:
        done = outcome(tx, request)
    return operator_page(
        site,
        session,
        "operator_doctor.html",
        here=HERE,
        title="Doctor",
        done=done,
        is_running=site.operator_calls.is_running(CALL),
        examined=examined,
        counts=_counts(found),
        records=[record for one in found for record in one.records],
        stamp=stamp(UNCHANGED),
    )


def run(site: Site, _request: Request, sent: SentForm) -> Response:
    """Run the checks once. The page waits for a limited time; the checks have a limit too."""
    offline = bool(first(sent.fields, "offline"))

    def apply(_tx: Connection, _now: datetime) -> None:
        """Nothing is stored but the entry in the log."""

    change = Change(
        ActionKind.RUN_DOCTOR,
        CALL,
        lambda _tx: UNCHANGED,
        apply,
        HERE,
        then=partial(_run, site, offline),
    )
    return perform(site, sent, change)


def _run(site: Site, offline: bool, action_id: str) -> None:  # noqa: FBT001 - for `partial`
    app = site.app

    def work() -> Examined:
        found = examine(app.settings, app.clock, offline=offline)
        _set_result(site, action_id, _counts(found))
        return Examined(app.clock(), offline, found)

    try:
        site.operator_calls.run(CALL, work)
    except StillRunning as running:
        if not running.started:
            _set_result(site, action_id, RUNNING_ALREADY)


def _set_result(site: Site, action_id: str, result: str) -> None:
    with site.app.store.begin() as tx:
        log.set_result(tx, action_id, result)


def _counts(found: Sequence[Finding]) -> str:
    passed, warned, failed = (sum(one.state is state for one in found) for state in FindingState)
    return f"{passed} passed, {plural(warned, 'warning')}, {failed} failed"
