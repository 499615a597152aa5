"""Whatever the vendor answers, only the adapter's own error leaves it, and money stays a count."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from newsletter.scorers import ScorerError, ScoringRequest
from newsletter.scorers.claude import response
from newsletter.scorers.claude.errors import ErrorResponse, RequestTarget, to_scorer_error
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.loopback import HttpHandler, Loopback
from tests.fakes.scoring import MORNING, RUBRIC, claude, papers, scores_in_abstract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from newsletter.scorers.claude.scorer import ClaudeScorer

REQUEST = ScoringRequest(RUBRIC, tuple(papers(4)))
NAMES = [
    *("id", "type", "model", "content", "text", "stop_reason", "usage", "input_tokens"),
    *("output_tokens", "cache_creation_input_tokens", "cache_creation", "error", "message"),
    *("details", "error_code", "processing_status", "request_counts", "processing", "data"),
    *("created_at", "has_more", "last_id", "custom_id", "result", "p01", "m", "c", "r", "n", "x"),
]
WORDS = [
    *("message", "text", "end_turn", "max_tokens", "refusal", "ended", "in_progress", "succeeded"),
    *(
        "claude-haiku-5-5",
        "claude-haiku-5-5-20261007",
        "msgbatch_1",
        "2026-11-20T06:00:00",
        "error",
    ),
    *("2026-11-20T06:00:00Z", "\ud800", '{"p01": {"m":1,"c":"\\ud800","r":8,"n":7,"x":3}}'),
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-1, 10**20)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=12,
)


def _raw(value: Any) -> bytes:
    return json.dumps(value).encode()


BODIES = (
    JSON.map(_raw)
    | st.lists(JSON, max_size=3).map(lambda many: b"\n".join(_raw(one) for one in many))
    | st.binary(max_size=20)
    | st.sampled_from([b"", b"<html>", b"[" * 100_000, b"9" * 5_000, b"\xff\xfe{}"])
)
STATUSES = st.sampled_from([200, 200, 200, 301, 400, 401, 404, 413, 418, 429, 500, 529])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "retry-after": st.sampled_from(["9" * 400, "-1", "Mon, 99 Foo 0000 99:99:99", "soon"]),
        "content-type": st.sampled_from(["application/json", "text/html", "a/b; charset=none"]),
        "anthropic-ratelimit-requests-limit": st.sampled_from(["x", "9" * 400, "nan"]),
        "content-encoding": st.just("gzip"),
    },
)


class Says(Loopback):
    """Answers everything with one and the same."""

    def __init__(self) -> None:
        self.said: tuple[int, bytes, dict[str, str]] = (200, b"", {})
        self.bind(_Handler)


class _Handler(HttpHandler):
    def get(self) -> None:
        self.body() if self.headers["Content-Length"] else None
        self.answer(*self.server.fake.said)

    post = get


@pytest.fixture(scope="module")
def saying() -> Iterator[Says]:
    with Says() as serving:
        yield serving


@pytest.fixture(scope="module")
def scorer(saying: Says) -> ClaudeScorer:
    """One for all: a client takes longer to make than a request."""
    return claude(saying)  # type: ignore[arg-type]


ENTRIES: dict[str, Callable[[ClaudeScorer, Any], object]] = {
    "ask": lambda scorer, call: scorer.read(REQUEST, "m", scorer.ask(call).raw),
    "weigh": lambda scorer, call: scorer.estimate_usage(call),
    "submit": lambda scorer, call: scorer.batcher.submit({"a" * 32: call}),
    "collect": lambda scorer, _: scorer.batcher.collect("b", {"a": "claude-haiku-5-5"}, MORNING),
    "cancel": lambda scorer, _: scorer.batcher.cancel("b", MORNING),
    "find": lambda scorer, _: scorer.batcher.find(["a"], MORNING, []),
}


@given(entry=st.sampled_from(sorted(ENTRIES)), status=STATUSES, raw=BODIES, headers=HEADERS)
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(entry="weigh", status=200, raw=b"<html>", headers={})
@example(entry="cancel", status=200, raw=b"<html>", headers={})
@example(
    entry="find", status=200, raw=b'{"data": [{"created_at": "2026-11-20T06:00:00"}]}', headers={}
)
@example(
    entry="find", status=200, raw=b'{"data": [7], "has_more": true, "last_id": "x"}', headers={}
)
@example(entry="submit", status=200, raw=b'{"id": {"a": 1}}', headers={})
@example(
    entry="collect",
    status=200,
    raw=b'{"processing_status": "ended", "custom_id": "a", "result": {"type": "succeeded", '
    b'"message": {"model": "claude-haiku-5-5-20261007", '
    b'"usage": {"input_tokens": 1, "output_tokens": 1}}}}',
    headers={},
)
@example(entry="ask", status=429, raw=b"", headers={"retry-after": "9" * 400})
@example(entry="ask", status=400, raw=b"[" * 100_000, headers={"content-type": "application/json"})
def test_only_the_adapter_s_own_error_leaves_it(
    saying: Says, scorer: ClaudeScorer, entry: str, status: int, raw: bytes, headers: dict[str, str]
) -> None:
    """Red before: StopIteration, AttributeError, TypeError, ValueError and JSONDecodeError."""
    saying.said = status, raw, headers
    with suppress(ScorerError):
        ENTRIES[entry](scorer, scorer.call(REQUEST, MORNING))


@given(JSON, st.sampled_from(["claude-haiku-5-5", "claude-haiku-5-5-20261007", ""]), st.booleans())
def test_what_an_answer_costs_is_a_count_or_unknown(value: Any, model: str, batch: bool) -> None:  # noqa: FBT001
    for raw in (_raw(value), _raw({"usage": value})):
        usage = response.parse_usage(raw, model, MORNING, batch=batch)
        assert usage is None or 0 <= usage.total_nanos < 2**63


@given(JSON, st.sampled_from(["end_turn", "max_tokens", "refusal"]))
def test_any_answer_can_be_read_and_written(value: Any, reason: str) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    message = {"content": [{"type": "text", "text": text}], "stop_reason": reason}
    pass_number = response.read(REQUEST, "m", _raw(message))
    for score in pass_number.scores.values():
        score.comment.encode()


@given(st.integers(100, 599), st.text(max_size=50), st.text(max_size=50), st.booleans())
def test_every_error_is_told_in_one_line(status: int, said: str, wait: str, known: bool) -> None:  # noqa: FBT001
    refused = ErrorResponse(status, said, retry_after=wait, from_api=known)
    for about in RequestTarget:
        told = str(to_scorer_error(refused, about, MORNING))
        assert told.isprintable()
        assert told.encode()


def test_the_stand_in_itself_is_understood_at_each_entry() -> None:
    """So that the fuzzing above does not pass because nothing ever works."""
    with FakeAnthropic(scores_in_abstract) as fake:
        scorer = claude(fake)
        call = scorer.call(REQUEST, MORNING)
        assert len(scorer.read(REQUEST, call.model, scorer.ask(call).raw).scores) == 4
        assert scorer.estimate_usage(call)
        assert scorer.batcher
        batch_id = scorer.batcher.submit({"a" * 32: call})
        assert scorer.batcher.collect(batch_id, {"a" * 32: call.model}, MORNING).answers["a" * 32]
        assert scorer.batcher.find(["a" * 32], MORNING, []).batch_id == batch_id
        scorer.batcher.cancel(batch_id, MORNING)
