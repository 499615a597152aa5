"""The forms of one reader's page: edit, pause, resume, remove, restore, confirmation mail."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from newsletter.delivery.confirmation import (
    SentConfirmations,
    confirmation_builder,
    send_confirmations,
)
from newsletter.domain.preferences import CHECKS
from newsletter.domain.subscriber_import import FieldChange, merge_values
from newsletter.errors import OperatorError
from newsletter.operations import readers
from newsletter.operations.readers import BY_OPERATOR
from newsletter.store import signups, subscribers
from newsletter.store.operator import actions as log
from newsletter.store.operator import reader_state
from newsletter.store.operator.actions import ActionKind
from newsletter.web.forms import first
from newsletter.web.model_calls import StillRunning
from newsletter.web.operator import auth
from newsletter.web.operator.actions import (
    Change,
    operator_page,
    perform,
    refusal,
    stamp,
)
from newsletter.web.operator.reader import (
    ADDRESS_FIELDS,
    OWN_FIELDS,
    OpenReader,
    TypedForm,
    open_reader,
    reader_page,
)
from newsletter.web.operator.review import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.context import Site
    from newsletter.web.forms import Form
    from newsletter.web.operator.auth import SentForm

MAX_TEXT = 500
OTHER_IMPORT = (
    "nobody was asked to confirm: another import asks its readers now; import the file again later"
)
MAY_BE_EMPTY = {"name": "", "timezone": None, "send_at": None, "max_papers": None}
"""What an empty field means: no name, or the service's default."""


def edit(site: Site, request: Request, sent: SentForm) -> Response:
    """Store preferences. What the reader chose is overwritten only if the operator says so."""
    form, opened = sent.fields, _opened(site, request)
    of = first(form, "of")
    target = opened.subscriptions[0] if of == "address" else opened.subscription(of)
    names = ADDRESS_FIELDS if of == "address" else OWN_FIELDS
    values, errors = _values(form, names)
    if errors:
        typed = {name: first(form, name)[:MAX_TEXT] for name in names}
        return reader_page(site, sent.session, opened, typed=TypedForm(of, typed, errors))
    overwrite = first(form, "overwrite") == "yes"
    merged = merge_values(target, values, overwrite=overwrite)
    if merged.kept and sent.stamp == stamp(opened.state):
        return _ask_overwrite(site, request, sent, merged.kept)

    def apply(tx: Connection, now: datetime) -> None:
        if not readers.edit(tx, target, values, now, overwrite=overwrite).changes:
            message = "no value differs from the stored one"
            raise OperatorError(message)

    return perform(site, sent, _change(ActionKind.EDIT_READER, opened.id, apply))


def _values(form: Form, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of the fields, and the faults in them."""
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name in names:
        text = first(form, name).strip()
        if name not in form:
            continue
        try:
            empty = not text and name in MAY_BE_EMPTY
            values[name] = MAY_BE_EMPTY[name] if empty else CHECKS[name](text)
        except ValueError as error:
            errors[name] = str(error)
    return values, errors


def _ask_overwrite(
    site: Site, request: Request, sent: SentForm, kept: tuple[FieldChange, ...]
) -> Response:
    form = sent.fields
    hidden = {name: first(form, name)[:MAX_TEXT] for name in ("of", *ADDRESS_FIELDS, *OWN_FIELDS)}
    opened = _opened(site, request)
    return operator_page(
        site,
        sent.session,
        "operator_confirm.html",
        here="/readers",
        title="The reader chose this themselves",
        subject=opened.email,
        lines=[f"{one.name}: the reader chose {one.old}; you give {one.new}" for one in kept],
        note="Nothing was changed yet. What a reader chose stays, unless you overwrite it.",
        button="Overwrite what the reader chose",
        action=f"/readers/{opened.id}/edit",
        fields={**{k: v for k, v in hidden.items() if k in form}, "overwrite": "yes"},
        consent=False,
        stamp=sent.stamp,
        back=f"/readers/{opened.id}",
    )


def pause(site: Site, request: Request, sent: SentForm) -> Response:
    return _move(site, request, sent, ActionKind.PAUSE_READER, subscribers.pause)


def resume(site: Site, request: Request, sent: SentForm) -> Response:
    return _move(site, request, sent, ActionKind.RESUME_READER, subscribers.resume)


def _move(
    site: Site,
    request: Request,
    sent: SentForm,
    kind: ActionKind,
    move: Callable[[Connection, str, str, datetime], bool],
) -> Response:
    opened = _opened(site, request)

    def apply(tx: Connection, now: datetime) -> None:
        if not move(tx, opened.id, BY_OPERATOR, now):
            message = f"{opened.email} is {opened.overall.value}: no change"
            raise OperatorError(message)

    return perform(site, sent, _change(kind, opened.id, apply))


def ask_remove(site: Site, request: Request) -> Response:
    """What a removal will end, and the button that does it."""
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    opened = _opened(site, request)
    of = request.query_params.get("of", "")
    chosen = _chosen(opened, of)
    ends = readers.live(opened.subscriptions, chosen)
    if not ends:
        return refusal(site, session, f"/readers/{opened.id}", "There is nothing to remove.")
    return operator_page(
        site,
        session,
        "operator_confirm.html",
        here="/readers",
        title="Remove the reader" if not of else "Remove a subscription",
        subject=opened.email,
        lines=[f"unsubscribe from {site.title_of(one.rubric)}" for one in ends],
        note="No import subscribes them again. The log has an undo, and they can be restored.",
        button="Unsubscribe permanently",
        action=f"/readers/{opened.id}/remove",
        fields={"of": of},
        consent=False,
        stamp=stamp(opened.state),
        back=f"/readers/{opened.id}",
    )


def remove(site: Site, request: Request, sent: SentForm) -> Response:
    opened = _opened(site, request)
    chosen = _chosen(opened, first(sent.fields, "of"))

    def apply(tx: Connection, now: datetime) -> None:
        if not readers.remove(tx, opened.subscriptions, chosen, now):
            message = f"{opened.email} was unsubscribed already"
            raise OperatorError(message)

    return perform(site, sent, _change(ActionKind.REMOVE_READER, opened.id, apply))


def ask_restore(site: Site, request: Request) -> Response:
    """What would be restored, and the form for the consent."""
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    opened = _opened(site, request)
    of = request.query_params.get("of", "")
    back = f"/readers/{opened.id}"
    try:
        with site.app.store.read() as tx:
            wanted = readers.restorable(tx, opened.email, _chosen(opened, of))
    except OperatorError as refused:
        return refusal(site, session, back, str(refused))
    if not wanted.is_needed:
        return refusal(site, session, back, "There is nothing to restore.")
    lines = [f"subscribe to {site.title_of(one.rubric)} again" for one in wanted.gone]
    return operator_page(
        site,
        session,
        "operator_confirm.html",
        here="/readers",
        title="Restore the reader",
        subject=opened.email,
        lines=lines or [f"allow mail to this address again; it is {wanted.suppressed}"],
        note="The address is taken off the provider's suppression lists too.",
        button="Restore",
        action=f"/readers/{opened.id}/restore",
        fields={"of": of},
        consent=True,
        stamp=stamp(opened.state),
        back=back,
    )


def restore(site: Site, request: Request, sent: SentForm) -> Response:
    opened = _opened(site, request)
    chosen, back = _chosen(opened, first(sent.fields, "of")), f"/readers/{opened.id}"
    consent = first(sent.fields, "consent").strip()[:MAX_TEXT]
    if not consent:
        reason = "The consent is missing: write how they asked to get mail again."
        return refusal(site, sent.session, back, reason)
    try:
        with site.app.store.read() as tx:
            is_repeated = log.by_id(tx, sent.id) is not None
            wanted = readers.restorable(tx, opened.email, chosen)
        lists = site.app.suppression_lists
        if lists and wanted.is_needed and not is_repeated and stamp(opened.state) == sent.stamp:
            lists.free(opened.email)
    except OperatorError as refused:
        return refusal(site, sent.session, back, str(refused))

    def apply(tx: Connection, now: datetime) -> None:
        readers.restore(tx, opened.email, chosen, consent, now)

    return perform(site, sent, _change(ActionKind.RESTORE_READER, opened.id, apply))


def invite(site: Site, request: Request, sent: SentForm) -> Response:
    """Send the confirmation mail to a reader who was never asked."""
    opened = _opened(site, request)

    def apply(tx: Connection, _now: datetime) -> None:
        if signups.pending_request(tx, opened.email):
            message = "they were asked by mail before; an operator asks nobody twice"
            raise OperatorError(message)

    change = _change(ActionKind.INVITE_READER, opened.id, apply)
    then = partial(send_invitation, site, opened.email)
    return perform(site, sent, replace(change, then=then))


def send_invitation(site: Site, email: str, action_id: str) -> None:
    """Send the confirmation mail, and record in the log what became of it."""
    confirmations = _send_confirmations(site, [email])
    sent = (
        "the confirmation mail was sent" if confirmations.sent else "no confirmation mail was sent"
    )
    with site.app.store.begin() as tx:
        log.set_result(
            tx, action_id, f"{sent}: {confirmations.problem}" if confirmations.problem else sent
        )


def send_invitations(site: Site, emails: Iterable[str], action_id: str) -> None:
    """Send confirmation mails after an import, one import at a time.

    The page waits for a limited time; the log has the number of mails when all are sent.
    """

    def send() -> None:
        done = _send_confirmations(site, emails)
        result = f"{done.sent} asked by mail to confirm"
        if done.problem:
            more = "import the file again later to ask the others"
            result = f"{result}; not everyone was asked: {masked(done.problem)}; {more}"
        with site.app.store.begin() as tx:
            log.set_result(tx, action_id, result)

    try:
        site.operator_calls.run("confirmation mails", send)
    except StillRunning as running:
        if not running.started:
            with site.app.store.begin() as tx:
                log.set_result(tx, action_id, OTHER_IMPORT)


def _send_confirmations(site: Site, emails: Iterable[str]) -> SentConfirmations:
    app = site.app
    make = confirmation_builder(app.rubrics, app.renderer, app.links, app.sender, app.clock())
    return send_confirmations(app.store, app.mailer, emails, make, app.clock())


def _opened(site: Site, request: Request) -> OpenReader:
    """The reader of the URL. Raises HTTPException 404."""
    with site.app.store.read() as tx:
        return open_reader(tx, request)


def _chosen(opened: OpenReader, subscription_id: str) -> list[str]:
    """The rubric of this subscription of theirs; none means all."""
    return [opened.subscription(subscription_id).rubric] if subscription_id else []


def _change(
    kind: ActionKind, subscriber_id: str, apply: Callable[[Connection, datetime], None]
) -> Change:
    return Change(
        kind,
        subscriber_id,
        state=partial(reader_state.read, subscriber_id=subscriber_id),
        apply=apply,
        back=f"/readers/{subscriber_id}",
        subscriber_id=subscriber_id,
    )
