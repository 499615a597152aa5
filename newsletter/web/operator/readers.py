"""The list of readers: search by address, name, rubric and state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from newsletter.domain.formatting import plural
from newsletter.domain.mail import SubscriberState
from newsletter.operations import readers as operations
from newsletter.rubrics.folder import faults_of, of_operator
from newsletter.store.operator import readers
from newsletter.store.operator.readers import ReaderFilter
from newsletter.web.context import NO_STORE
from newsletter.web.forms import first
from newsletter.web.operator import auth
from newsletter.web.operator.actions import operator_page, outcome, page_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from newsletter.web.context import Site
    from newsletter.web.operator.auth import OperatorSession, SentForm

SHOWN = 50
MAX_TEXT = 200
STATES = [state.value for state in SubscriberState]


def show(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, auth.requested_page(request))
    asked = request.query_params
    wanted = _filter("", asked.get("rubric", ""), asked.get("state", ""))
    with site.app.store.read() as tx:
        done = outcome(tx, request)
    return _list(site, session, wanted, page_number(asked.get("page", "")), done)


def search(site: Site, _request: Request, sent: SentForm) -> Response:
    """A form and not a link: no URL contains an address. It changes nothing."""
    form = sent.fields
    wanted = _filter(*(first(form, name) for name in ("text", "rubric", "state")))
    return _list(site, sent.session, wanted, page_number(first(form, "page")))


def export(site: Site, _request: Request, _sent: SentForm) -> Response:
    """The file of `newsletter subscribers export`."""
    with site.app.store.read() as tx:
        text = operations.export(tx)
    headers = {
        "Content-Disposition": 'attachment; filename="subscribers.csv"',
        "Cache-Control": NO_STORE,
    }
    return Response(text, media_type="text/csv", headers=headers)


def _filter(text: str, rubric: str, state: str) -> ReaderFilter:
    return ReaderFilter(text[:MAX_TEXT].strip(), rubric, state if state in STATES else "")


def _list(
    site: Site,
    session: OperatorSession,
    wanted: ReaderFilter,
    page: int,
    done: Mapping[str, Any] | None = None,
) -> Response:
    with site.app.store.read() as tx:
        number, found = readers.search(tx, wanted, SHOWN, (page - 1) * SHOWN)
    return operator_page(
        site,
        session,
        "operator_readers.html",
        here="/readers",
        title="Readers",
        done=done,
        readers=found,
        titles={slug: site.title_of(slug) for one in found for slug in one.rubrics},
        number=plural(number, "reader"),
        page=page,
        pages=max(1, -(-number // SHOWN)),
        wanted=wanted,
        states=STATES,
        rubrics=rubric_choices(site),
    )


def rubric_choices(site: Site) -> list[tuple[str, str]]:
    """The operator's rubrics as (name, title), also those whose file has a fault now."""
    known = of_operator(site.app.rubrics)
    found = {slug: rubric.title for slug, rubric in known.items()}
    faulty = {slug: f"{slug} (its file has a fault)" for slug in faults_of(known)}
    return sorted((found | faulty).items(), key=lambda one: one[1].casefold())


def known_rubrics(site: Site) -> set[str]:
    return {slug for slug, _ in rubric_choices(site)}
