"""SendGrid's own description of its API (OpenAPI), to check every request in the
suite.

It is not in the tree. Where it lies beside it, stand-ins ask here about each request that comes in,
and fail the test at their end if one broke it. Benches measure, so they go without.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openapi_core import OpenAPI

    from tests.fakes.loopback import HttpHandler

SPEC = Path(__file__).parents[2].parent / "shared" / "specs" / "sendgrid-v3.json"
HOST = "https://api.sendgrid.com"
_turn = threading.Lock()


@cache
def description() -> OpenAPI:
    from openapi_core import Config, OpenAPI

    # That the description itself is sound is not ours to prove, and takes two seconds.
    return OpenAPI.from_file_path(str(SPEC), config=Config(spec_validator_cls=None))


def violation(method: str, path: str, headers: Mapping[str, Any], raw: bytes) -> str:
    """How a request breaks the description; empty when it does not."""
    from openapi_core.exceptions import OpenAPIError
    from openapi_core.testing import MockRequest

    asked = urlsplit(path)
    request = MockRequest(
        HOST,
        method.lower(),
        asked.path,
        args=parse_qs(asked.query),
        headers=dict(headers),
        data=raw or None,
        content_type=headers.get("Content-Type") or "",
    )
    with _turn:
        try:
            description().validate_request(request)
        except OpenAPIError as error:
            return f"{method} {path}: {error} {error.__cause__ or ''}"[:600]
    return ""


def check_request(handler: HttpHandler, raw: bytes) -> None:
    """Of a request that a stand-in has before it: what is wrong fails the test at its end."""
    if "pytest" not in sys.modules or not SPEC.is_file():
        return
    if wrong := violation(handler.command, handler.path, handler.headers, raw):
        handler.server.fake.violations.append(f"against SendGrid's description: {wrong}")
