"""A test mail: choose rubric, address and format, see the mail, send it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain.mail import Format
from newsletter.domain.preferences import parse_address
from newsletter.errors import OperatorError
from newsletter.operations import send_test
from newsletter.rubrics.folder import of_operator
from newsletter.store import digests, subscriptions
from newsletter.store.operator import actions as log
from newsletter.store.operator.actions import ActionKind
from newsletter.web.forms import first
from newsletter.web.operator import auth
from newsletter.web.operator.actions import Change, operator_page, outcome, perform, stamp
from newsletter.web.operator.preview import FRAME_POLICY
from newsletter.web.operator.review import masked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.mail import Email
    from newsletter.domain.model import Digest
    from newsletter.web.context import Site
    from newsletter.web.forms import Form
    from newsletter.web.operator.auth import OperatorSession, SentForm

HERE = "/test-mail"
MAX_TEXT = 320
NO_DIGEST = (
    "this rubric has no digest yet; a run makes one for its readers, and on the command line "
    "newsletter test-send makes one at once"
)


class Wanted(NamedTuple):
    """What was typed, and its faults by field."""

    rubric: str = ""
    to: str = ""
    format: str = Format.FULL.value
    errors: Mapping[str, str] = {}


def show(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    with site.app.store.read() as tx:
        done = outcome(tx, request)
    chosen = request.query_params.get("rubric", "")
    return _page(site, session, Wanted(chosen, site.app.settings.operator_email), done)


def _page(
    site: Site, session: OperatorSession, wanted: Wanted, done: Mapping[str, Any] | None = None
) -> Response:
    known = of_operator(site.app.rubrics)
    rubrics = sorted((rubric.title, slug) for slug, rubric in known.items())
    return operator_page(
        site,
        session,
        "operator_send_test.html",
        here=HERE,
        status=422 if wanted.errors else 200,
        title="Send a test mail",
        values=wanted._asdict(),
        errors=wanted.errors,
        rubrics=rubrics,
        formats=[each.value for each in Format],
        done=done,
    )


def preview(site: Site, _request: Request, sent: SentForm) -> Response:
    """The mail as it would be sent, and the button that sends it."""
    session, wanted = sent.session, _wanted(site, sent.fields)
    with site.app.store.read() as tx:
        found = digests.latest(tx, wanted.rubric)
        state = _state(tx, rubric=wanted.rubric)
    if found is None and not wanted.errors:
        wanted = wanted._replace(errors={"rubric": NO_DIGEST})
    if found is None or wanted.errors:
        return _page(site, session, wanted)
    email = _email(site, found[1], wanted)
    page = operator_page(
        site,
        session,
        "operator_send_preview.html",
        here=HERE,
        title="Send this test mail?",
        values=wanted._asdict(),
        subject=email.subject,
        day=found[1].date,
        size=len(email.html.encode()) // 1000,
        stamp=stamp(state),
    )
    page.headers["Content-Security-Policy"] = FRAME_POLICY
    return page


def send(site: Site, _request: Request, sent: SentForm) -> Response:
    """Send it once. The log keeps what the provider answered."""
    session, wanted = sent.session, _wanted(site, sent.fields)
    if wanted.errors:
        return _page(site, session, wanted)
    with site.app.store.read() as tx:
        known = subscriptions.find(tx, wanted.to)

    def apply(tx: Connection, _now: datetime) -> None:
        send_test.refuse_suppressed(tx, wanted.to, site.app.settings.operator_email)

    change = Change(
        ActionKind.SEND_TEST,
        wanted.rubric,
        partial(_state, rubric=wanted.rubric),
        apply,
        HERE,
        known.subscriber_id if known else None,
        then=partial(_send, site, wanted),
    )
    return perform(site, sent, change)


def _send(site: Site, wanted: Wanted, action_id: str) -> None:
    with site.app.store.read() as tx:
        found = digests.latest(tx, wanted.rubric)
    try:
        result = send_test.send(site.app, _email(site, found[1], wanted)) if found else "no digest"
    except OperatorError as error:
        result = str(error)
    with site.app.store.begin() as tx:
        log.set_result(tx, action_id, masked(result))


def _wanted(site: Site, form: Form) -> Wanted:
    rubric, to, kind = (first(form, name)[:MAX_TEXT].strip() for name in Wanted._fields[:3])
    errors: dict[str, str] = {}
    if rubric not in of_operator(site.app.rubrics):
        errors["rubric"] = "choose a rubric"
    if kind not in set(Format):
        errors["format"] = "choose a format"
    try:
        to = parse_address(to)
    except ValueError as error:
        errors["to"] = str(error)
    return Wanted(rubric, to, kind, errors)


def _email(site: Site, digest: Digest, wanted: Wanted) -> Email:
    reader = send_test.reader_for(site.app, wanted.rubric, wanted.to, Format(wanted.format))
    return send_test.build(site.app, digest, reader)


def _state(tx: Connection, rubric: str) -> Mapping[str, Any]:
    """The digest that is sent: a form is out of date when there is a newer one."""
    found = digests.latest(tx, rubric)
    return {"digest": found[0]} if found else {}
