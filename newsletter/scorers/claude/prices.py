"""Model features and token prices, read from `prices.toml`. Money is integer nano-dollars."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsletter.domain.model import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = Path(__file__).with_name("prices.toml")
MAX_TOKENS = 1_000_000_000
"""Upper limit of a plausible token count."""


@dataclass(frozen=True, slots=True)
class ModelFeatures:
    """Features of a model; `prices.toml` explains each."""

    min_cached_tokens: int
    can_disable_thinking: bool
    has_effort: bool


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars per token by kind, for prompts above `above` tokens."""

    above: int
    input: int
    output: int
    cache_write: int
    cache_write_1h: int
    cache_read: int


def models() -> list[str]:
    """Names of the models with both features and a price."""
    priced_ones = {str(row["model"]) for row in _rows()}
    return sorted(priced_ones & _table()["model"].keys())


def last_resort() -> str:
    return str(_table()["last_resort"])


def features(model: str) -> ModelFeatures:
    return ModelFeatures(**_table()["model"][model])


def prices(model: str, day: date) -> list[Price]:
    """Price bands of `model` on `day`, the highest first; empty for an unknown model."""
    rows = [row for row in _rows() if row["model"] == model and row["from"] <= day]
    # Before its first date a model has its first known price: this machine's clock may be wrong.
    rows = rows or [row for row in _rows() if row["model"] == model]
    newest = max((row["from"] for row in rows), default=date.min)
    bands = [_price(row) for row in rows if row["from"] == newest]
    return sorted(bands, key=lambda price: -price.above)


def upper_bound(
    model: str, day: date, prompt_tokens: int, max_tokens: int, *, hour: bool = False
) -> int:
    """Upper bound of a call's cost: every prompt token is written to the cache.

    `hour` is for the one-hour cache; the caller applies the batch discount.
    """
    price = _band(model, day, prompt_tokens)
    write = price.cache_write_1h if hour else price.cache_write
    return prompt_tokens * write + max_tokens * price.output


def price_usage(
    model: str,
    day: date,
    counts: Mapping[str, Any],
    *,
    batch: bool = False,
    hour: bool = False,
) -> Usage:
    """Price an answer's `usage` by kind of token.

    Raises ValueError for invalid counts or a model without a price. In a batch, and with `hour`,
    cache writes of unstated duration have the price of the one-hour cache.
    """
    long = _count(counts, "cache_creation_input_tokens")
    detail = counts.get("cache_creation")
    if isinstance(detail, dict):
        hourly = min(long, _count(detail, "ephemeral_1h_input_tokens"))
    else:
        hourly = long if batch or hour else 0
    read = _count(counts, "cache_read_input_tokens")
    fresh = _count(counts, "input_tokens", needed=True)
    output = _count(counts, "output_tokens", needed=True)
    price = _band(model, day, fresh + long + read)
    written = (long - hourly) * price.cache_write + hourly * price.cache_write_1h
    input_nanos = fresh * price.input + written + read * price.cache_read
    output_nanos = output * price.output
    if batch:
        # Half a nano-dollar is rounded up, once for each call.
        whole = -(-(input_nanos + output_nanos) // 2)
        output_nanos //= 2
        input_nanos = whole - output_nanos
    return Usage(model, fresh, output, long, read, input_nanos, output_nanos)


def _band(model: str, day: date, prompt_tokens: int) -> Price:
    bands = prices(model, day)
    if not bands:
        message = f"no price is known for {model}"
        raise ValueError(message)
    return next(price for price in bands if prompt_tokens > price.above or price is bands[-1])


def _count(counts: Mapping[str, Any], name: str, *, needed: bool = False) -> int:
    value = counts.get(name)
    if value is None and not needed:
        return 0
    if type(value) is not int or not 0 <= value <= MAX_TOKENS:
        message = f"{name} is no count"
        raise ValueError(message)
    return value


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _table()["price"]
    return rows


def _price(row: Mapping[str, Any]) -> Price:
    kinds = ("input", "output", "cache_write", "cache_write_1h", "cache_read")
    return Price(int(row.get("above", 0)), *(int(Decimal(row[kind]) * 1000) for kind in kinds))
