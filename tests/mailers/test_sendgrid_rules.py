"""The stand-ins of SendGrid refuse what SendGrid refuses, and no request of ours is
refused.

Each of these was broken on purpose in `newsletter/mailers` once, and tests of SendGrid,
groups and
suppressions went red (so many of them): the content type (151), the scheme of Authorization (103),
text/plain behind text/html (33), a field that is unknown (44), no sender (88), Reply-To as a header
(30), 1,001 readers in a group (1), 35 MB (2), an argument that is no text (40), 20,000 bytes of
words (1), a batch "canceled" (28), `emails` for `recipient_emails` (4), a page of 501 (48),
`emails` for `email_addresses` (4), a path that is none (4), and `{}` to `/v3/mail/batch`, which
Prism alone had told (`test_sendgrid_prism.py`).
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from newsletter.domain.mail import Addressee, BatchEmail
from newsletter.mailers import SendError
from newsletter.mailers.sendgrid.batch import SendGridBatches, batch_payload
from newsletter.mailers.sendgrid.mailer import SendGridMailer, payload
from tests.fakes import sendgrid_description
from tests.fakes.mail import START, email, settings
from tests.fakes.sendgrid import FakeSendGrid
from tests.fakes.sendgrid_rules import ANY, PATHS, Field, Refusal, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPEC = sendgrid_description.SPEC
needs_description = pytest.mark.skipif(
    not SPEC.is_file(), reason="SendGrid's description of its API is not beside this tree"
)
HEADERS = {"Authorization": "Bearer SG.key", "Content-Type": "application/json"}
Mail = dict[str, Any]


def group(people: int) -> BatchEmail:
    return BatchEmail(
        id="g" * 32,
        from_email="digest@mail.example.org",
        from_name="arXiv digest",
        reply_to="reply+list@in.example.org",
        subject="arXiv digest",
        html="<p>One paper for -tag-.</p>",
        text="One paper for -tag-.\n",
        readers=tuple(
            Addressee(
                delivery_id=f"{number:032x}",
                to_email=f"reader{number}@example.org",
                to_name=f"Reader {number}",
                headers=(("List-Id", "<stars.example.org>"),),
                words=(("-tag-", f"Reader {number}"),),
            )
            for number in range(people)
        ),
        content_hash="0" * 64,
        batch_id="b" * 20,
        send_at=START,
    )


def one() -> Mail:
    return payload(email(delivery_id="d" * 32))


def refusal_of(mail: Any, **headers: str) -> Refusal | None:
    raw = mail if isinstance(mail, bytes) else json.dumps(mail).encode()
    return refusal("POST", "/v3/mail/send", HEADERS | headers, raw)


def test_what_we_send_is_taken():
    assert refusal_of(one()) is None
    assert refusal_of(batch_payload(group(3))) is None


def first(mail: Mail) -> Any:
    return mail["personalizations"][0]


BROKEN: dict[str, tuple[Callable[[Mail], object], str | None]] = {
    "an unknown field": (lambda m: m.update(bogus=1), "bogus"),
    "an unknown field of a reader": (
        lambda m: first(m).update(reply_to={}),
        "personalizations.0.reply_to",
    ),
    "no sender": (lambda m: m.pop("from"), "from"),
    "no readers": (lambda m: m.update(personalizations=[]), "personalizations"),
    "no recipient": (lambda m: first(m).pop("to"), "personalizations.0.to"),
    "no subject": (lambda m: m.pop("subject"), "subject"),
    "an empty subject": (lambda m: m.update(subject=""), "subject"),
    "no content": (lambda m: m.pop("content"), "content"),
    "an empty part": (lambda m: m["content"][0].update(value=""), "content.0.value"),
    "HTML before text": (lambda m: m["content"].reverse(), "content"),
    "a reserved header": (lambda m: m["headers"].update({"Reply-To": "x@example.org"}), "headers"),
    "a reserved header of a reader": (
        lambda m: first(m).update(headers={"X-SG-EID": "1"}),
        "personalizations.0.headers",
    ),
    "a header with a line break": (lambda m: m["headers"].update(X="a\r\nBcc: b"), "headers"),
    "a header that is no text": (lambda m: m["headers"].update(X=1), "headers"),
    "an argument that is no text": (
        lambda m: first(m)["custom_args"].update(n=1),
        "personalizations.0.custom_args",
    ),
    "arguments as text": (
        lambda m: first(m).update(custom_args="{}"),
        "personalizations.0.custom_args",
    ),
    "arguments that are too long": (
        lambda m: first(m)["custom_args"].update(long="x" * 10_000),
        "personalizations.0.custom_args",
    ),
    "one address twice": (
        lambda m: first(m)["to"].append({"email": first(m)["to"][0]["email"].upper()}),
        "personalizations",
    ),
    "no address": (
        lambda m: first(m)["to"][0].update(email="a,b@example.org"),
        "personalizations.0.to.0.email",
    ),
    "a name with a comma": (
        lambda m: first(m)["to"][0].update(name="Doe, Jane"),
        "personalizations.0.to.0.name",
    ),
    "a time that is no number": (lambda m: m.update(send_at="1758607200"), "send_at"),
    "a switch that is no switch": (
        lambda m: m["tracking_settings"]["open_tracking"].update(enable="false"),
        "tracking_settings.open_tracking.enable",
    ),
}


@pytest.mark.parametrize(("spoil", "field"), BROKEN.values(), ids=BROKEN)
def test_a_broken_mail_is_refused_with_its_place(
    spoil: Callable[[Mail], object], field: str | None
):
    mail = copy.deepcopy(one())
    spoil(mail)
    found = refusal_of(mail)
    assert found is not None
    assert (found.status, found.field) == (400, field)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Basic U0cua2V5"}, 401),
        ({"Authorization": "SG.key"}, 401),
    ],
)
def test_headers_of_a_request_are_judged(headers: dict[str, str], status: int):
    found = refusal_of(one(), **headers)
    assert found is not None
    assert found.status == status


def test_size_number_path_and_method_are_judged():
    large = one()
    large["content"][1]["value"] = "x" * 30_000_000
    crowded = batch_payload(group(1001))
    path = "/v3/asm/suppressions/global"
    statuses = [
        found.status if found else 0
        for found in (
            refusal_of(large),
            refusal_of(crowded),
            refusal_of(b"{"),
            refusal("GET", "/v3/mail/send", HEADERS, b""),
            refusal("POST", "/v3/mail/sent", HEADERS, b"{}"),
            refusal("GET", "/v3/suppression/bounces?limit=501", HEADERS, b""),
            refusal("GET", "/v3/suppression/bounces?limit=500&offset=0", HEADERS, b""),
            refusal("POST", path, HEADERS, b'{"emails": ["a@example.org"]}'),
            refusal("DELETE", f"{path}/a%40example.org", HEADERS, b""),
        )
    ]
    assert statuses == [413, 400, 400, 405, 404, 400, 0, 400, 0]


@pytest.fixture
def fake() -> Iterator[FakeSendGrid]:
    with FakeSendGrid() as running:
        running.batches.named.add(group(0).batch_id)
        running.batches.clock = START.timestamp
        yield running


@pytest.mark.parametrize(
    ("crowd", "least"),
    [(group(1001), 1000), (replace(group(100), html="x" * 24_990_000), 10)],
    ids=["many readers", "a large text"],
)
def test_as_many_readers_as_fit_leave_in_a_request_that_is_taken(
    fake: FakeSendGrid, crowd: BatchEmail, least: int
):
    sender = SendGridBatches(settings(sendgrid_api_key="SG.key", sendgrid_url=fake.url))
    fitting = sender.fitting(crowd)
    assert least <= fitting < len(crowd.readers)
    assert sender.send_batch(replace(crowd, readers=crowd.readers[:fitting])) == "fake-1"


def whole() -> Any:
    return json.loads(SPEC.read_text(encoding="utf-8"))


def resolved(found: Any, document: Any) -> Any:
    """A part of the description, not a reference to it."""
    while "$ref" in found:
        place = document
        for step in found["$ref"].removeprefix("#/").split("/"):
            place = place[step.replace("~1", "/").replace("~0", "~")]
        found = place
    return found


KINDS = {"string": str, "boolean": bool, "integer": int}


def differences(kind: Any, described: Any, document: Any, path: str) -> Iterator[str]:
    """Where a table of the rules is not what the description says; it may be stricter."""
    described = resolved(described, document)
    if isinstance(kind, list):
        yield from differences(kind[0], described["items"], document, f"{path}[]")
    elif not isinstance(kind, dict):
        if KINDS.get(described["type"]) is not kind:
            yield f"{path} is of type {described['type']}"
    elif kind is ANY:
        if described["type"] != "object" or "properties" in described:
            yield f"{path} is no object of free names"
    else:
        inside = described["properties"]
        yield from (f"{path}.{name} is in one alone" for name in kind.keys() ^ inside.keys())
        for name in kind.keys() & inside.keys():
            yield from unequal(kind[name], name, described, document, f"{path}.{name}")


def unequal(field: Field, name: str, owner: Any, document: Any, path: str) -> Iterator[str]:
    described = resolved(owner["properties"][name], document)
    if name in owner.get("required", ()) and not field.needed:
        yield f"{path} is needed"
    most = described.get("maxItems", described.get("maxLength"))
    least = described.get("minItems", described.get("minLength", 0))
    if field.most != most or field.least < least:
        yield f"{path} has a bound of {least} to {most}"
    yield from differences(field.kind, described, document, path)


@needs_description
@pytest.mark.parametrize(("method", "path"), PATHS, ids=" ".join)
def test_the_rules_know_what_the_description_says(method: str, path: str):
    document, table = whole(), PATHS[method, path]
    operation = document["paths"][path][method.lower()]
    if method == "GET":
        asked = [resolved(one, document) for one in operation.get("parameters", ())]
        assert set(table) <= {one["name"] for one in asked if one["in"] == "query"}
    elif table is not ANY:
        body = resolved(operation["requestBody"], document)["content"]
        assert list(body) == ["application/json"]
        [media] = body.values()
        assert list(differences(table, media["schema"], document, "")) == []


def mutants(value: Any) -> Iterator[Any]:
    """Copies of a JSON value, each with one thing in it gone, emptied or of another type."""
    yield from (other for other in (None, 7, "x", True, [], {}) if type(other) is not type(value))
    keys = value if isinstance(value, dict) else range(len(value) if type(value) is list else 0)
    for key in list(keys):
        gone = copy.copy(value)
        del gone[key]
        yield gone
        for changed in mutants(value[key]):
            other = copy.copy(value)
            other[key] = changed
            yield other
    if isinstance(value, str):
        yield ""


@needs_description
@pytest.mark.parametrize("mail", [one(), batch_payload(group(2))], ids=["one", "group"])
def test_what_the_description_refuses_is_refused_by_the_rules(mail: Mail):
    path, refused = "/v3/mail/send", 0
    for mutant in mutants(mail):
        raw = json.dumps(mutant).encode()
        if sendgrid_description.violation("POST", path, HEADERS, raw):
            refused += 1
            assert refusal("POST", path, HEADERS, raw), raw
    assert refused > 100


@needs_description
def test_a_request_against_the_description_fails_the_test_that_made_it():
    with (
        pytest.raises(AssertionError, match="against SendGrid's description"),
        FakeSendGrid() as it,
    ):
        sender = SendGridMailer(settings(sendgrid_api_key="SG.key", sendgrid_url=it.url))
        with pytest.raises(SendError, match="400"):
            sender.post({"subject": 1})
