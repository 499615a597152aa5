"""What the vendor refuses, so that the stand-in refuses it too: headers, body and output schema.

The body is held against the types of the pinned SDK, where an unknown field is a fault; the output
schema against the documented limits of structured outputs
(platform.claude.com/docs/en/build-with-claude/structured-outputs).
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Complaint = tuple[int, str, str]
"""Status, type of the error, message."""

VERSION, KEY, TOKEN = "anthropic-version", "x-api-key", "authorization"
KEYWORDS = {
    *("type", "properties", "required", "additionalProperties", "items", "enum", "const"),
    *("anyOf", "allOf", "$ref", "$defs", "definitions", "description", "title", "default"),
    *("format", "minItems", "pattern"),
}
FORMATS = {
    *("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"),
}
ONE_AT_A_TIME = threading.Lock()
"""pydantic-core panics when threads iterate lazily checked values of one type."""
MOST_OPTIONAL, MOST_UNIONS, MOST_CACHE_MARKS = 24, 16, 4


def blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The blocks of text of a prompt, in their order."""
    contents = [body.get("system", [])] + [message["content"] for message in body["messages"]]
    listed = [[{"text": one}] if isinstance(one, str) else one for one in contents]
    return [block for content in listed for block in content]


def header_complaint(headers: Mapping[str, str]) -> Complaint | None:
    """The vendor's overview asks for a version and a key; a bearer token may stand for the key."""
    given = {name.lower(): value.strip() for name, value in headers.items()}
    if not (given.get(KEY) or given.get(TOKEN, "").startswith("Bearer ")):
        return 401, "authentication_error", f"{KEY} header is required"
    if not given.get(VERSION):
        return 400, "invalid_request_error", f"{VERSION}: header is required"
    if given.get("content-length", "0") != "0" and given.get("content-type") != "application/json":
        return 400, "invalid_request_error", "content-type: must be application/json"
    return None


def body_complaint(path: str, body: object) -> str:
    """What is wrong with the body of a POST to this path; empty when nothing."""
    kind = "batch" if path.endswith("/batches") else path.rpartition("/")[2]
    try:
        with ONE_AT_A_TIME:
            _whole(build_adapters()[kind].validate_python([body]))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(place) for place in first["loc"][1:])
        return f"{where}: {first['msg']}"
    except TypeError as error:
        return str(error)
    return ""


@cache
def build_adapters() -> dict[str, TypeAdapter[Any]]:
    """Pydantic adapters by the last part of the path: each of a list, as only that takes a config.

    The first call loads the SDK and takes a second or more: measure times only after it.
    """
    from anthropic.types import MessageCountTokensParams
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
    from anthropic.types.messages import BatchCreateParams

    strict = ConfigDict(extra="forbid")
    return {
        "messages": TypeAdapter(list[MessageCreateParamsNonStreaming], config=strict),
        "count_tokens": TypeAdapter(list[MessageCountTokensParams], config=strict),
        "batch": TypeAdapter(list[BatchCreateParams], config=strict),
    }


def _whole(value: object) -> None:
    """The SDK says Iterable, which pydantic checks only while somebody iterates.

    It also lets a block of an answer be sent back, and such a model takes any field. We send none.
    """
    if isinstance(value, BaseModel):
        message = f"{type(value).__name__}: Extra inputs are not permitted"
        raise TypeError(message)
    if isinstance(value, dict):
        for inner in value.values():
            _whole(inner)
    elif hasattr(value, "__iter__") and not isinstance(value, str | bytes):
        for inner in value:
            _whole(inner)


def message_complaint(body: dict[str, Any]) -> str:
    """What is wrong with a request whose types are right; empty when nothing."""
    config = body.get("output_config", {})
    thinking, effort = body.get("thinking", {}).get("type", "adaptive"), config.get("effort")
    marks = sum("cache_control" in block for block in blocks(body))
    wrong = {
        "prefill is not supported": body["messages"][-1]["role"] != "user",
        "thinking.type: not supported": thinking not in {"adaptive", "disabled"},
        "thinking cannot be disabled at this effort": thinking == "disabled"
        and effort in {"xhigh", "max"},
        "effort is not supported": "haiku-4-5" in body["model"] and effort is not None,
        "max_tokens: must be at least 1": body.get("max_tokens", 1) < 1,
        "cache_control: at most 4 blocks may bear it": marks > MOST_CACHE_MARKS,
    }
    schema = config.get("format", {}).get("schema")
    if found := [said for said, holds in wrong.items() if holds]:
        return found[0]
    return schema_complaint(schema) if schema is not None else ""


def schema_complaint(schema: dict[str, Any]) -> str:
    """What is wrong with an output schema; empty when nothing.

    What a $ref names counts where it is named, as often as it is named.
    """
    try:
        parts = list(_expanded(schema, schema, ()))
    except (LookupError, RecursionError) as error:
        return f"output_config.format.schema: {error}"
    for part in parts:
        if complaint := _part_complaint(part):
            return f"output_config.format.schema: {complaint}"
    optional = sum(len(p.get("properties", {})) - len(p.get("required", [])) for p in parts)
    unions = sum("anyOf" in part or isinstance(part.get("type"), list) for part in parts)
    if optional > MOST_OPTIONAL:
        return f"Schema is too complex: {optional} optional parameters, at most {MOST_OPTIONAL}"
    if unions > MOST_UNIONS:
        return f"Schema is too complex: {unions} unions, at most {MOST_UNIONS}"
    return ""


def _part_complaint(part: dict[str, Any]) -> str:
    unknown = sorted(part.keys() - KEYWORDS)
    unnamed = sorted(set(part.get("required", [])) - part.get("properties", {}).keys())
    closed = part.get("additionalProperties") is False
    wrong = {
        f"property {unknown[:1]} is not supported": bool(unknown),
        "for 'object' type, 'additionalProperties' must be explicitly set to false": not closed
        and part.get("type") == "object",
        "minItems: values other than 0 or 1 are not supported": part.get("minItems", 0) > 1,
        f"format {part.get('format')} is not supported": part.get("format", "uuid") not in FORMATS,
        "enum: complex types are not supported": any(
            isinstance(value, dict | list) for value in part.get("enum", [])
        ),
        f"required: {unnamed[:1]} is no property": bool(unnamed),
    }
    return next((said for said, holds in wrong.items() if holds), "")


def _expanded(
    part: dict[str, Any], root: dict[str, Any], inside: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """The schema and all schemas inside, with each reference replaced by what it names."""
    if name := part.get("$ref"):
        if name in inside:
            message = f"recursive reference {name}"
            raise RecursionError(message)
        yield from _expanded(_named(name, root), root, (*inside, name))
        return
    yield part
    inner = [*part.get("properties", {}).values(), *part.get("anyOf", []), *part.get("allOf", [])]
    for one in [*inner, part["items"]] if "items" in part else inner:
        yield from _expanded(one, root, inside)


def _named(name: str, root: dict[str, Any]) -> dict[str, Any]:
    if not name.startswith("#"):
        message = f"external reference {name}"
        raise LookupError(message)
    found: Any = root
    for step in name.split("/")[1:]:
        found = found[step]
    return dict(found)
