"""Logging: a JSON line for each event, or plain text on a terminal; secrets are redacted.

The loggers of this package and of all libraries are formatted here. Redaction is the last step,
on text: message, fields and tracebacks alike.
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
MIN_SECRET = 3
"""Redacting shorter ones would hide parts of ordinary words."""
NOISY_LIBRARIES = (
    "apscheduler",
    "alembic",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "python_http_client",
)
"""They log each step at INFO."""
# Of `user@host` the host stays readable, and of the user the first letter.
ADDRESS = re.compile(
    r"(?P<first>[^\s@<>()\[\]{},;:\"'`\\/=|&?!#$%*^~])"
    r"(?P<rest>[^\s@<>()\[\]{},;:\"`\\/=&?]{0,100})"
    r"(?P<at>@|%40)(?P<host>[\w-]+(?:\.[\w-]+)*)"
)
# As domain/links.py makes them: tokens, and the secret part of a private archive's address.
TOKEN = re.compile(r"(?<![a-z0-9])[a-z2-7]{48}(?![a-z0-9])", re.IGNORECASE)
ARCHIVE = re.compile(r"(/archive/[\w.%-]*?-)[a-z2-7]{24}\b", re.IGNORECASE)
# The messages about wrong addresses have USER:PASSWORD as an example.
USERINFO = re.compile(r"(?<=://)(?!USER:PASSWORD@)[^/\s@\"']+(?=@)")
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
        known = sorted((one for one in spelled if len(one) >= MIN_SECRET), key=len)
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
        """Numbers stay numbers; everything else becomes redacted text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(inner) for inner in value]
        return self.text(value if isinstance(value, str) else _repr(value))

    def event(self, event: MutableMapping[str, Any]) -> dict[str, object]:
        """All fields of an event, except the coloured copy of the message that Uvicorn adds."""
        return {k: self.value(v) for k, v in event.items() if k != "color_message"}


def secrets_of(settings: Settings) -> list[str]:
    """Every secret of the settings, and the passwords in URLs."""
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
        # Whoever knows the healthcheck address can ping it while the service is down.
        found.append(urlsplit(settings.ping_url).path.strip("/"))
    return found


def _passwords(url: str) -> list[str]:
    """The password of a URL, as it is, decoded, and as SMTP sends it."""
    before, at, _ = url.partition("://")[2].rpartition("@")
    user, colon, password = before.partition(":")
    if not at or not colon:
        return []
    plain = f"{unquote(user)}\0{unquote(password)}"
    # The PLAIN mechanism of SMTP logins (RFC 4616).
    said = base64.b64encode(f"\0{plain}".encode()).decode()
    return [password, unquote(password), said]


def _spellings(secret: str) -> set[str]:
    """The secret as it is, and as JSON, `repr`, URLs and base64 write it."""
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
"""The redactor of this process; before the settings are read it knows only forms of secrets."""


def clean(text: str) -> str:
    """Redact text for standard error that no logger handles."""
    return _known["redactor"].text(text)


def without_secrets(text: str) -> str:
    """Text for the operator, who may see addresses."""
    return _known["redactor"].secrets(text)


def set_up(settings: Settings, default_level: str, stream: TextIO | None = None) -> None:
    """Log to `stream` (default: standard error) from NEWSLETTER_LOG_LEVEL on.

    `default_level` is used if that is not set. JSON unless the stream is a terminal.
    """
    import structlog

    stream = stream or sys.stderr
    level = (settings.log_level or default_level).upper()
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
    for name in NOISY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING if level != "DEBUG" else logging.DEBUG)
    logging.captureWarnings(capture=True)
    # Without this, an uncaught exception of a thread would be printed without redaction.
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
    """Add these fields to every line logged inside: `edition`, `rubric`."""
    import structlog

    with structlog.contextvars.bound_contextvars(**fields):
        yield


def with_log_context(act: Callable[P, T], **fields: object) -> Callable[P, T]:
    """`act` for a thread pool, with the log fields bound here and `fields`. To be called once.

    Threads of a pool do not inherit context variables.
    """
    context = contextvars.copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with bound(**fields):
            return act(*args, **kwargs)

    return partial(context.run, run)
