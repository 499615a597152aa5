"""The form that adds a reader, or a rubric to a known one: `newsletter subscribers add`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from newsletter.domain.mail import Format
from newsletter.domain.zone_names import offered
from newsletter.errors import OperatorError
from newsletter.operations import readers
from newsletter.store import subscriber_import, subscriptions
from newsletter.store.operator import actions as log
from newsletter.store.operator import reader_state
from newsletter.store.operator.actions import ActionKind
from newsletter.store.subscribers import SubscriberChange
from newsletter.web.forms import first
from newsletter.web.operator import auth
from newsletter.web.operator.actions import Change, operator_page, perform, refusal, stamp
from newsletter.web.operator.reader_forms import MAX_TEXT, send_invitation
from newsletter.web.operator.readers import known_rubrics, rubric_choices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.mail import Subscription
    from newsletter.domain.subscriber_csv import SubscriberFile, SubscriberRow
    from newsletter.store.subscriber_import import ImportResult
    from newsletter.web.context import Site
    from newsletter.web.operator.auth import OperatorSession, SentForm

PREFERENCES = ("name", "timezone", "send_at", "days", "format", "max_papers")
FIELDS = ("email", *PREFERENCES, "consent")
SUPPRESSED = "They unsubscribed, bounced or complained before. Restore them on their page."
NOTHING_NEW = "They are a reader with these values already."
NEW_READER: Mapping[str, Any] = {}
"""The state of an address that is nobody's yet."""


def show(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    return _page(site, session, {}, (), {})


def _page(
    site: Site,
    session: OperatorSession,
    fields: Mapping[str, str],
    rubrics: Sequence[str],
    errors: Mapping[str, str],
) -> Response:
    return operator_page(
        site,
        session,
        "operator_reader_new.html",
        here="/readers",
        status=422 if errors else 200,
        title="Add a reader",
        values={**dict.fromkeys(FIELDS, ""), **fields},
        chosen=rubrics,
        errors=errors,
        rubrics=rubric_choices(site),
        formats=[each.value for each in Format],
        zones=offered(),
        usual_zone=site.app.settings.timezone,
        usual_hour=f"{site.app.settings.send_at:%H:%M}",
        stamp=stamp(NEW_READER),
    )


def add(site: Site, _request: Request, sent: SentForm) -> Response:
    """Add a reader: active with their consent, else asked by mail to confirm.

    A known address is shown first with what would change.
    """
    form = sent.fields
    fields = {name: first(form, name).strip()[:MAX_TEXT] for name in FIELDS}
    rubrics = tuple(dict.fromkeys(form.get("rubric", ())))
    wanted = _wanted(fields, rubrics, known_rubrics(site))
    if errors := _errors(wanted, rubrics):
        return _page(site, sent.session, fields, rubrics, errors)
    with site.app.store.read() as tx:
        known = subscriptions.find(tx, fields["email"])
        is_repeated = log.by_id(tx, sent.id) is not None
    if known and sent.stamp == stamp(NEW_READER) and not is_repeated:
        return _ask(site, sent.session, known, wanted.rows, fields)
    return perform(site, sent, _change(site, wanted.rows, fields["consent"], known))


def _wanted(fields: Mapping[str, str], rubrics: Sequence[str], known: set[str]) -> SubscriberFile:
    cells = {name: fields[name] for name in PREFERENCES}
    return readers.read_rows(fields["email"], rubrics or ("",), cells, known)


def _errors(wanted: SubscriberFile, rubrics: Sequence[str]) -> dict[str, str]:
    """The faults by field."""
    parts = (fault.message.partition(": ") for fault in wanted.faults)
    errors = {name: message for name, _, message in parts}
    if not rubrics:
        errors["rubric"] = "choose at least one"
    return errors


def _change(
    site: Site, rows: Sequence[SubscriberRow], consent: str, known: Subscription | None
) -> Change:
    email = rows[0].email
    subject = known.subscriber_id if known else uuid4().hex

    def state(tx: Connection) -> Mapping[str, Any]:
        found = subscriptions.find(tx, email)
        return reader_state.read(tx, found.subscriber_id) if found else NEW_READER

    def apply(tx: Connection, now: datetime) -> None:
        before = state(tx)
        done = subscriber_import.save_all(tx, rows, consent, now, new_id=lambda: subject)
        if done.counts[SubscriberChange.SUPPRESSED] == len(rows):
            raise OperatorError(SUPPRESSED)
        if state(tx) == before:
            raise OperatorError(NOTHING_NEW)

    return Change(
        ActionKind.ADD_READER,
        subject,
        state,
        apply,
        f"/readers/{subject}",
        refused_back=f"/readers/{subject}" if known else "/readers",
        subscriber_id=subject,
        then=None if consent else partial(send_invitation, site, email),
    )


def _ask(
    site: Site,
    session: OperatorSession,
    known: Subscription,
    rows: Sequence[SubscriberRow],
    fields: Mapping[str, str],
) -> Response:
    """What adding would change of a known reader; nothing is stored."""
    with site.app.store.begin() as tx:
        before = reader_state.read(tx, known.subscriber_id)
        trial = tx.begin_nested()
        done = subscriber_import.save_all(tx, rows, fields["consent"], site.app.clock())
        trial.rollback()
    if not (lines := _lines(done)):
        return refusal(site, session, f"/readers/{known.subscriber_id}", NOTHING_NEW)
    return operator_page(
        site,
        session,
        "operator_confirm.html",
        here="/readers",
        title="This address is a reader already",
        subject=known.email,
        lines=lines,
        note="Nothing was changed yet.",
        button="Change this reader",
        action="/readers/new",
        fields={**fields, "rubric": [row.rubric for row in rows]},
        consent=False,
        stamp=stamp(before),
        back=f"/readers/{known.subscriber_id}",
    )


def _lines(done: ImportResult) -> list[str]:
    lines = [str(one) for _, merged in done.notable for one in merged.changes]
    lines += [
        f"{one.name} stays {one.old}, as the reader chose"
        for _, merged in done.notable
        for one in merged.kept
    ]
    if done.counts[SubscriberChange.SUPPRESSED]:
        lines.append("a rubric that they left stays left")
    return lines
