"""Figures for whoever watches the service, as Prometheus reads them. Counts only: nobody is named.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import PlainTextResponse

from newsletter.model import NANOS_PER_DOLLAR
from newsletter.store import deliveries, digests, spending, subscribers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.web.desk import Desk

ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


def show(desk: Desk, _request: Request) -> Response:
    with desk.store.read() as tx:
        mails = deliveries.count_all(tx)
        people = subscribers.count_states(tx)
        paid, uncertain = spending.spent_since(tx, ALWAYS)
        halted = len(deliveries.halted(tx))
        newest = digests.editions(tx, 1)
    lines = [
        *_family("deliveries", "Mails by what is known of them", "state", mails),
        *_family("subscribers", "Subscribers by state", "state", people),
        *_one("spent_dollars", "Paid to the model's vendor so far", paid / NANOS_PER_DOLLAR),
        *_one("uncertain_dollars", "Perhaps paid besides, at most", uncertain / NANOS_PER_DOLLAR),
        *_one("halted_digests", "Digests whose mailing was stopped", halted),
    ]
    if newest:
        age = (desk.clock() - newest[0].at).total_seconds()
        lines += _one("newest_digest_age_seconds", "Since the newest digest was made", age)
    return PlainTextResponse(
        "\n".join([*lines, ""]),
        media_type="text/plain; version=0.0.4",
        headers={"Cache-Control": "no-store"},
    )


def _one(name: str, words: str, value: float) -> Iterator[str]:
    yield f"# HELP newsletter_{name} {words}"
    yield f"# TYPE newsletter_{name} gauge"
    yield f"newsletter_{name} {value}"


def _family(name: str, words: str, label: str, values: Mapping[Any, int]) -> Iterator[str]:
    yield f"# HELP newsletter_{name} {words}"
    yield f"# TYPE newsletter_{name} gauge"
    for state, number in sorted(values.items()):
        yield f'newsletter_{name}{{{label}="{state}"}} {number}'
