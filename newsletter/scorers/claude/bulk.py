"""The Batch API: half the price, most within an hour, at worst after a day.

platform.claude.com/docs/en/build-with-claude/batch-processing
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from newsletter.scorers import Answer, Batch, Batcher, Failure, ScorerError
from newsletter.scorers.claude import answer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from newsletter.scorers import Call
    from newsletter.scorers.claude.wire import Wire

SLACK = timedelta(minutes=5)
"""How far the other side's clock may be off."""


class Bulk:
    """Calls are known by their ids in the ledger: `custom_id` allows exactly such names."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def submit(self, calls: Mapping[str, Call]) -> str:
        at = next(iter(calls.values())).at
        requests = [{"custom_id": key, "params": call.body} for key, call in calls.items()]
        with self._wire.proving(at):
            batches = self._wire.client().messages.batches.with_raw_response
            raw = batches.create(requests=requests).read()  # type: ignore[arg-type]
        if not (batch_id := answer.envelope(raw).get("id")):
            raise ScorerError(Failure.LOST, "the Batch API took calls without naming the batch")
        return str(batch_id)

    def collect(self, batch_id: str, at: datetime) -> Batch:
        with self._wire.proving(at):
            batches = self._wire.client().messages.batches.with_raw_response
            state = _object(batches.retrieve(batch_id).read())
        if state.get("processing_status") != "ended":
            return Batch(ended=False)
        return Batch(ended=True, answers=dict(self._results(batch_id, at)))

    def cancel(self, batch_id: str, at: datetime) -> None:
        with self._wire.proving(at):
            self._wire.client().messages.batches.cancel(batch_id)

    def find(self, call_ids: Collection[str], since: datetime) -> str | None:
        with self._wire.proving(since):
            batches = self._wire.client().messages.batches.with_raw_response
            listed = _object(batches.list(limit=100).read()).get("data", [])
        for one in listed:
            if datetime.fromisoformat(one["created_at"]) < since - SLACK:
                continue
            if one["processing_status"] != "ended":
                return str(one["id"])
            if set(dict(self._results(one["id"], since))) & set(call_ids):
                return str(one["id"])
        return None

    def _results(self, batch_id: str, at: datetime) -> list[tuple[str, Answer | None]]:
        """From our own base address: an address in an answer is not followed."""
        import httpx2

        with self._wire.proving(at):
            path = f"/v1/messages/batches/{batch_id}/results"
            raw = self._wire.client().get(path, cast_to=httpx2.Response).read()
        return [_result(line, at) for line in raw.splitlines() if line.strip()]


def _result(line: bytes, at: datetime) -> tuple[str, Answer | None]:
    one = _object(line)
    key, result = str(one.get("custom_id")), one.get("result", {})
    message = result.get("message")
    if result.get("type") != "succeeded" or not isinstance(message, dict):
        # Errored, canceled and expired requests are not billed.
        return key, None
    raw = json.dumps(message).encode()
    return key, Answer(raw, answer.usage_of(raw, str(message.get("model")), at, batch=True))


def _object(raw: bytes) -> dict[str, Any]:
    parsed = answer.envelope(raw)
    if not parsed:
        raise ScorerError(Failure.BUSY, "the Batch API did not answer with JSON")
    return parsed


_: type[Batcher] = Bulk
