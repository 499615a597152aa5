"""The editor of rubric files: the form that readers have, or the text; replay before saving.

A file is replaced only if it is still the one that the form was opened with: its hash is in the
form's stamp. Otherwise the page shows what differs, and keeps what was typed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.exceptions import HTTPException

from newsletter import process
from newsletter.errors import OperatorError
from newsletter.rubrics.changes import differing_lines
from newsletter.rubrics.file import MAX_CHARACTERS, RubricError, parse
from newsletter.rubrics.form import (
    RubricForm,
    faults_of,
    form_of_text,
    markdown,
    read_fields,
    rearranged,
)
from newsletter.rubrics.save import RubricText, is_file_name, read_text, write_problem
from newsletter.store import leases
from newsletter.store.operator.actions import ActionKind
from newsletter.web.forms import first
from newsletter.web.operator import auth, rubric_draft
from newsletter.web.operator.actions import (
    Change,
    folder_of,
    operator_page,
    perform,
    refusal,
    stamp,
)
from newsletter.web.operator.rubric_draft import DraftRequest
from newsletter.web.operator.rubrics import replayed, requested_slug
from newsletter.web.reader_rubrics import field_values

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.rubrics.form import FormFault
    from newsletter.web.context import Site
    from newsletter.web.forms import Form
    from newsletter.web.operator.auth import OperatorSession, SentForm

NEW = "new-rubric"
NO_FILE = RubricText()
RECENT = timedelta(minutes=10)
"""Since its last heartbeat: a process that counts as running."""
CHANGED = (
    "The file was changed after you opened it, so nothing was saved. Below is what your text would "
    "change now. Save again to put it in place of the other, or open the page anew to drop yours."
)
DELETED = (
    "The file was deleted after you opened it, so nothing was saved. Save again to write it anew."
)
NO_FAULT = "No fault was found. Nothing is saved yet."
SAME = "The file has this text already. Nothing was changed."
NAME_FAULT = "Use a-z, 0-9 and '-', at most 64 characters; names that begin with 'own-' are taken."
NAME_TAKEN = "There is a rubric of this name already."
STARTING_TEXT = """---
title: ""
categories: []
relevance: 7
novelty: 7
---

## Criteria

1. **A subject in a few words**
   - Relevant: what a paper must do
   - Irrelevant: what would come along
"""


class Entered(NamedTuple):
    """The fields of an editor. `form` is None where the text is edited.

    `stamp` is of the file as it was when the editor was opened. An empty slug is a new rubric.
    """

    slug: str
    text: str
    stamp: str
    form: RubricForm | None = None
    form_faults: Sequence[FormFault] = ()
    text_faults: Sequence[str] = ()

    @property
    def faults(self) -> bool:
        return bool(self.form_faults or self.text_faults)

    @property
    def path(self) -> str:
        return f"/rubrics/{self.slug}/edit" if self.slug else f"/{NEW}"


class EditorAnswer(NamedTuple):
    """What the page says about what was entered."""

    message: str = ""
    status: int = 200
    diff: Sequence[tuple[str, str]] = ()
    replay: dict[str, Any] | None = None
    name: str = ""
    name_fault: str = ""
    more: int = 0
    draft: DraftRequest = DraftRequest()


def show(site: Site, request: Request) -> Response:
    """The form; for a file that it cannot hold, the text."""
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    slug = requested_slug(site, request)
    try:
        now = read_text(_folder(site), slug)
    except OperatorError as error:
        return refusal(site, session, f"/rubrics/{slug}", str(error))
    as_text = request.query_params.get("as") == "text" or bool(_faults(slug, now.text))
    form = None if as_text else form_of_text(now.text)
    faults = _faults(slug, now.text) if as_text else ()
    entered = Entered(slug, now.text, stamp(now.state), form, text_faults=faults)
    return _page(site, session, entered, EditorAnswer())


def show_new(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    _folder(site)
    form = None if request.query_params.get("as") == "text" else RubricForm()
    return _page(
        site, session, Entered("", STARTING_TEXT, stamp(NO_FILE.state), form), EditorAnswer()
    )


def write(site: Site, request: Request, sent: SentForm) -> Response:
    """Do what a button of the editor says. An unknown button checks the text."""
    # Not `requested_slug`: the file may have been deleted while it was edited.
    slug = request.path_params["rubric"]
    if not is_file_name(slug):
        raise HTTPException(404)
    try:
        return _write(site, sent, slug)
    except OperatorError as error:
        return refusal(site, sent.session, f"/rubrics/{slug}", str(error))


def write_new(site: Site, _request: Request, sent: SentForm) -> Response:
    return _write(site, sent, "")


def _write(site: Site, sent: SentForm, slug: str) -> Response:
    _folder(site)
    form, session = sent.fields, sent.session
    action, name = first(form, "action"), first(form, "name")
    if not slug and rubric_draft.is_asked(form):
        return _draft(site, sent)
    entered = _entered(slug, form)
    if entered.form and (
        action == "categories" or action.partition("-")[0] in ("add", "up", "down", "remove")
    ):
        moved = entered._replace(form=rearranged(entered.form, action), form_faults=())
        return _page(
            site, session, moved, EditorAnswer(name=name, more=3 * (action == "categories"))
        )
    name_fault = "" if slug else _name_fault(site, name)
    if entered.faults or (name_fault and action == "save"):
        return _page(
            site, session, entered, EditorAnswer("", 422, name=name, name_fault=name_fault)
        )
    if action == "preview":
        rubric = parse(entered.text, slug or "new", "text")
        return _page(
            site, session, entered, EditorAnswer(name=name, replay=replayed(site, rubric, [slug]))
        )
    if action != "save":
        return _page(site, session, entered, EditorAnswer(NO_FAULT, name=name))
    return _save(site, sent, entered, slug or name)


def _draft(site: Site, sent: SentForm) -> Response:
    """The form of a new rubric, filled by a draft."""
    made = rubric_draft.draft(site, sent.fields)
    name, status = first(sent.fields, "name"), 422 if made.request.errors else 200
    text = made.text or STARTING_TEXT
    form = form_of_text(text) if made.text else RubricForm()
    entered = Entered("", text, stamp(NO_FILE.state), form)
    answer = EditorAnswer(made.message, status, name=name, draft=made.request)
    return _page(site, sent.session, entered, answer)


def _save(site: Site, sent: SentForm, entered: Entered, slug: str) -> Response:
    folder, session = _folder(site), sent.session
    if problem := write_problem(folder):
        return _page(site, session, entered, EditorAnswer(f"Nothing was saved. {problem}", 409))
    now = read_text(folder, slug)
    if now.text == entered.text and stamp(now.state) == entered.stamp:
        return _page(site, session, entered, EditorAnswer(SAME))

    def changed_page(now: Any, last: str) -> Response:  # noqa: ANN401 - a state as stored
        mine = entered._replace(stamp=stamp(now))
        answer = EditorAnswer(
            f"{CHANGED if now['hash'] else DELETED} {last}".strip(),
            409,
            differing_lines(now["text"], entered.text),
        )
        return _page(site, session, mine, answer)

    change = Change(
        ActionKind.SAVE_RUBRIC,
        slug,
        lambda _tx: read_text(folder, slug).state,
        lambda _tx, _now: None,
        f"/rubrics/{slug}",
        changed_page=changed_page,
        writes=RubricText.of(entered.text),
    )
    return perform(site, sent, change)


def _entered(slug: str, form: Form) -> Entered:
    """The text that was entered, with its faults."""
    seen = first(form, "stamp")
    if first(form, "as") == "text":
        text = next(iter(form.get("text", ())), "").replace("\r\n", "\n").rstrip() + "\n"
        return Entered(slug, text, seen, text_faults=_faults(slug, text))
    fields = read_fields(form)
    return Entered(slug, markdown(fields), seen, fields, faults_of(fields))


def _faults(slug: str, text: str) -> tuple[str, ...]:
    try:
        parse(text, slug or "new", "text")
    except RubricError as error:
        return error.faults
    return ()


def _name_fault(site: Site, name: str) -> str:
    if not is_file_name(name):
        return NAME_FAULT
    return NAME_TAKEN if read_text(_folder(site), name).hash else ""


def _folder(site: Site) -> Path:
    """Raises HTTPException 404 where the rubrics come from no folder."""
    folder = folder_of(site)
    if folder is None:
        raise HTTPException(404)
    return folder


def _page(site: Site, session: OperatorSession, entered: Entered, answer: EditorAnswer) -> Response:
    with site.app.store.read() as tx:
        machines = other_machines(tx, site.app.clock())
    title = f"Edit “{site.title_of(entered.slug)}”" if entered.slug else "A new rubric"
    return operator_page(
        site,
        session,
        "operator_rubric_edit.html",
        here="/rubrics",
        status=answer.status,
        title=title,
        entered=entered,
        answer=answer,
        machines=machines,
        not_writable=write_problem(_folder(site)),
        max_characters=MAX_CHARACTERS,
        comments_lost=entered.form is not None and "<!--" in _file_text(site, entered.slug),
        can_be_form=not entered.faults,
        drafting=None if entered.slug else rubric_draft.price(site),
        **_values(site, entered, answer.more),
    )


def _file_text(site: Site, slug: str) -> str:
    return read_text(_folder(site), slug).text if slug else ""


def _values(site: Site, entered: Entered, more: int) -> dict[str, Any]:
    """What the fields of the form need, or the summary of the faults of a text."""
    if entered.form is not None:
        return field_values(site, entered.form, entered.form_faults, more)
    summary = [("text", line, message) for line, message in map(_at_line, entered.text_faults)]
    return {"summary": summary, "judged": site.app.scorer.judges}


def _at_line(fault: str) -> tuple[str, str]:
    """`Line 3` and the message of `file line 3: message`."""
    place, _, message = fault.partition(": ")
    return f"Line {place.rpartition(' ')[2]}", message


def other_machines(tx: Connection, now: datetime) -> list[str]:
    """Hosts other than this one with a process of this service."""
    mine = _host(process.process_id())
    hosts = {_host(one.owner) for one in leases.workers(tx) if one.seen >= now - RECENT}
    return sorted(hosts - {mine})


def _host(owner: str) -> str:
    return owner.partition("/")[0]
