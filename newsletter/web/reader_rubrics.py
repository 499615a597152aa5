"""Rubrics that readers write: the form, its drafts and versions, pause and deletion.

The token is that of the preferences page, which a forwarded mail hands over. It may draft, pause
and delete; a text counts only after the link that is mailed to the reader's own address
(confirm_rubric.py).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from newsletter.domain.categories import NAMES, category_warnings
from newsletter.domain.reader_rubrics import (
    PausedBy,
    ReaderRubricState,
    VersionState,
    current_text,
    is_reader_rubric,
    mark_of,
)
from newsletter.rubrics.changes import changes, differing_lines
from newsletter.rubrics.file import DEFAULT_SCORING, MAX_TITLE
from newsletter.rubrics.form import (
    MAX_CRITERIA,
    NOVELTY_WORDS,
    RELEVANCE_WORDS,
    FormFault,
    RubricForm,
    faults_of,
    form_of,
    form_of_text,
    markdown,
    read_fields,
    rearranged,
    with_empty_rows,
)
from newsletter.store import reader_rubrics
from newsletter.web import confirm_rubric
from newsletter.web.forms import first
from newsletter.web.rubric_writer import (
    CHANGED,
    TOO_MANY,
    Writer,
    find_writer,
    keep_draft,
    limit_in_words,
    may_create,
    path_of,
    preferences_of,
    redirect,
    rubric_notice,
    seen_in,
    title_of_versions,
    too_many,
    unknown_rubric,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.domain.mail import Subscription
    from newsletter.domain.model import Rubric
    from newsletter.domain.reader_rubrics import ReaderRubric
    from newsletter.web.context import Site
    from newsletter.web.forms import Form

EMPTY_CATEGORIES = 3
"""Empty fields for categories on an empty form; one more than used otherwise."""
LABELS = {
    "title": "Title",
    "categories": "Categories",
    "criteria": "Criteria",
    "preface": "Text for all criteria",
    "relevance": "Relevance",
    "novelty": "Novelty",
    "exclude": "Words to exclude",
    "authors": "Authors",
    "max_papers": "Length",
    "scoring": "Scores",
    "keywords": "Keywords",
}
SAID = {
    "draft": "The draft is kept. Nothing is mailed for it until you save it.",
    "copy": "This is a copy of your own, not saved yet. Its text has the same scores already.",
    "resumed": "Resumed. Its next issue comes as usual.",
    "opened": "The earlier text is in the form below. Save it to make it count again.",
}
"""Messages after a redirect, by the word in the address."""
STALE = (
    f"{CHANGED}, so nothing was saved. Below is what your text would change of it; your text is in "
    "the form. Save again to put it in place of the other."
)
DELETED = (
    "You have no such rubric: it was deleted, perhaps in another window. What you typed is in the "
    "form below. Save it to make it a new rubric."
)


class TextDifference(NamedTuple):
    """How what was typed differs from the text at the page `stored`: in words, and by lines."""

    stored: str
    changes: list[str]
    lines: list[tuple[str, str]]


def show_new(site: Site, request: Request) -> Response:
    """An empty form, and the topics that may be copied."""
    writer = find_writer(site, request)
    if writer is None:
        return site.unknown_link()
    if not may_create(site, writer):
        return too_many(site, writer)
    return form_page(site, writer, RubricForm())


def write_new(site: Site, request: Request, form: Form) -> Response:
    """The first buttons of a new rubric: copy a topic, or what `write` does."""
    writer = find_writer(site, request)
    if writer is None:
        return site.unknown_link()
    action, _, slug = first(form, "action").partition("-")
    try:
        if action == "copy":
            return _copy(site, writer, slug or first(form, "rubric"))
        return _write(site, writer, "", form)
    except reader_rubrics.ReaderErased:
        return site.unknown_link()


def show(site: Site, request: Request) -> Response:
    writer, slug = find_writer(site, request), request.path_params["slug"]
    if writer is None:
        return site.unknown_link()
    if writer.rubric(slug) is None:
        return unknown_rubric(site, writer)
    with site.app.store.read() as tx:
        versions = reader_rubrics.versions(tx, slug)
    said = SAID.get(request.query_params.get("said", ""), "")
    return form_page(site, writer, form_of_text(current_text(versions)), slug=slug, message=said)


def write(site: Site, request: Request, form: Form) -> Response:
    """Do what a button of the form says. An unknown button checks the form."""
    writer, slug = find_writer(site, request), request.path_params["slug"]
    if writer is None:
        return site.unknown_link()
    if writer.rubric(slug) is None:
        return _deleted(site, writer, form)
    action = first(form, "action")
    if action in ("pause", "resume"):
        return _pause(site, writer, slug, pause=action == "pause")
    if action.startswith("open-"):
        return _open_version(site, writer, slug, action.removeprefix("open-"))
    return _write(site, writer, slug, form)


def _write(site: Site, writer: Writer, slug: str, form: Form) -> Response:
    """Rearrange, check, keep, preview or save the entered form; an empty slug is a new rubric."""
    action = first(form, "action")
    entered = replace(read_fields(form), public=False)
    page = partial(form_page, site, writer, slug=slug, seen=seen_in(form))
    if action == "categories" or action.partition("-")[0] in ("add", "up", "down", "remove"):
        more = EMPTY_CATEGORIES if action == "categories" else 0
        return page(rearranged(entered, action), more=more)
    faults = faults_of(entered)
    if action not in ("draft", "preview", "save"):
        message = "" if faults else "No problem was found. Save it, or look at the preview first."
        return page(entered, faults=faults, message=message)
    if any(not one.missing or action != "draft" for one in faults):
        return page(entered, faults=faults)
    kept = _keep_entered(site, writer, slug, entered, form)
    if not isinstance(kept, str):
        return kept
    if action == "save":
        return confirm_rubric.mail_link(site, writer, kept)
    return redirect(site, writer, kept, "/preview" if action == "preview" else "?said=draft")


def _keep_entered(
    site: Site, writer: Writer, slug: str, entered: RubricForm, form: Form
) -> str | Response:
    """Store the entered text as a draft; return its slug, or a page with the text and why not."""
    seen = seen_in(form)
    try:
        kept = _keep(site, writer, slug, markdown(entered), seen)
    except reader_rubrics.TextChanged as changed:
        return _stale(site, writer, entered, slug, changed)
    if kept is None and slug:
        return _deleted(site, writer, form)
    if kept is None:
        message = (
            f"{TOO_MANY}, so nothing was saved. {limit_in_words(site)} What you typed is in the "
            "form below: delete another rubric in another window, and save again."
        )
        return form_page(site, writer, entered, seen=seen, message=message, status=409)
    return kept


def _keep(site: Site, writer: Writer, slug: str, text: str, seen: str | None = None) -> str | None:
    """Store the draft and return its slug; None for a deleted rubric, or one too many."""
    with site.app.store.begin() as tx:
        return keep_draft(tx, site, writer, slug, text, seen)


def _stale(
    site: Site,
    writer: Writer,
    entered: RubricForm,
    slug: str,
    changed: reader_rubrics.TextChanged,
) -> Response:
    """Both texts: what was typed in the form, and how it differs from what is stored."""
    text = markdown(entered)
    difference = TextDifference(
        path_of(site, writer, changed.slug),
        changes(form_of_text(changed.text), entered),
        differing_lines(changed.text, text),
    )
    return form_page(
        site,
        writer,
        entered,
        slug=slug,
        seen=mark_of(changed.text),
        status=409,
        message=STALE,
        difference=difference,
    )


def _deleted(site: Site, writer: Writer, form: Form) -> Response:
    """What was typed, as a new rubric; without a text, the page for an unknown rubric."""
    entered = replace(read_fields(form), public=False)
    if not entered.title and all(one.is_empty for one in entered.criteria):
        return unknown_rubric(site, writer)
    return form_page(site, writer, entered, status=404, message=DELETED)


def _copy(site: Site, writer: Writer, source: str) -> Response:
    """A draft with the text of a topic, whose scores it shares as long as they are the same."""
    rubric = next((one for one in copyable(site, writer) if one.slug == source), None)
    if rubric is None:
        return form_page(site, writer, RubricForm(), message="Choose the topic to copy.")
    title = f"{rubric.title[: MAX_TITLE - 12]} (my copy)"
    copied = replace(form_of(rubric), title=title, public=False)
    kept = _keep(site, writer, "", markdown(copied))
    return redirect(site, writer, kept, "?said=copy") if kept else too_many(site, writer)


def copyable(site: Site, writer: Writer) -> list[Rubric]:
    """The operator's rubrics that the reader follows, then the other public ones."""
    followed = [site.app.rubrics[slug] for slug in writer.followed if slug in site.app.rubrics]
    found = {one.slug: one for one in (*followed, *site.public_rubrics)}
    return [one for one in found.values() if not is_reader_rubric(one.slug)]


def _pause(site: Site, writer: Writer, slug: str, *, pause: bool) -> Response:
    change = reader_rubrics.pause if pause else reader_rubrics.resume
    with site.app.store.begin() as tx:
        change(tx, slug, PausedBy.READER, site.app.clock())
    return redirect(site, writer, slug, "" if pause else "?said=resumed")


def _open_version(site: Site, writer: Writer, slug: str, number: str) -> Response:
    """Put the text of an earlier version into the form, as a draft."""
    with site.app.store.begin() as tx:
        versions = reader_rubrics.versions(tx, slug)
        text = next((one.text for one in versions if str(one.version) == number), None)
        now = site.app.clock()
        if text is None or not reader_rubrics.save_draft(tx, slug, text, now, keep=True):
            return unknown_rubric(site, writer)
    return redirect(site, writer, slug, "?said=opened")


def show_delete(site: Site, request: Request) -> Response:
    """A page with a button. Opening it deletes nothing."""
    writer, slug = find_writer(site, request), request.path_params["slug"]
    if writer is None:
        return site.unknown_link()
    rubric = writer.rubric(slug)
    if rubric is None:
        return unknown_rubric(site, writer)
    with site.app.store.read() as tx:
        title = title_of_versions(reader_rubrics.versions(tx, slug))
    return site.page(
        "rubric_delete.html",
        title="Delete your rubric",
        rubric_title=title,
        draft=rubric.state is ReaderRubricState.DRAFT,
        back=path_of(site, writer, slug),
    )


def delete(site: Site, request: Request, _form: Form) -> Response:
    writer, slug = find_writer(site, request), request.path_params["slug"]
    if writer is None:
        return site.unknown_link()
    if writer.rubric(slug) is None:
        return unknown_rubric(site, writer)
    with site.app.store.begin() as tx:
        title = title_of_versions(reader_rubrics.versions(tx, slug))
        reader_rubrics.delete(tx, slug, site.app.clock())
    return rubric_notice(
        site, writer, "Your rubric was deleted", f"“{title}” and all its versions are deleted."
    )


def form_page(
    site: Site,
    writer: Writer,
    form: RubricForm,
    *,
    slug: str = "",
    faults: Sequence[FormFault] = (),
    message: str = "",
    more: int = 0,
    seen: str | None = None,
    status: int = 200,
    difference: TextDifference | None = None,
) -> Response:
    """The form with these values. `more` adds empty fields for categories.
    `seen` is the mark of the text that it was opened with; None: it is opened now.
    """
    draft = next((one.slug for one in writer.rubrics if one.active_version is None), "")
    with site.app.store.read() as tx:
        opened = reader_rubrics.versions(tx, slug or draft)
    versions = opened if slug else []
    return site.page(
        "rubric_form.html",
        status=422 if faults else status,
        seen=mark_of(current_text(opened)) if seen is None else seen,
        difference=difference,
        title="Your rubric" if slug else "Write a rubric of your own",
        **field_values(site, form, faults, more),
        message=message,
        rubric=writer.rubric(slug),
        waiting=any(one.state is VersionState.WAITING for one in versions),
        versions=versions,
        here=path_of(site, writer, slug or "new"),
        start=path_of(site, writer, "start"),
        copies=[] if slug else copyable(site, writer),
        other_draft=path_of(site, writer, draft) if draft and not slug else "",
        budget=site.app.settings.reader_rubric_budget_usd,
        preferences=preferences_of(site, writer),
    )


def field_values(
    site: Site, form: RubricForm, faults: Sequence[FormFault], more: int = 0
) -> dict[str, Any]:
    """What `rubric_fields.html` needs, and a summary of the faults. `more` as of `form_page`."""
    empty = more or max(1, EMPTY_CATEGORIES - len(form.categories))
    return {
        "form": with_empty_rows(form),
        "category_fields": [*form.categories, *[""] * empty],
        "faults": {one.field: one.message for one in faults},
        "summary": [(one.field, _label(one.field), one.message) for one in faults],
        "category_warnings": category_warnings(form.categories),
        "names": NAMES,
        "relevance_words": RELEVANCE_WORDS,
        "novelty_words": NOVELTY_WORDS,
        "max_title": MAX_TITLE,
        "max_criteria": MAX_CRITERIA,
        "usual_scoring": DEFAULT_SCORING,
        "judged": site.app.scorer.judges,
    }


def state_in_words(rubric: ReaderRubric) -> str:
    """`in use`, `a draft, not saved`, `paused by the operator: it costs too much`"""
    if rubric.state is ReaderRubricState.DRAFT:
        return "a draft, not saved"
    if PausedBy.OPERATOR in rubric.paused_by:
        reason = f": {rubric.reason}" if rubric.reason else ""
        return f"paused by the operator{reason}"
    return "paused" if rubric.paused_by else "in use"


def preferences_section(site: Site, known: Subscription, followed: Sequence[str]) -> dict[str, Any]:
    """What `reader_rubrics_section.html` shows on the preferences page; `on` is False if off."""
    limit = site.app.settings.reader_rubrics
    with site.app.store.read() as tx:
        mine = reader_rubrics.of_reader(tx, known.subscriber_id) if limit else []
        titles = {
            one.slug: title_of_versions(reader_rubrics.versions(tx, one.slug)) for one in mine
        }
    writer = Writer(known, tuple(followed), mine)
    rows = [
        {
            "slug": one.slug,
            "title": titles[one.slug],
            "state": state_in_words(one),
            "url": path_of(site, writer, one.slug),
        }
        for one in mine
    ]
    return {
        "on": bool(limit and followed),
        "rows": rows,
        "by_slug": {row["slug"]: row for row in rows},
        "left": max(0, limit - len(mine)),
        "limit": limit,
        "new": path_of(site, writer, "new"),
        "start": path_of(site, writer, "start"),
        "copies": [one for one in copyable(site, writer) if one.slug in followed],
    }


def _label(field: str) -> str:
    name, _, number = field.partition("-")
    return LABELS.get(name, f"Criterion {number}")
