"""Login to the operator page: by password, or by a header that a trusted proxy sets.

Without either setting the page does not exist (404). The session cookie contains an expiry time, a
random value and an HMAC over both and the password: a changed password ends all sessions. Forms
have a CSRF token, an HMAC over the session and the date: `operator_form` checks every one. A form
whose session ended is shown again after the login, so that nothing is typed twice.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from newsletter.store.operator import sessions
from newsletter.web.forms import first
from newsletter.web.middleware import by_proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.context import Site
    from newsletter.web.forms import Form

log = logging.getLogger(__name__)

COOKIE = "newsletter_operator"
SESSION_LENGTH = timedelta(hours=12)
MAX_GUESSES, GUESS_REFILL = 10, timedelta(seconds=6)
"""Wrong passwords at once, and the time until one more is allowed; all clients together."""
OWN_SITE = {"same-origin", "none"}
LOGIN_TITLE = "Operator login"
BY_COOKIE = "password login"
MAX_NAME = 200
FORM_ID = re.compile(r"[0-9a-f]{32}")
PAGE = re.compile(r"/operator[\w/-]*(?:\?[\w%&=+.,:;~*/-]{0,2000})?", re.ASCII)
"""Where a login may lead: a page of the operator, with its query."""
KEPT = "kept:"
"""Begins the names of the fields of another form, which the login form keeps."""
HIDDEN_FIELDS = ("token", "form", "stamp", "as", "of", "id", "back", "packed")
"""Fields that no operator types."""
SHORT = 80
"""Characters of a value that is shown in its line; a longer one is opened."""
OLD_FORM = "This form was opened in an earlier login"
OLD_FORM_LINE = "Or some days ago. Nothing was changed, but you can send it again."
LOGGED_IN_AGAIN = "You are logged in again"
LOGGED_IN_AGAIN_LINE = "Your session had ended before the form arrived. Nothing was changed yet."


@dataclass
class LoginLimiter:
    """Token bucket for wrong passwords, shared by all clients: an attacker has many addresses, and
    behind a proxy all clients may have the same one.
    """

    tokens: float = MAX_GUESSES
    updated_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_allowed(self, now: datetime) -> bool:
        with self.lock:
            refilled = max(0.0, (now - self.updated_at) / GUESS_REFILL)
            self.tokens, self.updated_at = min(float(MAX_GUESSES), self.tokens + refilled), now
            return self.tokens >= 1

    def record_failure(self) -> None:
        with self.lock:
            self.tokens -= 1


@dataclass(frozen=True, slots=True)
class OperatorSession:
    """A logged-in operator; `name` identifies the session."""

    name: str
    by_cookie: bool = True
    operator: str = BY_COOKIE
    """The name that the log of actions shows: the proxy's, or that they logged in by password."""

    @property
    def key(self) -> str:
        """Identifies the session in the log of actions; nobody can log in with it."""
        return hashlib.sha256(self.name.encode(errors="replace")).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class SentForm:
    """A form of the operator's pages that came from their own session: see `operator_form`."""

    session: OperatorSession
    fields: Form
    now: datetime

    @property
    def id(self) -> str:
        """New in each rendered form. Raises HTTPException 400 if missing."""
        found = first(self.fields, "form")
        if not FORM_ID.fullmatch(found):
            raise HTTPException(400)
        return found

    @property
    def stamp(self) -> str:
        """Of the state that the form was rendered from."""
        return first(self.fields, "stamp")


def operator_form(
    answer: Callable[[Site, Request, SentForm], Response],
) -> Callable[[Site, Request, Form], Response]:
    """`answer` for forms that an operator sent from a page of their session alone.

    Another site's form, and one whose session ended or is another, are refused (403).
    """

    def checked(site: Site, request: Request, form: Form) -> Response:
        current = session(site, request)
        if not _from_own_site(request):
            raise HTTPException(403)
        path = request.scope["path"]
        if current is None:
            return login_page(site, path, form=form, status=403)
        if not _has_csrf_token(site, current, form):
            return _send_again(site, current, path, form, (OLD_FORM, OLD_FORM_LINE), 403)
        return answer(site, request, SentForm(current, form, site.app.clock()))

    return checked


def session(site: Site, request: Request) -> OperatorSession | None:
    """The operator's session, if any. Raises HTTPException 404 if the page is off, and for an
    address with a NUL character, which PostgreSQL refuses as a value.
    """
    password, header = _password(site), site.app.settings.operator_header
    asked = (*request.path_params.values(), *request.query_params.values())
    if (not password and not header) or any("\0" in str(each) for each in asked):
        raise HTTPException(404)
    if header and by_proxy(request) and (named := request.headers.get(header, "").strip()):
        return OperatorSession(f"{header}: {named}", by_cookie=False, operator=named[:MAX_NAME])
    return _by_cookie(site, request.cookies.get(COOKIE, "")) if password else None


def require(site: Site, request: Request) -> OperatorSession:
    found = session(site, request)
    if found is None:
        raise HTTPException(403)
    return found


def requested_page(request: Request) -> str:
    """Path and query of a page, for `login_page`."""
    query = request.scope["query_string"].decode("latin-1")
    return f"{request.scope['path']}?{query}" if query else request.scope["path"]


def _from_own_site(request: Request) -> bool:
    return request.headers.get("sec-fetch-site", "none") in OWN_SITE


def _has_csrf_token(site: Site, current: OperatorSession, form: Form) -> bool:
    """Whether a form was opened in this session, today or yesterday: before midnight, say."""
    given, today = first(form, "token"), site.app.clock().date()
    days = (today, today - timedelta(days=1))
    return any(
        site.app.links.is_signed("operator form", f"{current.name} {day}", given) for day in days
    )


def csrf_token(site: Site, current: OperatorSession) -> str:
    return site.app.links.sign("operator form", f"{current.name} {site.app.clock().date()}")


def log_in(site: Site, request: Request, form: Form) -> Response:
    """Check the password and start a session. Raises HTTPException 404 if none is set.

    It leads to the page that was asked for, or shows the form that came without a session.
    """
    password, now = _password(site), site.app.clock()
    if not password:
        raise HTTPException(404)
    if not _from_own_site(request):
        raise HTTPException(403)
    to, kept = first(form, "to"), _kept(form)
    limiter = _login_limiter(request)
    if not limiter.is_allowed(now):
        fault = "Too many wrong passwords. Wait a minute."
        response = login_page(site, to, fault, 429, form=kept)
        response.headers["Retry-After"] = "60"
        return response
    given = next(iter(form.get("password", ())), "")
    if not hmac.compare_digest(_digest(given), _digest(password)):
        limiter.record_failure()
        log.warning("operator page: wrong password")
        return login_page(site, to, "Wrong password.", 403, form=kept)
    return _start_session(site, password, now, to if PAGE.fullmatch(to) else "/operator", kept)


def log_out(site: Site, _request: Request, sent: SentForm) -> Response:
    """End the session on the server, so that copies of its cookie are invalid too."""
    if sent.session.by_cookie:
        with site.app.store.begin() as tx:
            sessions.end(tx, sent.session.name, sent.now, SESSION_LENGTH)
    response = RedirectResponse(f"{site.prefix}/operator", 303)
    response.delete_cookie(COOKIE, path=f"{site.prefix}/operator")
    return response


def login_page(
    site: Site,
    to: str = "",
    fault: str = "",
    status: int = 200,
    form: Form | None = None,
) -> Response:
    """The login form, which leads to the page `to` and keeps the fields of `form`.

    Raises HTTPException 403 if only a proxy can log in.
    """
    if not _password(site):
        raise HTTPException(403)
    return site.page(
        "operator_login.html",
        title=LOGIN_TITLE,
        fault=fault,
        status=status,
        to=to,
        kept=[(f"{KEPT}{name}", value) for name, value in _pairs(form or {})],
    )


def _pairs(form: Form) -> list[tuple[str, str]]:
    return [(name, value) for name, values in form.items() for value in values]


def _kept(form: Form) -> Form:
    """The fields of the form that came without a session."""
    return {
        name.removeprefix(KEPT): values for name, values in form.items() if name.startswith(KEPT)
    }


def _send_again(
    site: Site,
    current: OperatorSession,
    path: str,
    form: Form,
    said: tuple[str, str],
    status: int,
) -> Response:
    """A page with all that a form said and a button that sends it in this session.

    The button is needed: another site could have sent the form.
    """
    token = ("token", csrf_token(site, current))
    typed = [(name, value) for name, value in _pairs(form) if value and name not in HIDDEN_FIELDS]
    shown = [(name.replace("_", " "), value) for name, value in typed]
    return site.page(
        "operator_send_again.html",
        status=status,
        title=said[0],
        line=said[1],
        path=path,
        is_upload="packed" in form,
        fields=[token, *(pair for pair in _pairs(form) if pair[0] != "token")],
        shown=shown,
        short=SHORT,
    )


def _start_session(site: Site, password: str, now: datetime, to: str, kept: Form) -> Response:
    name = f"{int((now + SESSION_LENGTH).timestamp())}.{secrets.token_hex(16)}"
    response: Response
    if kept:
        said = (LOGGED_IN_AGAIN, LOGGED_IN_AGAIN_LINE)
        response = _send_again(site, OperatorSession(name), to, kept, said, 200)
    else:
        response = RedirectResponse(f"{site.prefix}{to}", 303, {"Cache-Control": "no-store"})
    response.set_cookie(
        COOKIE,
        f"{name}.{site.app.links.sign('operator session', _signed_text(name, password))}",
        max_age=int(SESSION_LENGTH.total_seconds()),
        path=f"{site.prefix}/operator",
        secure=site.app.settings.public_url.startswith("https:"),
        httponly=True,
        samesite="strict",
    )
    return response


def _by_cookie(site: Site, value: str) -> OperatorSession | None:
    name, _, signature = value.rpartition(".")
    end, _, _ = name.partition(".")
    wanted = _signed_text(name, _password(site))
    if not site.app.links.is_signed("operator session", wanted, signature):
        return None
    if int(end) <= site.app.clock().timestamp():
        return None
    with site.app.store.read() as tx:
        return None if sessions.is_ended(tx, name) else OperatorSession(name)


def _signed_text(name: str, password: str) -> str:
    return f"{name}.{_digest(password).hex()}"


def _digest(text: str) -> bytes:
    """A fixed length, so that comparing does not reveal the length of the password."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _password(site: Site) -> str:
    return site.app.settings.operator_password.get_secret_value()


def _login_limiter(request: Request) -> LoginLimiter:
    state = request.app.state
    if not hasattr(state, "limiter"):
        state.limiter = LoginLimiter()
    found: LoginLimiter = state.limiter
    return found
