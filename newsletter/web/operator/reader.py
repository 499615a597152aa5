"""One reader's page: state and why, subscriptions, mails with the reason of each, actions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from newsletter.delivery.forecast import next_mail_of
from newsletter.domain.mail import PREFERENCES, Format, SubscriberState
from newsletter.domain.preferences import days_in_words
from newsletter.domain.send_times import zone_of
from newsletter.domain.subscriber_import import shown
from newsletter.domain.zone_names import offered
from newsletter.operations.readers import live
from newsletter.store import subscribers, subscriptions
from newsletter.store.operator import actions as log
from newsletter.store.operator import reader_state, readers
from newsletter.web.operator import auth
from newsletter.web.operator.actions import operator_page, outcome, shown_action, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.mail import Subscription
    from newsletter.web.context import Site
    from newsletter.web.operator.auth import OperatorSession

MAILS, REPLIES, ACTIONS = 50, 10, 20
"""How many of the newest are shown."""
STOPPED = {
    SubscriberState.COMPLAINED: "A digest was reported as spam. Nothing reactivates this address.",
    SubscriberState.BOUNCED: "Mail to this address came back.",
    SubscriberState.PENDING: "They did not confirm yet. They get no digest until they do.",
    SubscriberState.UNSUBSCRIBED: "They left all rubrics.",
    SubscriberState.PAUSED: "They get no digests during the pause.",
}
ADDRESS_FIELDS = ("name", "timezone", "send_at")
OWN_FIELDS = ("days", "format", "max_papers")


@dataclass(frozen=True)
class OpenReader:
    """A reader as they are stored now."""

    id: str
    subscriptions: list[Subscription]
    state: Mapping[str, Any]
    paused_until: datetime | None

    @property
    def email(self) -> str:
        return self.subscriptions[0].email

    @property
    def overall(self) -> SubscriberState:
        """The state of their first subscription: active ones come first."""
        return self.subscriptions[0].state

    def subscription(self, subscription_id: str) -> Subscription:
        """Raises HTTPException 404."""
        found = next((one for one in self.subscriptions if one.id == subscription_id), None)
        if found is None:
            raise HTTPException(404)
        return found


@dataclass(frozen=True)
class TypedForm:
    """What was typed into a form, with its faults; `of` names the form."""

    of: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


NO_FORM = TypedForm()


def show(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    with site.app.store.read() as tx:
        opened = open_reader(tx, request)
        done = outcome(tx, request)
    undone = request.query_params.get("said") == "undone"
    return reader_page(site, session, opened, done, undone=undone)


def open_reader(tx: Connection, request: Request) -> OpenReader:
    """The reader of the URL. Raises HTTPException 404 if unknown or erased."""
    subscriber_id = request.path_params["id"]
    found = subscriptions.of_subscriber(tx, subscriber_id)
    if not found or not found[0].email:
        raise HTTPException(404)
    state = reader_state.read(tx, subscriber_id)
    return OpenReader(subscriber_id, found, state, subscribers.paused_until(tx, subscriber_id))


def reader_page(
    site: Site,
    session: OperatorSession,
    opened: OpenReader,
    done: Mapping[str, Any] | None = None,
    typed: TypedForm = NO_FORM,
    *,
    undone: bool = False,
) -> Response:
    """The page, or the page with what was typed and its faults."""
    known = opened.subscriptions[0]
    return operator_page(
        site,
        session,
        "operator_reader.html",
        here="/readers",
        status=422 if typed.errors else 200,
        title=opened.email,
        reader=opened,
        known=known,
        stamp=stamp(opened.state),
        done=done if done and done["subject"] == opened.id else None,
        undone=undone,
        why=STOPPED.get(opened.overall, ""),
        sections=[_section(site, one, typed) for one in opened.subscriptions],
        is_live=bool(live(opened.subscriptions)),
        values={**_shown(known, ADDRESS_FIELDS), **_typed(typed, "address")},
        errors=typed.errors if typed.of == "address" else {},
        formats=[each.value for each in Format],
        zones=offered(),
        usual_zone=site.app.settings.timezone,
        usual_hour=f"{site.app.settings.send_at:%H:%M}",
        title_of=site.title_of,
        **_stored(site, opened),
    )


def _stored(site: Site, opened: OpenReader) -> dict[str, Any]:
    """Reasons, mails, actions and next mails of a reader."""
    with site.app.store.read() as tx:
        return {
            "facts": readers.facts(tx, opened.id, opened.email, REPLIES),
            "mails": readers.history(tx, opened.id, MAILS),
            "actions": [shown_action(each) for each in log.of_subscriber(tx, opened.id, ACTIONS)],
            "coming": _next_mails(site, tx, opened),
        }


def _next_mails(site: Site, tx: Connection, opened: OpenReader) -> list[dict[str, Any]]:
    """The next mail of each subscription that gets any, the first due first."""
    app = site.app
    usual = app.settings.zone, app.settings.send_at
    served = readers.served(tx, opened.id)
    found = []
    for one in opened.subscriptions:
        if known := served.get(one.id):
            mail = next_mail_of(tx, one, known.joined, known.latest, app.clock(), *usual)
            if mail:
                local = mail.mail.due.astimezone(zone_of(one, app.settings.zone))
                title, zone = site.title_of(one.rubric), one.timezone or app.settings.timezone
                is_due = mail.mail.due <= app.clock()
                row = {"title": title, "local": local, "zone": zone, "is_due": is_due}
                found.append({**row, "mail": mail, "at": mail.mail.due})
    return sorted(found, key=lambda row: row["at"])


def _section(site: Site, one: Subscription, typed: TypedForm) -> dict[str, Any]:
    return {
        "id": one.id,
        "rubric": one.rubric,
        "title": site.title_of(one.rubric),
        "state": one.state.value,
        "is_live": bool(live([one])),
        "cadence": days_in_words(one.days),
        "format": one.format.value,
        "max_papers": one.max_papers,
        "since": one.since,
        "consent": one.consent,
        "chosen": [name for name in PREFERENCES if name in one.chosen],
        "fields": {**_shown(one, OWN_FIELDS), **_typed(typed, one.id)},
        "errors": typed.errors if typed.of == one.id else {},
    }


def _shown(one: Subscription, names: tuple[str, ...]) -> dict[str, str]:
    """The stored values as a form shows them; the default is an empty field."""
    found = {name: getattr(one, name) for name in names}
    return {name: shown(name, value) if value else "" for name, value in found.items()}


def _typed(typed: TypedForm, of: str) -> Mapping[str, str]:
    return typed.fields if typed.of == of else {}
