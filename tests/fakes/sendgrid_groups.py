"""SendGrid's batches, scheduled sends and personalizations, by the rules it documents."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable

FENCE_SECONDS = 600
MOST_WITHDRAWN = 10
FURTHEST_SECONDS = 72 * 3600


@dataclass(frozen=True)
class Received:
    """What one reader gets."""

    to: str
    name: str
    subject: str
    html: str
    text: str
    reply_to: str
    headers: dict[str, str]
    args: dict[str, str]


@dataclass
class Batches:
    """Which were named, which are withdrawn, and when each was to be sent."""

    clock: Callable[[], float] = time.time
    named: set[str] = field(default_factory=set)
    withdrawn: dict[str, float] = field(default_factory=dict)
    send_at: dict[str, float] = field(default_factory=dict)
    discarded: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0

    def new(self) -> tuple[int, object]:
        name = uuid4().hex
        self.named.add(name)
        return 201, {"batch_id": name}

    def cancel(self, wish: dict[str, Any]) -> tuple[int, object]:
        batch_id, now = wish.get("batch_id", ""), self.clock()
        when = self.send_at.get(batch_id)
        if (
            batch_id not in self.named
            or batch_id in self.withdrawn
            or (when is not None and when - now < FENCE_SECONDS)
            or len(self.withdrawn) >= MOST_WITHDRAWN
        ):
            self.refused += 1
            return 400, {"errors": [{"message": "the batch can't be cancelled", "field": None}]}
        self.withdrawn[batch_id] = now
        return 201, wish

    def let_go(self, batch_id: str, taken: list[dict[str, Any]]) -> tuple[int, object]:
        """What was taken for it is gone; what comes for it now would be sent."""
        if self.withdrawn.pop(batch_id, None) is None:
            return 404, {"errors": [{"message": "no such batch", "field": None}]}
        self.discarded += [one for one in taken if one.get("batch_id") == batch_id]
        return 204, None

    def look(self, batch_id: str) -> tuple[int, object]:
        known = [{"batch_id": batch_id, "status": "cancel"}] if batch_id in self.withdrawn else []
        return 200, known

    def complaint(self, request: dict[str, Any]) -> tuple[str, str] | None:
        """What is wrong with batch and time of a request to send: message and field."""
        batch_id, when = request.get("batch_id"), request.get("send_at")
        if batch_id is not None and batch_id not in self.named:
            return "no such batch", "batch_id"
        if when is not None and not 0 < when - self.clock() + 60 < FURTHEST_SECONDS:
            return "not a time to send at", "send_at"
        return None

    def take(self, request: dict[str, Any]) -> None:
        if request.get("batch_id") and request.get("send_at"):
            self.send_at[request["batch_id"]] = float(request["send_at"])

    def is_withdrawn(self, request: dict[str, Any]) -> bool:
        """A batch that was withdrawn holds back what comes for it later, as well."""
        if request.get("batch_id") in self.withdrawn:
            return True
        return any(request is one for one in self.discarded)


def received(request: dict[str, Any]) -> list[Received]:
    """What each reader of a request gets."""
    common = request.get("headers", {})
    content = {part["type"]: part["value"] for part in request["content"]}
    return [_one(request, person, common, content) for person in request["personalizations"]]


def _one(
    request: dict[str, Any], person: dict[str, Any], common: dict[str, str], content: dict[str, str]
) -> Received:
    words = person.get("substitutions", {})

    def filled(text: str) -> str:
        for tag, word in words.items():
            text = text.replace(tag, word)
        return text

    [to] = person["to"]
    return Received(
        to=to["email"],
        name=to.get("name", ""),
        subject=filled(request["subject"]),
        html=filled(content["text/html"]),
        text=filled(content["text/plain"]),
        reply_to=filled(request["reply_to"]["email"]),
        headers={**common, **person.get("headers", {})},
        args={**request.get("custom_args", {}), **person.get("custom_args", {})},
    )
