"""What a setting's text may be: each refuses what it is not, in the words the operator reads."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from newsletter.zone_names import fault_of

HEADER = re.compile(r"[A-Za-z0-9-]+")
EVERYBODYS = re.compile(
    r"(?i)(host|connection|user-agent|referer|origin|cookie|authorization|date|via|forwarded"
    r"|upgrade-.+|content-.+|accept.*|sec-.+|cache-control|pragma|priority|te"
    r"|x-forwarded-(for|host|proto|port|server)|x-real-ip|x-request-id)"
)
"""Headers that come with every request, or that any client may send: they let everybody in."""
# The characters of RFC 3986, without the quote that could end an attribute of a page.
WEB_ADDRESS = re.compile(r"https?://[\w.~%:@\[\]-]+(/[\w.~%:@\[\]!$&()*+,;=/?#-]*)?", re.ASCII)
ADDRESS = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+\.[^@\s<>,;]+")


def _web_address(value: str) -> str:
    if not WEB_ADDRESS.fullmatch(value):
        message = "not a web address"
        raise ValueError(message)
    return value.rstrip("/")


def _address(value: str) -> str:
    if value and not ADDRESS.fullmatch(value):
        message = "not an email address"
        raise ValueError(message)
    return value


def _zone(value: str) -> str:
    if fault := fault_of(value):
        # A setting's value is never repeated: it may be a secret in the wrong place.
        raise ValueError(fault.removeprefix(f"{value!r} "))
    return value


def _clock(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        message = "not a time of day"
        raise ValueError(message)
    return value


def _proxy_header(value: str) -> str:
    if value and not HEADER.fullmatch(value):
        message = "not the name of a header"
        raise ValueError(message)
    if EVERYBODYS.fullmatch(value):
        message = "a header that everybody sends"
        raise ValueError(message)
    return value


WebAddress = Annotated[str, AfterValidator(_web_address)]
Address = Annotated[str, AfterValidator(_address)]
ProxyHeader = Annotated[str, AfterValidator(_proxy_header)]
Zone = Annotated[str, AfterValidator(_zone)]
Clock = Annotated[time, BeforeValidator(_clock)]
