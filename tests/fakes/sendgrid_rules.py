"""What SendGrid refuses, by its documentation: every stand-in of it asks here first.

twilio.com/docs/sendgrid/api-reference; `tests/mailers/test_sendgrid_rules.py` holds these tables
against
the vendor's own description where that is present.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tests.fakes import sendgrid_description

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.fakes.loopback import HttpHandler


class Refusal(NamedTuple):
    """An answer that takes nothing; `field` is where SendGrid points to."""

    status: int
    message: str
    field: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        return {"errors": [{"message": self.message, "field": self.field}]}


class Field(NamedTuple):
    """`kind` is a type, a table of fields, or a list of either. `most` and `least` count."""

    kind: Any
    needed: bool = False
    most: int | None = None
    least: int = 0


Table = dict[str, Field]
NEEDED, PLAIN = True, Field(str)
ANY: Table = {}
"""An object with names of the sender's own."""
FLAG: Table = {"enable": Field(bool)}
ADDRESS: Table = {"email": Field(str, NEEDED), "name": PLAIN}
PEOPLE = Field([ADDRESS], most=1000)
PERSONALIZATION: Table = {
    "from": Field(ADDRESS),
    "to": Field([ADDRESS], NEEDED, least=1),
    "cc": PEOPLE,
    "bcc": PEOPLE,
    "subject": Field(str, least=1),
    "headers": Field(ANY),
    "substitutions": Field(ANY),
    "dynamic_template_data": Field(ANY),
    "custom_args": Field(ANY),
    "send_at": Field(int),
}
SUBSCRIPTION: Table = {**FLAG, "text": PLAIN, "html": PLAIN, "substitution_tag": PLAIN}
ANALYTICS: Table = {
    **FLAG,
    **{f"utm_{name}": PLAIN for name in ("source", "medium", "term", "content", "campaign")},
}
MAIL: Table = {
    "personalizations": Field([PERSONALIZATION], NEEDED, most=1000, least=1),
    "from": Field(ADDRESS, NEEDED),
    "reply_to": Field(ADDRESS),
    "reply_to_list": PEOPLE,
    "subject": Field(str, least=1),
    "content": Field(
        [{"type": Field(str, NEEDED, least=1), "value": Field(str, NEEDED, least=1)}], least=1
    ),
    "attachments": Field(
        [
            {
                "content": Field(str, NEEDED, least=1),
                "type": Field(str, least=1),
                "filename": Field(str, NEEDED),
                "disposition": PLAIN,
                "content_id": PLAIN,
            }
        ]
    ),
    "template_id": PLAIN,
    "headers": Field(ANY),
    "categories": Field([str], most=10),
    "custom_args": Field(ANY),
    "send_at": Field(int),
    "batch_id": PLAIN,
    "asm": Field({"group_id": Field(int, NEEDED), "groups_to_display": Field([int], most=25)}),
    "ip_pool_name": Field(str, most=64, least=2),
    "mail_settings": Field(
        {
            **{
                f"bypass_{name}_management": Field(FLAG)
                for name in ("list", "spam", "bounce", "unsubscribe")
            },
            "footer": Field({**FLAG, "text": PLAIN, "html": PLAIN}),
            "sandbox_mode": Field(FLAG),
        }
    ),
    "tracking_settings": Field(
        {
            "click_tracking": Field({**FLAG, "enable_text": Field(bool)}),
            "open_tracking": Field({**FLAG, "substitution_tag": PLAIN}),
            "subscription_tracking": Field(SUBSCRIPTION),
            "ganalytics": Field(ANALYTICS),
        }
    ),
}
PAGED: Table = {
    "start_time": Field(int),
    "end_time": Field(int),
    "limit": Field(int),
    "offset": Field(int),
    "email": PLAIN,
}
"""Of a query."""
LISTS = ("bounces", "blocks", "invalid_emails", "spam_reports", "unsubscribes")
PATHS: dict[tuple[str, str], Table] = {
    ("POST", "/v3/mail/send"): MAIL,
    ("POST", "/v3/mail/batch"): ANY,
    ("POST", "/v3/user/scheduled_sends"): {
        "batch_id": Field(str, NEEDED, least=1),
        "status": Field(str, NEEDED),
    },
    ("GET", "/v3/user/scheduled_sends/{batch_id}"): ANY,
    ("DELETE", "/v3/user/scheduled_sends/{batch_id}"): ANY,
    **{("GET", f"/v3/suppression/{name}"): PAGED for name in LISTS},
    **{
        ("DELETE", f"/v3/suppression/{name}/{{email}}"): ANY
        for name in ("bounces", "blocks", "invalid_emails")
    },
    ("POST", "/v3/asm/suppressions/global"): {"recipient_emails": Field([str], NEEDED)},
    ("DELETE", "/v3/asm/suppressions/global/{email}"): ANY,
    ("POST", "/v3/recipients/erasejob"): {
        "email_addresses": Field([str], NEEDED, most=5000, least=1)
    },
    ("GET", "/v3/scopes"): ANY,
    ("GET", "/v3/whitelabel/domains"): ANY,
    ("GET", "/v3/user/webhooks/event/settings/all"): ANY,
    ("GET", "/v3/user/webhooks/parse/settings"): ANY,
}
RESERVED = {
    *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "to", "from"),
    *("content-transfer-encoding", "subject", "reply-to", "cc", "bcc"),
}
LARGEST = 30 * 10**6
MOST_BYTES = 10_000
"""Of one reader's substitutions, and of the custom arguments."""
LARGEST_PAGE = 500


def refusal_of(handler: HttpHandler, raw: bytes) -> Refusal | None:
    """Of a request that a stand-in has before it."""
    sendgrid_description.check_request(handler, raw)
    return refusal(handler.command, handler.path, handler.headers, raw)


def refusal(method: str, path: str, headers: Mapping[str, Any], raw: bytes) -> Refusal | None:
    """None for a request that is taken as far as its form goes."""
    return next(_refusals(method, path, headers, raw), None)


def _refusals(method: str, path: str, headers: Mapping[str, Any], raw: bytes) -> Iterator[Refusal]:
    asked = urlsplit(path)
    if not re.fullmatch(r"Bearer \S+", str(headers.get("Authorization") or "")):
        yield Refusal(401, "authorization required")
    tables = {verb: table for (verb, known), table in PATHS.items() if _matches(known, asked.path)}
    if method not in tables:
        yield Refusal(405, "method not allowed") if tables else Refusal(404, "resource not found")
    if len(raw) > LARGEST:
        yield Refusal(413, "Payload too large")
    if method != "POST":
        yield from _query(asked.query, tables[method])
        return
    if asked.path == "/v3/mail/batch":
        # It is described without a body, and Prism refuses even an empty object.
        yield from [Refusal(400, "takes no body")] if raw else []
        return
    if headers.get("Content-Type") != "application/json":
        yield Refusal(415, "Content-Type should be application/json.")
    body = _json(raw)
    yield from _unlike(body, tables[method], "")
    yield from {"/v3/mail/send": _mail, "/v3/user/scheduled_sends": _wish}.get(
        asked.path, lambda _body: iter(())
    )(body)


def _json(raw: bytes) -> Any:
    """None, which is no table, for what is no JSON."""
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _matches(known: str, path: str) -> bool:
    return bool(re.fullmatch(re.sub(r"\\?\{\w+\\?\}", "[^/]+", re.escape(known)), path))


def _query(query: str, table: Table) -> Iterator[Refusal]:
    """SendGrid may pass over a name that it does not know, but then nobody meant it."""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in table:
            yield Refusal(400, "unknown parameter", name)
        elif table[name].kind is int and not value.isdecimal():
            yield Refusal(400, "must be a number", name)
        elif name == "limit" and int(value) > LARGEST_PAGE:
            yield Refusal(400, f"must not be more than {LARGEST_PAGE}", name)


def _unlike(value: Any, kind: Any, path: str) -> Iterator[Refusal]:
    """Where a value differs from its table: types, names, what is needed."""
    if isinstance(kind, list):
        if not isinstance(value, list):
            yield Refusal(400, "must be an array", path)
            return
        for place, one in enumerate(value):
            yield from _unlike(one, kind[0], f"{path}.{place}")
    elif isinstance(kind, dict):
        yield from _unlike_table(value, kind, path)
    elif type(value) is not kind:
        yield Refusal(400, f"must be of type {kind.__name__}", path)


def _unlike_table(value: Any, table: Table, path: str) -> Iterator[Refusal]:
    if not isinstance(value, dict):
        yield Refusal(400, "must be an object", path)
        return
    before = f"{path}." if path else ""
    for name in sorted(value.keys() - table.keys()) if table else ():
        yield Refusal(400, "unknown field", f"{before}{name}")
    for name, field in table.items():
        if name in value:
            yield from _unlike_field(value[name], field, f"{before}{name}")
        elif field.needed:
            yield Refusal(400, "is required", f"{before}{name}")


def _unlike_field(value: Any, field: Field, path: str) -> Iterator[Refusal]:
    yield from _unlike(value, field.kind, path)
    counted = len(value) if isinstance(value, str | list) else field.least
    if not field.least <= counted <= (field.most or counted):
        yield Refusal(400, "has too many or too few", path)


def _mail(mail: dict[str, Any]) -> Iterator[Refusal]:
    """What the tables can't say of mail/send."""
    people = mail["personalizations"]
    if "template_id" not in mail:
        if "subject" not in mail and not all("subject" in one for one in people):
            yield Refusal(400, "is required", "subject")
        if "content" not in mail:
            yield Refusal(400, "is required", "content")
    kinds = [part["type"] for part in mail.get("content", [])]
    first = [kind for kind in ("text/plain", "text/html") if kind in kinds]
    if kinds[: len(first)] != first:
        yield Refusal(400, "text/plain must be first, followed by text/html", "content")
    for name in ("from", "reply_to"):
        yield from _address(mail[name], name) if name in mail else ()
    yield from _own(mail, "")
    for place, person in enumerate(people):
        yield from _own(person, f"personalizations.{place}.")
    yield from _recipients(people)


def _recipients(people: list[dict[str, Any]]) -> Iterator[Refusal]:
    seen: set[str] = set()
    for place, person in enumerate(people):
        for role in ("to", "cc", "bcc"):
            for number, one in enumerate(person.get(role, [])):
                yield from _address(one, f"personalizations.{place}.{role}.{number}")
                if one["email"].lower() in seen:
                    yield Refusal(400, "each email address should be unique", "personalizations")
                seen.add(one["email"].lower())


def _own(owner: dict[str, Any], path: str) -> Iterator[Refusal]:
    """Headers, arguments and words of a message or of one of its readers."""
    for name in ("headers", "custom_args", "substitutions"):
        given = owner.get(name, {})
        if not all(isinstance(value, str) for value in given.values()):
            yield Refusal(400, "values must be strings", f"{path}{name}")
        if name != "headers" and len(json.dumps(given).encode()) > MOST_BYTES:
            yield Refusal(400, f"must be less than {MOST_BYTES} bytes", f"{path}{name}")
    yield from _headers(owner.get("headers", {}), f"{path}headers")


def _headers(headers: Mapping[str, Any], path: str) -> Iterable[Refusal]:
    for name, value in headers.items():
        if name.lower() in RESERVED:
            yield Refusal(400, f"{name} is a reserved header", path)
        if not re.fullmatch(r"[!-9;-~]+", name) or re.search(r"[\r\n\0]", str(value)):
            yield Refusal(400, f"{name!r} can't be a header", path)


def _address(one: dict[str, str], path: str) -> Iterator[Refusal]:
    if not re.fullmatch(r"[^\s@<>(),;:]+@[^\s@<>(),;:]+\.[^\s@<>(),;:.]+", one["email"]):
        yield Refusal(400, "Does not contain a valid address.", f"{path}.email")
    if re.search(r"[;,\r\n]", one.get("name", "")) and path != "from":
        yield Refusal(400, "must not contain ; or ,", f"{path}.name")


def _wish(wish: dict[str, str]) -> Iterator[Refusal]:
    if wish["status"] not in {"pause", "cancel"}:
        yield Refusal(400, "must be pause or cancel", "status")
