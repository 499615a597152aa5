"""The second pass in few large and in more, smaller calls: its time and its price, side by side.

A real day of the corpus against the Messages API stand-in, whose output takes time. Both columns
are measured in one run; "before" is four calls of sixteen papers, which wait for the first call of
their prompt prefix to be answered.
"""

from __future__ import annotations

from dataclasses import replace

from bench.harness import corpus
from bench.harness.report import arguments, print_table
from bench.scenarios.scoring import (
    CONCURRENCY,
    DAY,
    LATENCY,
    PAPERS,
    TOKENS_PER_SECOND,
    Case,
    Row,
    measure,
)

BEFORE = (16, 4, 1)
FOREVER = 3600.0


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rubrics", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--latency", type=float, default=LATENCY)
    parser.add_argument("--tokens-per-second", type=float, default=TOKENS_PER_SECOND)
    given = parser.parse_args()
    corpus.require()
    papers = corpus.papers(DAY, PAPERS)
    print(
        f"{len(papers)} papers of {DAY}, {CONCURRENCY} calls at once, {given.latency} s latency, "
        f"{given.tokens_per_second:g} output tokens a second"
    )
    for count in given.rubrics:
        now = Case(
            count,
            "now",
            schema_cached=True,
            latency=given.latency,
            tokens_per_second=given.tokens_per_second,
        )
        before = replace(now, second_pass_sizes=BEFORE, cache_write_seconds=FOREVER)
        rows = [measure(papers, before), measure(papers, now)]
        print_table([f"{count} rubrics", "before", "now"], [*compared(*rows)])


def compared(before: Row, now: Row) -> list[list[str]]:
    def line(name: str, form: str, *values: float) -> list[str]:
        return [name, *(format(value, form) for value in values)]

    both = (before, now)
    return [
        line("second pass, s", ".1f", *(row.second_pass_wall for row in both)),
        line("whole day, s", ".1f", *(row.wall for row in both)),
        line("the least that all calls take, s", ".1f", *(row.least for row in both)),
        line("calls", "d", *(row.calls for row in both)),
        line("dollars of a rubric-day", ".4f", *(row.dollars for row in both)),
    ]
