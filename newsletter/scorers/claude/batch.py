"""The Batch API: half the price, most within an hour, at worst after a day.

platform.claude.com/docs/en/build-with-claude/batch-processing
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from newsletter.scorers import (
    BatchScorer,
    BatchSearch,
    CallFailure,
    CallResponse,
    ScorerError,
    ScoringBatch,
)
from newsletter.scorers.claude import response
from newsletter.scorers.claude.errors import RequestTarget

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from newsletter.scorers import ScoringCall
    from newsletter.scorers.claude.client import AnthropicClient

SLACK = timedelta(minutes=5)
"""How far the provider's clock may be off."""
PAGE, MAX_PAGES = 100, 20
"""Page size of the batch list, and the most pages that are searched."""
BATCH_ID = re.compile(r"[\w-]{1,128}", re.ASCII)


class ClaudeBatches:
    """Submits and collects batches. `custom_id` is the batch name and the call's ledger id."""

    def __init__(self, connection: AnthropicClient) -> None:
        self._connection = connection

    def submit(self, calls: Mapping[str, ScoringCall]) -> str:
        at = next(iter(calls.values())).at
        name = _batch_name(calls)
        requests = [
            {"custom_id": f"{name}-{call_id}", "params": call.body}
            for call_id, call in calls.items()
        ]
        with self._connection.translated_errors(at):
            batches = self._connection.client().messages.batches.with_raw_response
            raw = batches.create(requests=requests).read()  # type: ignore[arg-type]
        batch_id = response.parse_message(raw).get("id")
        if not isinstance(batch_id, str) or not BATCH_ID.fullmatch(batch_id):
            raise ScorerError(CallFailure.LOST, "the Batch API took calls without naming the batch")
        return batch_id

    def collect(self, batch_id: str, models: Mapping[str, str], at: datetime) -> ScoringBatch:
        with self._connection.translated_errors(at, RequestTarget.BATCH):
            batches = self._connection.client().messages.batches.with_raw_response
            state = _object(batches.retrieve(batch_id).read())
        if state.get("processing_status") != "ended":
            return ScoringBatch(ended=False)
        results = self._results(batch_id, at)
        return ScoringBatch(
            ended=True,
            answers={
                call_id: _answer(result, models[call_id], at)
                for call_id, result in results.items()
                if call_id in models
            },
        )

    def cancel(self, batch_id: str, at: datetime) -> None:
        with self._connection.translated_errors(at, RequestTarget.BATCH):
            self._connection.client().messages.batches.with_raw_response.cancel(batch_id).read()

    def find(
        self, call_ids: Collection[str], since: datetime, others: Collection[str]
    ) -> BatchSearch:
        """Search the results of ended batches for these call ids.

        A batch that still runs has no results yet: it may be ours if its size matches.
        """
        maybe_running = False
        for one in self._listed(since):
            batch_id = one.get("id")
            if not isinstance(batch_id, str) or batch_id in others:
                continue
            if _size(one) not in (None, len(call_ids)):
                continue
            if one.get("processing_status") != "ended":
                maybe_running = True
            elif self._holds(batch_id, call_ids, since):
                return BatchSearch(batch_id)
        return BatchSearch(maybe_running=maybe_running)

    def _listed(self, since: datetime) -> Iterator[dict[str, Any]]:
        """List the workspace's batches created since `since`, newest first."""
        last: dict[str, Any] = {}
        for _ in range(MAX_PAGES):
            with self._connection.translated_errors(since, RequestTarget.BATCH):
                batches = self._connection.client().messages.batches.with_raw_response
                page = _object(batches.list(limit=PAGE, **last).read())
            data = page.get("data")
            shown = [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
            young = [one for one in shown if _created(one) >= since - SLACK]
            yield from young
            last = {"after_id": page.get("last_id")}
            if page.get("has_more") is not True or len(young) < len(shown) or not shown:
                return
            if not isinstance(last["after_id"], str):
                return

    def _holds(self, batch_id: str, call_ids: Collection[str], at: datetime) -> bool:
        try:
            return not self._results(batch_id, at).keys().isdisjoint(call_ids)
        except ScorerError as error:
            if error.failure is CallFailure.GONE:
                return False
            raise

    def _results(self, batch_id: str, at: datetime) -> dict[str, dict[str, Any]]:
        """Results by call id, from the configured base URL: `results_url` is not followed."""
        import httpx2

        with self._connection.translated_errors(at, RequestTarget.BATCH):
            path = f"/v1/messages/batches/{batch_id}/results"
            raw = self._connection.client().get(path, cast_to=httpx2.Response).read()
        return dict(_result(line) for line in raw.splitlines() if line.strip())


def _batch_name(call_ids: Iterable[str]) -> str:
    """The common prefix of a batch's `custom_id`s."""
    return f"newsletter-{sha256(' '.join(sorted(call_ids)).encode()).hexdigest()[:12]}"


def _result(line: bytes) -> tuple[str, dict[str, Any]]:
    """Call id and result of a line. Batches of earlier versions have the call id alone."""
    one = _object(line)
    result = one.get("result")
    call_id = str(one.get("custom_id")).rpartition("-")[2]
    return call_id, result if isinstance(result, dict) else {}


def _answer(result: Mapping[str, Any], model: str, at: datetime) -> CallResponse | None:
    """Errored, canceled and expired requests are not billed."""
    message = result.get("message")
    if result.get("type") != "succeeded" or not isinstance(message, dict):
        return None
    raw = json.dumps(message).encode()
    return CallResponse(raw, response.parse_usage(raw, model, at, batch=True))


def _created(one: Mapping[str, Any]) -> datetime:
    """Creation time; without a readable one the latest possible, so that the batch is searched."""
    try:
        found = datetime.fromisoformat(str(one.get("created_at")))
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)


def _size(one: Mapping[str, Any]) -> int | None:
    """Number of requests in a batch; None when the counts are missing."""
    counts = one.get("request_counts")
    numbers = list(counts.values()) if isinstance(counts, dict) else []
    known = bool(numbers) and all(type(number) is int for number in numbers)
    return sum(numbers) if known else None


def _object(raw: bytes) -> dict[str, Any]:
    parsed = response.parse_message(raw)
    if not parsed:
        raise ScorerError(CallFailure.BUSY, "the Batch API did not answer with JSON")
    return parsed


_: type[BatchScorer] = ClaudeBatches
