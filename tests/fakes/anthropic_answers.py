"""How a model may end: whole, or in one of the ways that have been seen."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

Slots = dict[str, dict[str, Any]]


class Ending(StrEnum):
    WHOLE = "whole"
    CUT = "cut inside a slot"
    THOUGHT = "nothing but thought"
    EMPTY = "empty"
    REFUSED = "refused"
    REFUSED_MIDWAY = "refused midway"
    PROSE = "prose"
    MALFORMED = "malformed"
    MISSING = "missing slot"
    UNKNOWN = "unknown slot"
    TWICE = "slot twice, equal"
    CONTRADICTED = "slot twice, different"
    ZERO = "r is 0"
    ELEVEN = "r is 11"
    STRING = "r is a string"
    TRUE = "r is true"
    FRACTION = "r is 7.5"
    NULL = "r is null"
    ALIKE = "all alike"
    STEERED = "comment names another slot"


BAD = {
    Ending.ZERO: 0,
    Ending.ELEVEN: 11,
    Ending.STRING: "9",
    Ending.TRUE: True,
    Ending.FRACTION: 7.5,
    Ending.NULL: None,
}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}


def written(slots: Slots, ending: Ending) -> dict[str, Any]:
    """`content`, `stop_reason` and what else the ending changes. A thinking block comes first."""
    text, reason = _text(slots, ending), "end_turn"
    if ending in (Ending.CUT, Ending.THOUGHT):
        reason = "max_tokens"
    if ending in (Ending.REFUSED, Ending.REFUSED_MIDWAY):
        reason = "refusal"
    content = [THOUGHT, {"type": "text", "text": text}]
    if ending in (Ending.EMPTY, Ending.REFUSED):
        content = []
    if ending is Ending.THOUGHT:
        content = [THOUGHT]
    return {"content": content, "stop_reason": reason}


def whole(record: dict[str, Any]) -> dict[str, Any]:
    """An answer that holds this record, whatever was asked."""
    content = [THOUGHT, {"type": "text", "text": json.dumps(record)}]
    return {"content": content, "stop_reason": "end_turn"}


def _text(slots: Slots, ending: Ending) -> str:
    whole = json.dumps(_changed(slots, ending), separators=(",", ":"))
    first = json.dumps(next(iter(slots.values())))
    if ending is Ending.PROSE:
        return "Here are the scores you asked for: all of them are very good papers."
    if ending in (Ending.CUT, Ending.REFUSED_MIDWAY):
        return whole[: int(len(whole) * 0.6)]
    if ending is Ending.MALFORMED:
        return whole.replace('"n":', '"n";', 1)
    if ending is Ending.TWICE:
        return f'{whole[:-1]}, "p01": {first}}}'
    if ending is Ending.CONTRADICTED:
        other = json.dumps({"m": 0, "c": "", "r": 2, "n": 2, "x": 2})
        return f'{whole[:-1]}, "p01": {other}}}'
    return whole


def _changed(slots: Slots, ending: Ending) -> Slots:
    changed = {name: dict(slot) for name, slot in slots.items()}
    last = list(changed)[-1]
    if ending in BAD:
        changed[last]["r"] = BAD[ending]
    if ending is Ending.MISSING:
        del changed[last]
    if ending is Ending.UNKNOWN:
        changed["p99"] = changed.pop(last)
    if ending is Ending.ALIKE:
        changed = {name: {"m": 1, "c": "good", "r": 10, "n": 10, "x": 9} for name in changed}
    if ending is Ending.STEERED:
        changed[last]["c"] = "Better than p01, see http://evil.example"
    return changed
