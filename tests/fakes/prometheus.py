"""A strict reader of Prometheus' text format 0.0.4, and of how its measures are to be named."""

from __future__ import annotations

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(
    rf"(?P<name>{NAME})(?:\{{(?P<labels>{LABEL}(?:,{LABEL})*)\}})? "
    r"(?P<value>[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf)|NaN)"
)
HELP = re.compile(rf"# HELP (?P<name>{NAME}) (?P<words>(?:[^\\\n]|\\[\\n])+)")
TYPE = re.compile(rf"# TYPE (?P<name>{NAME}) (?P<type>counter|gauge)")
NOT_BASE_UNITS = ("_ms", "_milliseconds", "_minutes", "_hours", "_percent", "_cents", "_kilobytes")


def parse(text: str) -> dict[str, float]:
    """Each series with its value. Raises AssertionError where a line is not to the letter."""
    assert text.endswith("\n")
    found: dict[str, float] = {}
    lines = iter(text.removesuffix("\n").split("\n"))
    types: dict[str, str] = {}
    family = ""
    for line in lines:
        if told := HELP.fullmatch(line):
            family = told["name"]
            kind = TYPE.fullmatch(next(lines))
            assert kind, f"HELP of {family} without a TYPE after it"
            assert kind["name"] == family
            assert family not in types, f"{family} comes twice"
            types[family] = kind["type"]
            assert (kind["type"] == "counter") == family.endswith("_total"), family
            assert not family.endswith(NOT_BASE_UNITS), family
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, f"no line of the format: {line!r}"
        assert sample["name"] == family, f"{line!r} stands among {family}"
        series = line.rpartition(" ")[0]
        assert series not in found, f"{series} comes twice"
        found[series] = float(sample["value"])
        assert types[family] != "counter" or found[series] >= 0
    assert set(types) == {series.partition("{")[0] for series in found}, "a family is empty"
    return found
