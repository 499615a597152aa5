"""Whether the key and the model hold: one count of tokens, which is free."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from newsletter.findings import Told, fail, http_date, ok
from newsletter.scorers import Failure, ScorerError
from newsletter.scorers.claude.wire import Wire

if TYPE_CHECKING:
    from newsletter.settings import Settings

CHECK = "anthropic key"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""Only a Retry-After that is a date would be measured from it, and nobody waits here."""


def check(settings: Settings, timeout: float) -> Told:
    wire = Wire(settings.anthropic_api_key.get_secret_value(), settings.anthropic_base_url, timeout)
    try:
        with wire.proving(LONG_AGO):
            answer = wire.client().messages.with_raw_response.count_tokens(
                model=settings.model, messages=[{"role": "user", "content": "1"}]
            )
    except ScorerError as error:
        fatal = error.failure is Failure.FATAL
        fix = "mend it before the morning" if fatal else "try again; see status.claude.com"
        return Told((fail(CHECK, str(error), fix),))
    said = f"Anthropic takes the key, and knows {settings.model}"
    return Told((ok(CHECK, said),), http_date(answer.headers.get("date", "")))
