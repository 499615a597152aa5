"""The Starlette application: all routes, middleware and error handlers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from newsletter.rubrics.folder import reread
from newsletter.store import StoreError, search
from newsletter.web import (
    archive,
    confirm_rubric,
    errors,
    health,
    home,
    metrics,
    papers,
    preferences,
    reader_rubrics,
    reading_list,
    rubric_preview,
    rubric_starts,
    signup,
    unsubscribe,
    votes,
    votes_given,
    webhooks,
    why,
)
from newsletter.web.context import RubricDeleted
from newsletter.web.forms import with_form, with_large_form, with_upload
from newsletter.web.middleware import PathsWithoutNul, SecurityHeaders, TrustedProxies
from newsletter.web.operator import (
    auth,
    doctor,
    log,
    next_run,
    page,
    preview,
    reader,
    reader_add,
    reader_forms,
    reader_import,
    readers,
    review,
    rubric_delete,
    rubric_editor,
    rubrics,
    rubrics_of_readers,
    send_test,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from newsletter.web.context import Site
    from newsletter.web.operator.auth import SentForm


PAPER = "/papers/{id:path}"
PAGES = {
    "/": home.show,
    "/style.css": home.style,
    "/robots.txt": home.robots,
    "/subscribe": home.redirect_to_form,
    "/search": archive.search_all,
    "/search.{kind}": papers.download_search,
    "/papers": papers.find_paper,
    PAPER: papers.show_paper,
    "/archive/{rubric}/": archive.show_days,
    "/archive/{rubric}/feed.xml": archive.feed,
    "/archive/{rubric}/search": archive.search_rubric,
    "/archive/{rubric}/search.{kind}": papers.download_search,
    "/archive/{rubric}/{when}.{kind}": papers.download_period,
    "/archive/{rubric}/{when}/": archive.show_issue_or_month,
    "/confirm/{token}": signup.show_confirm,
    "/unsubscribe/{token}": unsubscribe.show_unsubscribe,
    "/preferences/{token}": preferences.show,
    "/preferences/{token}/votes": votes_given.show,
    "/vote/{token}": votes.show,
    "/reading-list/{token}": reading_list.show,
    "/reading-list/{token}/papers.bib": reading_list.bibtex,
    "/reading-list/{token}/feed.xml": reading_list.feed,
    "/why/{token}": why.show,
    "/rubrics/{token}/new": reader_rubrics.show_new,
    "/rubrics/{token}/start": rubric_starts.show_start,
    "/rubrics/{token}/rate": rubric_starts.show_rating,
    "/rubrics/{token}/{slug}": reader_rubrics.show,
    "/rubrics/{token}/{slug}/preview": rubric_preview.show,
    "/rubrics/{token}/{slug}/delete": reader_rubrics.show_delete,
    "/rubrics/{token}/{slug}/confirm/{mark}": confirm_rubric.show,
    "/operator": page.show,
    "/operator/preview/{rubric}": preview.show,
    "/operator/review": review.show,
    "/operator/next-run": next_run.show,
    "/operator/test-mail": send_test.show,
    "/operator/doctor": doctor.show,
    "/operator/readers": readers.show,
    "/operator/readers/new": reader_add.show,
    "/operator/readers/import": reader_import.show,
    "/operator/readers/{id}": reader.show,
    "/operator/readers/{id}/remove": reader_forms.ask_remove,
    "/operator/readers/{id}/restore": reader_forms.ask_restore,
    "/operator/rubrics": rubrics.show_list,
    "/operator/rubrics/{rubric}": rubrics.show,
    "/operator/rubrics/{rubric}/edit": rubric_editor.show,
    "/operator/rubrics/{rubric}/delete": rubric_delete.show,
    "/operator/new-rubric": rubric_editor.show_new,
    "/operator/log": log.show,
    "/operator/preview/{rubric}/mail": preview.show_mail,
}
MONITORING = {
    "/healthz": health.healthz,
    "/readyz": health.readyz,
    "/metrics": metrics.show,
}
FORMS = {
    "/subscribe": signup.subscribe,
    "/confirm/{token}": signup.confirm,
    "/unsubscribe/{token}": unsubscribe.unsubscribe,
    "/preferences/{token}": preferences.change,
    "/preferences/{token}/votes": votes_given.change,
    "/vote/{token}": votes.vote,
    "/reading-list/{token}": reading_list.remove,
    "/why/{token}": why.look_up,
    "/rubrics/{token}/rate": rubric_starts.rate,
    "/rubrics/{token}/{slug}/preview": rubric_preview.read_more,
    "/rubrics/{token}/{slug}/delete": reader_rubrics.delete,
    "/rubrics/{token}/{slug}/confirm/{mark}": confirm_rubric.confirm,
    "/operator/login": auth.log_in,
}
UPLOADS = {"/rubrics/{token}/start": rubric_starts.start}
LARGE_FORMS = {
    "/rubrics/{token}/new": reader_rubrics.write_new,
    "/rubrics/{token}/{slug}": reader_rubrics.write,
}
OPERATOR_FORMS = {
    "/operator/logout": auth.log_out,
    "/operator/replies": review.answer_reply,
    "/operator/deliveries": review.resolve_mail,
    "/operator/readers": readers.search,
    "/operator/readers/new": reader_add.add,
    "/operator/readers/export": readers.export,
    "/operator/readers/{id}/edit": reader_forms.edit,
    "/operator/readers/{id}/pause": reader_forms.pause,
    "/operator/readers/{id}/resume": reader_forms.resume,
    "/operator/readers/{id}/remove": reader_forms.remove,
    "/operator/readers/{id}/restore": reader_forms.restore,
    "/operator/readers/{id}/invite": reader_forms.invite,
    "/operator/test-mail": send_test.preview,
    "/operator/test-mail/send": send_test.send,
    "/operator/doctor": doctor.run,
    "/operator/rubrics": rubrics_of_readers.change,
    "/operator/rubrics/{rubric}/delete": rubric_delete.delete,
    "/operator/log/undo": log.undo_action,
}
OPERATOR_UPLOADS = {"/operator/readers/import": reader_import.answer}
LARGE_OPERATOR_FORMS = {
    "/operator/rubrics/{rubric}/edit": rubric_editor.write,
    "/operator/new-rubric": rubric_editor.write_new,
}
WEBHOOKS = {
    "/hooks/sendgrid/events": webhooks.events,
    "/hooks/sendgrid/inbound/{secret}": webhooks.inbound,
}


def create_app(site: Site, extra_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The web application; `extra_routes` are for tests. Raises StoreError."""
    with site.app.store.begin() as tx:
        search.prepare(tx)
    # The page of a paper takes both.
    redirected = [path for path in (*PAGES, *MONITORING) if path not in ("/", PAPER)]
    starlette = Starlette(
        routes=[
            *_redirects(site, [path for path in redirected if not path.endswith("/")]),
            *(Route(path, _page(site, answer)) for path, answer in PAGES.items()),
            *(Route(path, partial(answer, site)) for path, answer in MONITORING.items()),
            *_redirects(site, [path for path in redirected if path.endswith("/")]),
            *_form_routes(site),
            *extra_routes,
        ],
        middleware=[
            Middleware(TrustedProxies),
            Middleware(PathsWithoutNul),
            Middleware(SecurityHeaders, secure=site.app.settings.public_url.startswith("https:")),
            Middleware(GZipMiddleware, minimum_size=2_000),
        ],
        exception_handlers={
            HTTPException: partial(errors.http_error, site),
            RubricDeleted: partial(errors.rubric_deleted, site),
            StoreError: partial(errors.store_error, site),
            ClientDisconnect: errors.client_disconnected,
            Exception: partial(errors.server_error, site),
        },
    )
    # Its own redirects name a host: the one by which a proxy asks.
    starlette.router.redirect_slashes = False
    return starlette


def _redirects(site: Site, paths: Sequence[str]) -> list[Route]:
    """From each path with its trailing slash removed, or with one added.

    Those with one added come before the pages: `/archive/{rubric}/{when}/` would match
    `/archive/stars/feed.xml/`. The others come after them: they would match `feed.xml`.
    """
    return [Route(_with_other_slash(path), partial(home.redirect_slash, site)) for path in paths]


def _form_routes(site: Site) -> list[Route]:
    forms = FORMS | _checked(OPERATOR_FORMS)
    large = LARGE_FORMS | _checked(LARGE_OPERATOR_FORMS)
    operators = {
        path: reader_import.form_of_upload(answer)
        for path, answer in _checked(OPERATOR_UPLOADS).items()
    }
    uploads = {
        **dict.fromkeys(UPLOADS, partial(rubric_starts.may_upload, site)),
        **dict.fromkeys(operators, partial(reader_import.may_upload, site)),
    }
    return _posts(
        {
            **{path: with_form(_page(site, answer)) for path, answer in forms.items()},
            # Before the large forms: `/rubrics/{token}/{slug}` would match these paths too.
            **{
                path: with_upload(_page(site, answer), uploads[path])
                for path, answer in {**UPLOADS, **operators}.items()
            },
            **{path: with_large_form(_page(site, answer)) for path, answer in large.items()},
            **{path: endpoint(site) for path, endpoint in WEBHOOKS.items()},
        }
    )


def _checked(
    forms: Mapping[str, Callable[[Site, Request, SentForm], Response]],
) -> dict[str, Callable[..., Response]]:
    """Each is answered only for an operator, and only from a page of their session."""
    return {path: auth.operator_form(answer) for path, answer in forms.items()}


def _posts(endpoints: Mapping[str, Callable[[Request], Awaitable[Response]]]) -> list[Route]:
    """A route for each path, and for the path with a slash at its end.

    A mail program that posts does not follow a redirect to the other slash.
    """
    return [
        Route(f"{path}{slash}", endpoint, methods=["POST"])
        for path, endpoint in endpoints.items()
        for slash in ("", "/")
    ]


def create_monitoring_app(site: Site) -> Starlette:
    """Health and metrics only, for a process without pages."""
    return Starlette(
        routes=[Route(path, partial(answer, site)) for path, answer in MONITORING.items()],
        exception_handlers={StoreError: partial(errors.store_error, site)},
    )


def _page(site: Site, answer: Callable[..., Response]) -> Callable[..., Response]:
    """`answer` after changed rubric files are read again."""

    def page(request: Request, *form: object) -> Response:
        reread(site.app.rubrics)
        return answer(site, request, *form)

    return page


def _with_other_slash(path: str) -> str:
    """The path with its trailing slash removed, or with one added."""
    return path[:-1] if path.endswith("/") else f"{path}/"
