"""The reader who writes a rubric of their own, found by a preferences link; pages of few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from newsletter.domain.links import TEST_READER, Purpose
from newsletter.domain.mail import READING
from newsletter.domain.reader_rubrics import VersionState, current_text
from newsletter.rubrics.form import form_of_text
from newsletter.store import reader_rubrics, subscriptions
from newsletter.web.forms import first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.mail import Subscription
    from newsletter.domain.reader_rubrics import ReaderRubric, ReaderRubricVersion
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

UNTITLED = "Untitled draft"
CHANGED = "This text was changed in another window after you opened the page"


class Writer(NamedTuple):
    """A reader with a subscription, by a preferences link, and all rubrics of their own."""

    known: Subscription
    followed: tuple[str, ...]
    rubrics: list[ReaderRubric]

    def rubric(self, slug: str) -> ReaderRubric | None:
        return next((one for one in self.rubrics if one.slug == slug), None)


def find_writer(site: Site, request: Request) -> Writer | None:
    """None for a token of another purpose, of nobody, or of a reader who left or was erased.

    Raises HTTPException 404 where readers may not write rubrics.
    """
    if not site.app.settings.reader_rubrics:
        raise HTTPException(404)
    subscription_id = site.app.links.read(Purpose.PREFERENCES, request.path_params["token"])
    if subscription_id in (None, TEST_READER):
        return None
    with site.app.store.read() as tx:
        known = subscriptions.by_id(tx, subscription_id)
        if known is None or not known.email:
            return None
        found = subscriptions.of_subscriber(tx, known.subscriber_id)
        followed = tuple(one.rubric for one in found if one.state in READING)
        mine = reader_rubrics.of_reader(tx, known.subscriber_id)
    return Writer(known, followed, mine) if followed else None


def keep_draft(
    tx: Connection, site: Site, writer: Writer, slug: str, text: str, seen: str | None = None
) -> str | None:
    """Store the draft and return its slug; None for a deleted rubric, or one too many.

    Raises TextChanged if the form was opened with another text.
    """
    now, limit = site.app.clock(), site.app.settings.reader_rubrics
    if slug:
        return slug if reader_rubrics.save_draft(tx, slug, text, now, seen=seen) else None
    reader_id = writer.known.subscriber_id
    try:
        return reader_rubrics.create(tx, reader_id, text, now, limit=limit, seen=seen)
    except reader_rubrics.TooManyRubrics:
        return None


def seen_in(form: Form) -> str | None:
    """The mark of the text that a form was opened with; None where it has none."""
    return first(form, "seen") if "seen" in form else None


def title_of_versions(versions: Sequence[ReaderRubricVersion]) -> str:
    """The title in use; of a rubric that was never confirmed, that of its draft."""
    active = next((one.text for one in versions if one.state is VersionState.ACTIVE), "")
    return form_of_text(active or current_text(versions)).title or UNTITLED


def may_create(site: Site, writer: Writer) -> bool:
    """Whether the reader has an unsaved draft, or fewer rubrics than are allowed."""
    drafts = any(one.active_version is None for one in writer.rubrics)
    return drafts or len(writer.rubrics) < site.app.settings.reader_rubrics


def path_of(site: Site, writer: Writer, slug: str) -> str:
    return site.local_path(site.app.links.reader_rubric_url(writer.known.id, slug))


def redirect(site: Site, writer: Writer, slug: str, end: str = "") -> Response:
    return RedirectResponse(path_of(site, writer, slug) + end, 303)


def rubric_notice(
    site: Site, writer: Writer, title: str, *lines: str, status: int = 200, back: str = ""
) -> Response:
    """A page with a few sentences, and links to the reader's preferences and to `back`."""
    return site.page(
        "rubric_notice.html",
        status=status,
        title=title,
        lines=lines,
        back=back,
        preferences=preferences_of(site, writer),
    )


def unknown_rubric(site: Site, writer: Writer) -> Response:
    """The same page for a deleted rubric and for one of another reader."""
    line = "Nothing was changed. It was deleted, or the link was copied incompletely."
    return rubric_notice(site, writer, "You have no such rubric", line, status=404)


TOO_MANY = "You have as many rubrics as you may"


def too_many(site: Site, writer: Writer) -> Response:
    line = f"{limit_in_words(site)} Change one of yours, or delete it first."
    return rubric_notice(site, writer, TOO_MANY, line, status=409)


def limit_in_words(site: Site) -> str:
    return f"A reader may have {site.app.settings.reader_rubrics} of their own here."


def preferences_of(site: Site, writer: Writer) -> str:
    return site.local_path(site.app.links.preferences_url(writer.known.id))
