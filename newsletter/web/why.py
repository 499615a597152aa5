"""The page that says what became of a paper in a reader's rubrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.domain.links import TEST_READER, Purpose
from newsletter.inbound import why
from newsletter.render.why import view_of
from newsletter.web.forms import first

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.context import Site
    from newsletter.web.forms import Form

MAX_QUESTION = 300


def show(site: Site, request: Request) -> Response:
    """The answer from what is stored. Opening the page asks nobody and counts nothing."""
    return _answer(site, request, request.query_params.get("paper", ""), ask_source=False)


def look_up(site: Site, request: Request, form: Form) -> Response:
    """The same; a paper that is not stored is looked up at its source."""
    return _answer(site, request, first(form, "paper"), ask_source=True)


def _answer(site: Site, request: Request, text: str, *, ask_source: bool) -> Response:
    token = request.path_params["token"]
    subscription_id = site.app.links.read(Purpose.WHY, token)
    if subscription_id == TEST_READER:
        return site.notice(
            "This link belongs to a test email",
            "It belongs to no subscriber, so there is no answer.",
        )
    text = " ".join(text.split())[:MAX_QUESTION]
    answer = (
        why.answer_reader(site.app, subscription_id, text, ask_source=ask_source)
        if subscription_id
        else None
    )
    if subscription_id is None or answer is None:
        return site.unknown_link()
    links = site.app.links
    view = view_of(answer, lambda rubric, day: site.local_path(links.issue_url(rubric, day)))
    here = site.local_path(links.why_url(subscription_id))
    return site.page("why.html", title="Why, or why not?", asked=text, view=view, here=here)
