"""Saving a reader's own rubric: a fresh link is mailed to the reader's address, its page confirms.

The link names reader, rubric and version, and works for two hours. Opening it changes nothing.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from newsletter.delivery.message import notification
from newsletter.domain.links import RubricVersion
from newsletter.domain.reader_rubrics import Confirmation, ReaderRubricVersion, VersionState
from newsletter.domain.send_times import zone_of
from newsletter.mailers import SendError, SendFailure
from newsletter.rubrics.changes import changes, description
from newsletter.rubrics.file import RubricError, parse
from newsletter.rubrics.form import RubricForm, form_of_text, markdown
from newsletter.store import rate_limits, reader_rubrics
from newsletter.web.rubric_writer import (
    Writer,
    find_writer,
    path_of,
    rubric_notice,
    unknown_rubric,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.mail import Email
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

log = logging.getLogger(__name__)

VALID = timedelta(hours=2)
AGAIN = timedelta(minutes=1)
"""After a mail was asked for: a button pressed again before mails no second one."""
MAX_MAILS = 10
"""To one reader on one day: anyone with a forwarded digest can ask for them."""


class Proposal(NamedTuple):
    """A version that waits, and the text in use that it replaces; empty for the first one."""

    version: int
    text: str
    active_text: str

    @property
    def form(self) -> RubricForm:
        return form_of_text(self.text)

    @property
    def before(self) -> str:
        """The title of the text in use."""
        return form_of_text(self.active_text).title if self.active_text else ""

    @property
    def lines(self) -> list[str]:
        """What the version says, or how it differs from the text in use."""
        if not self.active_text:
            return description(self.form)
        return changes(form_of_text(self.active_text), self.form) or ["The text is the same."]

    @property
    def rescored(self) -> bool:
        """Whether the model reads another text than before."""
        return _fingerprint(self.text) != _fingerprint(self.active_text)


def mail_link(site: Site, writer: Writer, slug: str) -> Response:
    """Submit the draft and mail the link that makes it count."""
    now = site.app.clock()
    person = writer.known
    with site.app.store.begin() as tx:
        versions = reader_rubrics.locked_versions(tx, slug)
        if _is_in_use(versions):
            return _nothing_new(site, writer, slug)
        if _is_on_its_way(versions, now):
            return _check_inbox(site, writer, slug)
        if not rate_limits.take_rubric_mail(tx, person.subscriber_id, now.date(), MAX_MAILS):
            return _too_many_mails(site, writer)
        version = reader_rubrics.submit(tx, slug, now)
        proposal = _proposal(reader_rubrics.versions(tx, slug), version)
    if proposal is None:
        return unknown_rubric(site, writer)
    try:
        site.app.mailer.send(_mail(site, writer, slug, proposal))
    except SendError as error:
        log.warning("the link that confirms a rubric was not sent: %s", error)
        unknown = error.failure is SendFailure.UNKNOWN
        if not unknown and _newest(versions) is VersionState.DRAFT:
            with site.app.store.begin() as tx:
                reader_rubrics.withdraw(tx, slug, proposal.version)
        return _not_sent(site, writer, unknown=unknown)
    return _check_inbox(site, writer, slug)


def _check_inbox(site: Site, writer: Writer, slug: str) -> Response:
    return rubric_notice(
        site,
        writer,
        "Check your inbox",
        f"A link is on its way to {writer.known.email}. Open it and press the button: only then "
        "does this text count. It works for 2 hours. If nothing arrives within a few minutes, "
        "save again.",
        "Why a mail? Whoever gets a digest that you forward can open your rubric's page; only you "
        "can open your mail.",
        back=path_of(site, writer, slug),
    )


def _newest(versions: Sequence[ReaderRubricVersion]) -> VersionState | None:
    return versions[0].state if versions else None


def _is_on_its_way(versions: Sequence[ReaderRubricVersion], now: datetime) -> bool:
    """Whether the link of the newest text was asked for just now: Save was pressed twice."""
    waits = _newest(versions) is VersionState.WAITING
    return waits and versions[0].saved_at > now - AGAIN


def _is_in_use(versions: Sequence[ReaderRubricVersion]) -> bool:
    """Whether the draft says what the text in use says, and no other text waits."""
    texts = {one.state: one.text for one in versions if one.state is not VersionState.OLD}
    active = texts.get(VersionState.ACTIVE)
    if not active or VersionState.WAITING in texts:
        return False
    draft = texts.get(VersionState.DRAFT, active)
    return markdown(form_of_text(draft)) == markdown(form_of_text(active))


def _nothing_new(site: Site, writer: Writer, slug: str) -> Response:
    line = "The form says what the rubric says already. No mail was sent."
    back = path_of(site, writer, slug)
    return rubric_notice(site, writer, "This text is in use already", line, back=back)


def _mail(site: Site, writer: Writer, slug: str, proposal: Proposal) -> Email:
    app, person = site.app, writer.known
    until, zone = app.clock() + VALID, zone_of(person, app.settings.zone)
    saved = RubricVersion(person.subscriber_id, slug, proposal.version, until)
    subject, html, text = app.renderer.mail(
        "confirm-rubric",
        title=proposal.form.title,
        before=proposal.before,
        lines=proposal.lines,
        until=f"{until.astimezone(zone):%H:%M} ({zone.key})",
        confirm_url=app.links.confirm_rubric_url(person.id, saved),
        preferences_url=app.links.preferences_url(person.id),
    )
    return notification(
        to_email=person.email,
        to_name=person.name,
        subject=subject,
        html=html,
        text=text,
        mail_id=uuid4().hex,
        sender=app.sender,
        now=app.clock(),
    )


def show(site: Site, request: Request) -> Response:
    """What will change, and a button. Opening it, as link scanners do, changes nothing."""
    writer = find_writer(site, request)
    if writer is None:
        return site.unknown_link()
    named = _named(site, request, writer)
    if not isinstance(named, RubricVersion):
        return named
    with site.app.store.read() as tx:
        versions = reader_rubrics.versions(tx, named.slug)
    states = {one.version: one.state for one in versions}
    if states.get(named.version) is VersionState.ACTIVE:
        return _done(site, writer, named.slug, Confirmation.REPEATED)
    proposal = _proposal(versions, named.version)
    if proposal is None:
        return _done(site, writer, named.slug, Confirmation.REPLACED)
    return site.page(
        "rubric_confirm.html",
        title="Save your rubric",
        rubric_title=proposal.form.title,
        first=not proposal.active_text,
        lines=proposal.lines,
        rescored=proposal.rescored,
        judged=site.app.scorer.judges,
        back=path_of(site, writer, named.slug),
    )


def confirm(site: Site, request: Request, _form: Form) -> Response:
    """The button of the mailed link. Pressed again, the same page."""
    writer = find_writer(site, request)
    if writer is None:
        return site.unknown_link()
    named = _named(site, request, writer)
    if not isinstance(named, RubricVersion):
        return named
    with site.app.store.begin() as tx:
        done = reader_rubrics.confirm(tx, named.slug, named.version, site.app.clock())
    return _done(site, writer, named.slug, done)


def _named(site: Site, request: Request, writer: Writer) -> RubricVersion | Response:
    """The version that the link names; a page where it names none, is another's or too old."""
    slug, mark = request.path_params["slug"], request.path_params["mark"]
    named = site.app.links.read_rubric_mark(writer.known.subscriber_id, slug, mark)
    if named is None:
        return site.unknown_link()
    if writer.rubric(slug) is None:
        return unknown_rubric(site, writer)
    if site.app.clock() > named.until:
        line = "It worked for 2 hours. Nothing was changed. Open your rubric and save it again."
        return rubric_notice(
            site, writer, "This link is too old", line, status=410, back=path_of(site, writer, slug)
        )
    return named


def _done(site: Site, writer: Writer, slug: str, done: Confirmation) -> Response:
    back = path_of(site, writer, slug)
    if done is Confirmation.GONE:
        return unknown_rubric(site, writer)
    if done is Confirmation.REPLACED:
        line = "Nothing was changed by this link. Open the newest mail, or look at your rubric."
        return rubric_notice(site, writer, "A newer text was saved since", line, back=back)
    line = {
        Confirmation.FIRST: "You get it from its next issue on, beside your other digests. "
        "Change its days, length and format, or leave another digest, on your preferences page.",
        Confirmation.CHANGED: "The new text counts from the next issue on.",
        Confirmation.REPEATED: "It was saved before. Nothing more was changed.",
    }[done]
    return rubric_notice(site, writer, "Your rubric is saved", line, back=back)


def _proposal(versions: Sequence[ReaderRubricVersion], number: int | None) -> Proposal | None:
    waits = next((one for one in versions if one.version == number), None)
    if waits is None or waits.state is not VersionState.WAITING:
        return None
    active = next((one.text for one in versions if one.state is VersionState.ACTIVE), "")
    return Proposal(waits.version, waits.text, active)


def _fingerprint(text: str) -> str:
    try:
        return parse(text, "version", "version").fingerprint
    except RubricError:
        return ""


def _too_many_mails(site: Site, writer: Writer) -> Response:
    response = rubric_notice(
        site,
        writer,
        "Too many mails for today",
        f"{MAX_MAILS} links were mailed to you today, which is the limit. Your text is kept as a "
        "draft. Open the newest mail, or save it again tomorrow.",
        status=429,
    )
    response.headers["Retry-After"] = "3600"
    return response


def _not_sent(site: Site, writer: Writer, *, unknown: bool) -> Response:
    line = "It may have been sent. If nothing arrives within a few minutes, save it again."
    if not unknown:
        line = "The mail could not be sent. Please save it again in a few minutes."
    return rubric_notice(
        site, writer, "Your text is kept, but not saved yet", line, status=200 if unknown else 503
    )
