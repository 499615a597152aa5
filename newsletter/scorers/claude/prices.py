"""What tokens cost. The table is `prices.toml`; money is integer nano-dollars."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsletter.model import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = Path(__file__).with_name("prices.toml")


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars per token by kind, of prompts above so many tokens."""

    above: int
    input: int
    output: int
    cache_write: int
    cache_write_1h: int
    cache_read: int


def models() -> list[str]:
    return sorted({str(row["model"]) for row in _table()})


def prices(model: str, day: date) -> list[Price]:
    """The bands that hold for `model` on `day`, the highest first; empty for an unknown model."""
    rows = [row for row in _table() if row["model"] == model and row["from"] <= day]
    # Before its first date a model has the first price known: a clock may be wrong, a bill not.
    rows = rows or [row for row in _table() if row["model"] == model]
    newest = max((row["from"] for row in rows), default=date.min)
    bands = [_price(row) for row in rows if row["from"] == newest]
    return sorted(bands, key=lambda price: -price.above)


def upper_bound(model: str, day: date, prompt_tokens: int, max_tokens: int) -> int:
    """The most a call can cost: every token of the prompt written to the cache for five minutes."""
    price = _band(model, day, prompt_tokens)
    return prompt_tokens * price.cache_write + max_tokens * price.output


def priced(model: str, day: date, counted: Mapping[str, Any], *, batch: bool = False) -> Usage:
    """An answer's own `usage`, priced by kind. Raises ValueError where the counts are no counts."""
    long = _count(counted, "cache_creation_input_tokens")
    detail = counted.get("cache_creation")
    hour = _count(detail, "ephemeral_1h_input_tokens") if isinstance(detail, dict) else 0
    read = _count(counted, "cache_read_input_tokens")
    fresh = _count(counted, "input_tokens", needed=True)
    output = _count(counted, "output_tokens", needed=True)
    price = _band(model, day, fresh + long + read)
    written = (long - hour) * price.cache_write + hour * price.cache_write_1h
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
    return next(price for price in bands if prompt_tokens > price.above or price is bands[-1])


def _count(counted: Mapping[str, Any], name: str, *, needed: bool = False) -> int:
    value = counted.get(name)
    if value is None and not needed:
        return 0
    if type(value) is not int or value < 0:
        message = f"{name} is no count"
        raise ValueError(message)
    return value


@cache
def _table() -> tuple[dict[str, Any], ...]:
    return tuple(tomllib.loads(TABLE.read_text(encoding="utf-8"))["price"])


def _price(row: Mapping[str, Any]) -> Price:
    kinds = ("input", "output", "cache_write", "cache_write_1h", "cache_read")
    return Price(int(row.get("above", 0)), *(int(Decimal(row[kind]) * 1000) for kind in kinds))
