"""The stand-in of the Messages API refuses what the vendor refuses.

Each of these was broken once in the product, and the suite went red (test_claude, test_score,
test_score_faults and test_bulk, each with the stand-in's words in its output):
- `prompt.schema` with `"minimum": 1` at a field: "property ['minimum'] is not supported";
- the same without `additionalProperties`: "must be explicitly set to false";
- `Claude.call` with `"temperature": 0` in the body: "Extra inputs are not permitted";
- `prompt.messages` with `"cache_control": {"type": "lasting"}`: "Input should be 'ephemeral'".
Nothing here was tried against the live API.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from newsletter.scorers import ScoringRequest
from newsletter.scorers.claude import prompt
from newsletter.scorers.claude.scorer import ClaudeScorer
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_rules import schema_complaint
from tests.fakes.scoring import MORNING, RUBRIC, papers, scores_in_abstract, settings
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Change = Callable[[dict[str, Any]], object]

HEADERS = {"x-api-key": "sk-test", "anthropic-version": "2026-10-21"}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(scores_in_abstract) as serving:
        yield serving


def body(**more: Any) -> dict[str, Any]:
    """The product's own request, as a mapping that a test may change."""
    request = ScoringRequest(RUBRIC, tuple(papers(4)))
    call = ClaudeScorer(settings()).call(request, MORNING)
    changed: dict[str, Any] = json.loads(json.dumps(call.body)) | more
    return changed


def asked(
    fake: FakeAnthropic, sent: object, headers: dict[str, str] | None = None, path: str = ""
) -> httpx2.Response:
    with client() as asking:
        url = f"{fake.url}/v1/messages{path}"
        return asking.post(url, json=sent, headers=HEADERS if headers is None else headers)


def client() -> httpx2.Client:
    """One for plain HTTP: it need not read certificate authorities, which takes 30 ms."""
    return httpx2.Client(trust_env=False, verify=False, timeout=60)


def test_the_product_s_request_is_taken(fake: FakeAnthropic) -> None:
    assert asked(fake, body()).status_code == 200


@pytest.mark.parametrize(
    ("missing", "status"), [("x-api-key", 401), ("anthropic-version", 400), ("content-type", 400)]
)
def test_each_header_is_required(fake: FakeAnthropic, missing: str, status: int) -> None:
    headers = HEADERS | {"content-type": "application/json"}
    raw = json.dumps(body()).encode()
    with client() as asking:
        request = asking.build_request(
            "POST", f"{fake.url}/v1/messages", content=raw, headers=headers
        )
        del request.headers[missing]
        answer = asking.send(request)
    assert answer.status_code == status
    assert missing in answer.json()["error"]["message"]


def _deep(name: str, value: object) -> Change:
    return lambda sent: sent["messages"][0]["content"][0].__setitem__(name, value)


BROKEN: dict[str, Change] = {
    "an unknown field": lambda sent: sent.__setitem__("temperature", 0),
    "no max_tokens": lambda sent: sent.pop("max_tokens"),
    "max_tokens that is no number": lambda sent: sent.__setitem__("max_tokens", "many"),
    "an unknown effort": lambda sent: sent["output_config"].__setitem__("effort", "some"),
    "an unknown kind of format": lambda sent: sent["output_config"]["format"].__setitem__(
        "type", "json"
    ),
    "no schema": lambda sent: sent["output_config"]["format"].pop("schema"),
    "an unknown kind of thinking": lambda sent: sent.__setitem__("thinking", {"type": "loud"}),
    "an unknown field of a block": _deep("texts", "x"),
    "an unknown life of the cache": _deep("cache_control", {"type": "ephemeral", "ttl": "2h"}),
    "a prefill": lambda sent: sent["messages"].append({"role": "assistant", "content": "{"}),
    "five cache marks": lambda sent: sent.__setitem__(
        "system", [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_request_is_refused(fake: FakeAnthropic, how: str) -> None:
    sent = body()
    BROKEN[how](sent)
    answer = asked(fake, sent)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_model_that_is_not_there_is_404(fake: FakeAnthropic) -> None:
    assert asked(fake, body(model="claude-haiku-3")).status_code == 404


def test_counting_takes_no_max_tokens(fake: FakeAnthropic) -> None:
    sent = body()
    assert asked(fake, sent, path="/count_tokens").status_code == 400
    del sent["max_tokens"]
    assert asked(fake, sent, path="/count_tokens").json()["input_tokens"] > 500


def test_output_takes_time_and_the_cache_can_be_read_once_it_has_begun() -> None:
    with (
        FakeAnthropic(scores_in_abstract, tokens_per_second=200.0) as slow,
        ThreadPoolExecutor() as pool,
    ):
        long_rubric = replace(RUBRIC, preface="Some of many words. " * 200)
        request = ScoringRequest(long_rubric, tuple(papers(4)))
        sent = ClaudeScorer(settings()).call(request, MORNING).body
        began = time.monotonic()
        first = pool.submit(asked, slow, sent)
        assert wait_until(lambda: slow.answered)
        time.sleep(0.2)
        usage = asked(slow, sent).json()["usage"]
        assert not usage["cache_creation_input_tokens"]
        assert usage["cache_read_input_tokens"] > 512
        tokens = first.result().json()["usage"]["output_tokens"]
        assert time.monotonic() - began >= 0.2 + tokens / 200.0 > 0.4


@pytest.mark.parametrize("name", ["dots.are.illegal", "x" * 65, ""])
def test_a_custom_id_outside_the_charset_is_refused(fake: FakeAnthropic, name: str) -> None:
    sent = {"requests": [{"custom_id": name, "params": body()}]}
    assert asked(fake, sent, path="/batches").status_code == 400


def test_a_bad_request_in_a_batch_is_errored_by_itself(fake: FakeAnthropic) -> None:
    """The vendor says that it looks at `params` only after it has taken the batch."""
    bad = body(thinking={"type": "disabled"})
    bad["output_config"]["effort"] = "max"
    sent = {"requests": [{"custom_id": "a", "params": body()}, {"custom_id": "b", "params": bad}]}
    held = fake.batches.held[asked(fake, sent, path="/batches").json()["id"]]
    kinds = {one["custom_id"]: one["result"]["type"] for one in held.results}
    assert kinds == {"a": "succeeded", "b": "errored"}


def one_field(**more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"a": {"type": "integer"} | more},
        "required": ["a"],
        "additionalProperties": False,
    }


OPTIONAL = one_field() | {"properties": {f"a{n}": {"type": "string"} for n in range(25)}}
UNION = {"anyOf": [{"type": "string"}, {"type": "null"}]}
NAMES = [f"a{n}" for n in range(17)]
LIMITS = {
    "minimum": one_field(minimum=1),
    "maxLength": one_field(maxLength=5),
    "maxItems": one_field(type="array", items={"type": "string"}, maxItems=2),
    "minItems": one_field(type="array", items={"type": "string"}, minItems=2),
    "format": one_field(type="string", format="colour"),
    "enum": one_field(enum=[{"a": 1}]),
    "additionalProperties": one_field() | {"additionalProperties": True},
    "is no property": one_field() | {"required": ["a", "b"]},
    "25 optional": OPTIONAL | {"required": []},
    "17 unions": one_field() | {"properties": dict.fromkeys(NAMES, UNION), "required": NAMES},
    "recursive": one_field() | {"properties": {"a": {"$ref": "#"}}},
    "external": one_field() | {"properties": {"a": {"$ref": "https://example.org/x"}}},
}


def test_the_limits_of_an_output_schema() -> None:
    """The 24 and 16 that are allowed, and one more or one keyword too many of each kind."""
    assert schema_complaint(one_field()) == ""
    assert schema_complaint(OPTIONAL | {"required": ["a0"]}) == ""
    for words, schema in LIMITS.items():
        said = schema_complaint(schema)
        assert words.split()[0] in said, (words, said)


@pytest.mark.parametrize("size", [16, 4, 1])
def test_the_product_s_schema_holds_them_by_the_vendor_s_own_library(size: int) -> None:
    """`transform_schema` moves what the vendor does not take into descriptions: nothing moves."""
    from anthropic import transform_schema

    schema = prompt.schema(size, "1")
    assert schema_complaint(schema) == ""
    assert transform_schema(schema) == schema
