"""The web application: every address and who answers it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from newsletter.rubric_folder import reread
from newsletter.store import StoreError, search
from newsletter.web import (
    archive,
    errors,
    health,
    home,
    metrics,
    operator,
    operator_auth,
    preferences,
    signup,
    unsubscribe,
    webhooks,
)
from newsletter.web.forms import with_form
from newsletter.web.middleware import SecurityHeaders, TrustedProxies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from newsletter.web.context import Site


PAGES = {
    "/": home.show,
    "/style.css": home.style,
    "/robots.txt": home.robots,
    "/subscribe": home.to_form,
    "/search": archive.search_all,
    "/archive/{rubric}/": archive.show_days,
    "/archive/{rubric}/feed.xml": archive.feed,
    "/archive/{rubric}/search": archive.search_rubric,
    "/archive/{rubric}/{when}/": archive.show_issue_or_month,
    "/confirm/{token}": signup.ask_to_confirm,
    "/unsubscribe/{token}": unsubscribe.ask_to_leave,
    "/preferences/{token}": preferences.show,
    "/operator": operator.show,
    "/operator/preview/{rubric}": operator.preview,
    "/operator/preview/{rubric}/mail": operator.preview_mail,
}
SIGNS = {
    "/healthz": health.alive,
    "/readyz": health.ready,
    "/metrics": metrics.show,
}
FORMS = {
    "/subscribe": signup.subscribe,
    "/confirm/{token}": signup.confirm,
    "/unsubscribe/{token}": unsubscribe.leave,
    "/preferences/{token}": preferences.change,
    "/operator/login": operator_auth.log_in,
    "/operator/logout": operator_auth.log_out,
    "/operator/replies": operator.answer_reply,
    "/operator/deliveries": operator.resolve_mail,
}
HOOKS = {
    "/hooks/sendgrid/events": webhooks.events,
    "/hooks/sendgrid/inbound/{secret}": webhooks.inbound,
}


def create_app(desk: Site, more: Sequence[BaseRoute] = ()) -> Starlette:
    """The web application; `more` are routes of other rooms. Raises StoreError."""
    with desk.store.begin() as tx:
        search.prepare(tx)
    return Starlette(
        routes=[
            *(Route(path, _page(desk, answer)) for path, answer in PAGES.items()),
            *(Route(path, partial(answer, desk)) for path, answer in SIGNS.items()),
            *(Route(_slip(path), partial(home.to_page, desk)) for path in PAGES if path != "/"),
            *(
                # Who posts follows no redirect: a slash too many must not lead to one.
                Route(f"{path}{slash}", with_form(_page(desk, answer)), methods=["POST"])
                for path, answer in FORMS.items()
                for slash in ("", "/")
            ),
            *(
                Route(f"{path}{slash}", door(desk), methods=["POST"])
                for path, door in HOOKS.items()
                for slash in ("", "/")
            ),
            *more,
        ],
        middleware=[
            Middleware(TrustedProxies),
            Middleware(SecurityHeaders, secure=desk.settings.public_url.startswith("https:")),
            Middleware(GZipMiddleware, minimum_size=2_000),
        ],
        exception_handlers={
            HTTPException: partial(errors.refused, desk),
            StoreError: partial(errors.unavailable, desk),
            ClientDisconnect: errors.left,
            Exception: partial(errors.broken, desk),
        },
    )


def create_signs(desk: Site) -> Starlette:
    """Only what tells how the process is, for one that has no pages."""
    return Starlette(
        routes=[Route(path, partial(answer, desk)) for path, answer in SIGNS.items()],
        exception_handlers={StoreError: partial(errors.unavailable, desk)},
    )


def _page(desk: Site, answer: Callable[..., Response]) -> Callable[..., Response]:
    """A page with the rubrics as their files are when it is asked for."""

    def page(request: Request, *form: object) -> Response:
        reread(desk.rubrics)
        return answer(desk, request, *form)

    return page


def _slip(path: str) -> str:
    """The same page's path with a last slash too many, or without the one it has."""
    return path[:-1] if path.endswith("/") else f"{path}/"
