"""The log: a JSON line for each event, or words on a terminal; no secret and no address in it.

Every logger of this process, ours and the libraries', passes here; what it says is cleaned once,
at the end, when it is text: message, fields and tracebacks alike.
"""

from __future__ import annotations

import base64
import contextvars
import json
import logging
import re
import sys
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TextIO, TypeVar
from urllib.parse import quote, unquote, urlsplit

from pydantic import SecretStr

from newsletter.domain import sanitize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableMapping

    from newsletter.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

HIDDEN = "[hidden]"
SHORTEST_SECRET = 3
"""Anything shorter would hide letters of every word."""
CHATTY = (
    "apscheduler",
    "alembic",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "python_http_client",
)
"""Libraries that tell of each step at INFO."""
# The port of a driver's address, and `user@host`, stay readable; what is before the @ does not.
ADDRESS = re.compile(
    r"(?P<first>[^\s@<>()\[\]{},;:\"'`\\/=|&?!#$%*^~])"
    r"(?P<rest>[^\s@<>()\[\]{},;:\"`\\/=&?]{0,100})"
    r"(?P<at>@|%40)(?P<host>[\w-]+(?:\.[\w-]+)*)"
)
# Of links.py: a whole token, and the secret part of a private archive.
TOKEN = re.compile(r"(?<![a-z0-9])[a-z2-7]{48}(?![a-z0-9])", re.IGNORECASE)
ARCHIVE = re.compile(r"(/archive/[\w.%-]*?-)[a-z2-7]{24}\b", re.IGNORECASE)
USERINFO = re.compile(r"(?<=://)[^/\s@\"']+(?=@)")
HEADER = re.compile(
    r"(?P<name>\b(?:proxy-)?authorization|\bx-api-key|\bapi[-_]?key|\b(?:set-)?cookie)"
    r"(?P<between>[\"']?\s*[:=,]\s*(?:b(?=[\"']))?[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',)\]}]+",
    re.IGNORECASE,
)
BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
KEY = re.compile(r"\bsk-ant-[\w-]+|\bSG\.[\w-]+\.[\w-]+")


class Redactor:
    """Removes secrets and email addresses from text, and control characters with them.

    The given secrets are found as they are, and as JSON, `repr`, URLs and base64 write them.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        spelled = {form for secret in secrets for form in _spellings(secret)}
        known = sorted((one for one in spelled if len(one) >= SHORTEST_SECRET), key=len)
        found = "|".join(re.escape(one) for one in reversed(known))
        self._secrets = re.compile(found) if found else None

    def secrets(self, text: str) -> str:
        """Without passwords and keys: the given ones, and what has the form of one."""
        if self._secrets:
            text = self._secrets.sub(HIDDEN, text)
        text = HEADER.sub(rf"\g<name>\g<between>{HIDDEN}", KEY.sub(HIDDEN, text))
        text = BEARER.sub(rf"\1 {HIDDEN}", text)
        return USERINFO.sub(HIDDEN, text)

    def text(self, text: str) -> str:
        """Also without email addresses, the tokens of links and control characters."""
        text = sanitize.clean(self.secrets(text), "?")
        text = ADDRESS.sub(r"\g<first>…\g<at>\g<host>", text)
        return ARCHIVE.sub(rf"\1{HIDDEN}", TOKEN.sub(HIDDEN, text))

    def value(self, value: object) -> object:
        """Figures stay figures; everything else becomes text, or is made of it."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(inner) for inner in value]
        return self.text(value if isinstance(value, str) else _repr(value))

    def event(self, event: MutableMapping[str, Any]) -> dict[str, object]:
        """All fields of a line, but for the one in which Uvicorn repeats it in colours."""
        return {k: self.value(v) for k, v in event.items() if k != "color_message"}


def secrets_of(settings: Settings) -> list[str]:
    """Every secret that a setting holds, and the passwords inside of addresses."""
    found = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if not isinstance(value, SecretStr) or not (secret := value.get_secret_value()):
            continue
        if "://" in secret:
            found += _passwords(secret)
        else:
            found += [secret, *(part.strip() for part in secret.split(","))]
    if settings.ping_url:
        # Who knows a watchdog's address can keep it quiet.
        found.append(urlsplit(settings.ping_url).path.strip("/"))
    return found


def _passwords(url: str) -> list[str]:
    """What stands between the user's name and the host."""
    before, at, _ = url.partition("://")[2].rpartition("@")
    user, colon, password = before.partition(":")
    if not at or not colon:
        return []
    plain = f"{unquote(user)}\0{unquote(password)}"
    # SMTP says it so when it logs in (RFC 4616).
    said = base64.b64encode(f"\0{plain}".encode()).decode()
    return [password, unquote(password), said]


def _spellings(secret: str) -> set[str]:
    """As it is, in JSON, in a repr, in an address, in base64."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        quote(secret, safe=""),
        base64.b64encode(secret.encode()).decode(),
    }


def _repr(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


_known = {"redactor": Redactor([])}
"""Of this process; until its settings are read it knows only what secrets look like."""


def clean(text: str) -> str:
    """Text for standard error that does not come by way of a logger."""
    return _known["redactor"].text(text)


def set_up(settings: Settings, usual: str, stream: TextIO | None = None) -> None:
    """Send all that is logged to `stream` (standard error), from NEWSLETTER_LOG_LEVEL on.

    `usual` is the level where that is not set. JSON where the stream is no terminal.
    """
    import structlog

    stream = stream or sys.stderr
    level = (settings.log_level or usual).upper()
    terminal = stream.isatty()
    redactor = _known["redactor"] = Redactor(secrets_of(settings))
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_before(structlog),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                lambda _logger, _name, event: redactor.event(event),
                _last(structlog, terminal=terminal),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING if level != "DEBUG" else logging.DEBUG)
    logging.captureWarnings(capture=True)
    # What a thread dies of would be printed as it is, past everything here.
    threading.excepthook = _thread_died


def _before(structlog: Any) -> list[Any]:  # noqa: ANN401 - the module, loaded late
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _last(structlog: Any, *, terminal: bool) -> Any:  # noqa: ANN401 - as above
    if terminal:
        plain = structlog.dev.plain_traceback
        return structlog.dev.ConsoleRenderer(exception_formatter=plain, sort_keys=False)
    return structlog.processors.JSONRenderer()


def _thread_died(died: threading.ExceptHookArgs) -> None:
    name = died.thread.name if died.thread else "?"
    fault = (died.exc_type, died.exc_value or died.exc_type(), died.exc_traceback)
    logging.getLogger(__name__).critical("thread %s died", name, exc_info=fault)


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Every line logged inside bears these fields: `edition`, `rubric`."""
    import structlog

    with structlog.contextvars.bound_contextvars(**fields):
        yield


def carried(act: Callable[P, T], **fields: object) -> Callable[P, T]:
    """`act` for a thread of a pool: what it logs bears what is bound here and now, and `fields`.

    A pool's threads know nothing of whoever gave them their work. To be called once.
    """
    context = contextvars.copy_context()

    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        with bound(**fields):
            return act(*args, **kwargs)

    return partial(context.run, told)
