"""The deletion of a rubric file: first a page that says what it ends, then the button's form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from newsletter.errors import OperatorError
from newsletter.operations import rubric_changes
from newsletter.rubrics.save import RubricText, is_file_name, read_text, write_problem
from newsletter.store import digests
from newsletter.store.operator.actions import ActionKind
from newsletter.web.operator import auth
from newsletter.web.operator.actions import (
    Change,
    folder_of,
    operator_page,
    perform,
    refusal,
    stamp,
)
from newsletter.web.operator.rubrics import requested_slug

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.context import Site
    from newsletter.web.operator.auth import SentForm

NOTE = (
    "Its votes, scores and costs stay stored. The log keeps the text: undo writes the same file "
    "again. Where the file comes from a repository or a deployment, delete it there too, or it "
    "comes back."
)


def show(site: Site, request: Request) -> Response:
    """What the deletion ends, and the button. A rubric with readers is refused."""
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    slug, folder = requested_slug(site, request), _folder(site)
    back = f"/rubrics/{slug}"
    try:
        if problem := write_problem(folder):
            return refusal(site, session, back, problem)
        file = read_text(folder, slug)
        with site.app.store.read() as tx:
            rubric_changes.refuse_readers(tx, slug)
            issues = len(digests.dates(tx, slug))
    except OperatorError as refused:
        readers = f"/readers?rubric={slug}"
        return refusal(site, session, readers, str(refused), "Show its readers")
    kept = f"the archive keeps its issues ({issues:,}), and links of old mails work"
    return operator_page(
        site,
        session,
        "operator_confirm.html",
        here="/rubrics",
        title=f"Delete “{site.title_of(slug)}”",
        subject=f"{slug}.md",
        lines=[
            f"the file {slug}.md is deleted, and no digest is made of it any more",
            "nobody reads it: no reader loses anything",
            "it leaves the front page, and nobody can subscribe to it",
            *([kept] if issues else []),
        ],
        note=NOTE,
        button="Delete the file",
        action=f"/rubrics/{slug}/delete",
        fields={},
        consent=False,
        stamp=stamp(file.state),
        back=back,
    )


def delete(site: Site, request: Request, sent: SentForm) -> Response:
    # Not `requested_slug`: the file may have been deleted meanwhile.
    slug, folder = request.path_params["rubric"], _folder(site)
    if not is_file_name(slug):
        raise HTTPException(404)

    def state(_tx: Connection) -> Mapping[str, Any]:
        return read_text(folder, slug).state

    def apply(tx: Connection, _now: datetime) -> None:
        if not read_text(folder, slug).hash:
            message = f"There is no file {slug}.md"
            raise OperatorError(message)
        if problem := write_problem(folder):
            raise OperatorError(problem)
        rubric_changes.refuse_readers(tx, slug)

    change = Change(ActionKind.DELETE_RUBRIC, slug, state, apply, "/rubrics", writes=RubricText())
    return perform(site, sent, change)


def _folder(site: Site) -> Path:
    """Raises HTTPException 404 where the rubrics come from no folder."""
    folder = folder_of(site)
    if folder is None:
        raise HTTPException(404)
    return folder
