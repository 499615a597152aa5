"""Who may see the operator's page: by password, or by a header that a proxy vouches for.

Without either setting there is no such page. The cookie of who gave the password holds no secret:
an end, a chance word, and our seal over both and over the password, so that another password ends
all sessions. A form bears a token that is sealed for its session and day.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from newsletter.store import operator_sessions
from newsletter.web.forms import first
from newsletter.web.middleware import by_proxy

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.context import Site
    from newsletter.web.forms import Form

log = logging.getLogger(__name__)

COOKIE = "newsletter_operator"
SESSION = timedelta(hours=12)
GUESSES, EACH = 10, timedelta(seconds=6)
"""So many wrong passwords at once, and one more after each such time, from whomever."""
OWN_SITE = {"same-origin", "none"}
LOGIN_TITLE = "For the operator"


@dataclass
class PasswordGuesses:
    """How many wrong passwords this process may still hear. Counted for all, as whoever guesses
    has many addresses, and behind a proxy everybody has the same one.
    """

    left: float = GUESSES
    at: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def may(self, now: datetime) -> bool:
        with self.turn:
            gained = max(0.0, (now - self.at) / EACH)
            self.left, self.at = min(float(GUESSES), self.left + gained), now
            return self.left >= 1

    def wrong(self) -> None:
        with self.turn:
            self.left -= 1


@dataclass(frozen=True, slots=True)
class OperatorSession:
    """Somebody who may see the page. `name` tells this session from others."""

    name: str
    by_cookie: bool = True


def session(desk: Site, request: Request) -> OperatorSession | None:
    """Who asks, if he may. Raises HTTPException 404 where the page is off."""
    password, header = _password(desk), desk.settings.operator_header
    if not password and not header:
        raise HTTPException(404)
    if header and by_proxy(request) and (named := request.headers.get(header, "").strip()):
        return OperatorSession(f"{header}: {named}", by_cookie=False)
    return _by_cookie(desk, request.cookies.get(COOKIE, "")) if password else None


def require(desk: Site, request: Request) -> OperatorSession:
    found = session(desk, request)
    if found is None:
        raise HTTPException(403)
    return found


def require_own_form(desk: Site, request: Request, form: Form) -> OperatorSession:
    """The session that a form was made for. Raises HTTPException 403: another page sent it."""
    found = require(desk, request)
    if request.headers.get("sec-fetch-site", "none") not in OWN_SITE:
        raise HTTPException(403)
    given, today = first(form, "token"), desk.clock().date()
    # A page may have been open at midnight.
    days = (today, today - timedelta(days=1))
    if not any(desk.links.is_sealed("operator form", f"{found.name} {day}", given) for day in days):
        raise HTTPException(403)
    return found


def token(desk: Site, who: OperatorSession) -> str:
    return desk.links.seal("operator form", f"{who.name} {desk.clock().date()}")


def log_in(desk: Site, request: Request, form: Form) -> Response:
    """Take the password. Raises HTTPException 404 where there is none to give."""
    password, now = _password(desk), desk.clock()
    if not password:
        raise HTTPException(404)
    if request.headers.get("sec-fetch-site", "none") not in OWN_SITE:
        raise HTTPException(403)
    guesses = _guesses(request)
    if not guesses.may(now):
        response = ask(desk, "Too many wrong passwords. Wait a minute.", 429)
        response.headers["Retry-After"] = "60"
        return response
    given = next(iter(form.get("password", ())), "")
    if not hmac.compare_digest(_digest(given), _digest(password)):
        guesses.wrong()
        log.warning("a wrong password for the operator's page")
        return ask(desk, "That is not the password.", 403)
    return _let_in(desk, password, now)


def log_out(desk: Site, request: Request, form: Form) -> Response:
    """End the session, for whoever else may have its cookie too."""
    who = require_own_form(desk, request, form)
    if who.by_cookie:
        with desk.store.begin() as tx:
            operator_sessions.end(tx, who.name, desk.clock(), SESSION)
    response = RedirectResponse(f"{desk.prefix}/operator", 303)
    response.delete_cookie(COOKIE, path=f"{desk.prefix}/operator")
    return response


def ask(desk: Site, fault: str = "", status: int = 200) -> Response:
    """The page with the password's field; where only a proxy lets people in, 403."""
    if not _password(desk):
        raise HTTPException(403)
    return desk.page("operator_login.html", title=LOGIN_TITLE, fault=fault, status=status)


def _let_in(desk: Site, password: str, now: datetime) -> Response:
    name = f"{int((now + SESSION).timestamp())}.{secrets.token_hex(16)}"
    response = RedirectResponse(f"{desk.prefix}/operator", 303, {"Cache-Control": "no-store"})
    response.set_cookie(
        COOKIE,
        f"{name}.{desk.links.seal('operator session', _sealed(name, password))}",
        max_age=int(SESSION.total_seconds()),
        path=f"{desk.prefix}/operator",
        secure=desk.settings.public_url.startswith("https:"),
        httponly=True,
        samesite="strict",
    )
    return response


def _by_cookie(desk: Site, value: str) -> OperatorSession | None:
    name, _, seal = value.rpartition(".")
    end, _, _ = name.partition(".")
    wanted = _sealed(name, _password(desk))
    if not desk.links.is_sealed("operator session", wanted, seal):
        return None
    if int(end) <= desk.clock().timestamp():
        return None
    with desk.store.read() as tx:
        return None if operator_sessions.is_ended(tx, name) else OperatorSession(name)


def _sealed(name: str, password: str) -> str:
    return f"{name}.{_digest(password).hex()}"


def _digest(text: str) -> bytes:
    """Of one length, so that comparing tells nothing of how long the password is."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _password(desk: Site) -> str:
    return desk.settings.operator_password.get_secret_value()


def _guesses(request: Request) -> PasswordGuesses:
    state = request.app.state
    if not hasattr(state, "guesses"):
        state.guesses = PasswordGuesses()
    found: PasswordGuesses = state.guesses
    return found
