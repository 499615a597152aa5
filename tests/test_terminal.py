"""What the operator sees: every text as it is, never taken for markup."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from newsletter.model import NANOS_PER_DOLLAR
from newsletter.terminal import Lines, dollars, progress, screen, table

HOSTILE = r"[red]x[/] [/nothing] \[b] :fire:"


def shown(made, *, markup):
    out = io.StringIO()
    Console(file=out, width=120, markup=markup).print(made)
    return out.getvalue()


@pytest.mark.parametrize("markup", [True, False])
def test_a_table_shows_every_text_as_it_is(markup):
    text = shown(table(f"T {HOSTILE}", [f"H {HOSTILE}"], [[HOSTILE]]), markup=markup)
    assert f"T {HOSTILE}" in text
    assert f"H {HOSTILE}" in text
    assert text.count(HOSTILE) == 3


def test_figures_stand_to_the_right_with_their_thousands():
    lines = shown(table("", ["name", "papers"], [["a", 1234567], ["b", 5]]), markup=False)
    rows = [line.rstrip() for line in lines.splitlines()]
    assert rows[-2].endswith("1,234,567")
    assert rows[-1].endswith(" 5")
    assert len(rows[-1]) == len(rows[-2])


def test_a_message_on_the_screen_is_shown_as_it_is(capsys):
    screen().print(HOSTILE)
    screen(errors=True).print(HOSTILE)
    assert capsys.readouterr() == (f"{HOSTILE}\n", f"{HOSTILE}\n")


def test_without_a_terminal_progress_is_a_line_for_each_quarter(capsys):
    with progress(screen()) as report:
        assert isinstance(report, Lines)
        for done in range(9):
            report("reading [cs.LG]", done, 8)
        report("waiting", 0, 0)
        report("waiting", 0, 0)
    assert capsys.readouterr().out.splitlines() == [
        *(f"reading [cs.LG] {done} of 8" for done in (0, 2, 4, 6, 8)),
        "waiting",
    ]


def test_each_stage_counts_its_own_quarters(capsys):
    report = Lines(screen())
    for stage in ("one", "two"):
        report(stage, 0, 100)
        report(stage, 24, 100)
        report(stage, 25, 100)
    assert capsys.readouterr().out.splitlines() == [
        "one 0 of 100",
        "one 25 of 100",
        "two 0 of 100",
        "two 25 of 100",
    ]


@pytest.mark.parametrize(
    ("nanos", "expected"),
    [
        (0, "$0.00"),
        (NANOS_PER_DOLLAR // 10_000, "$0.0001"),
        (99 * NANOS_PER_DOLLAR // 1000, "$0.0990"),
        (NANOS_PER_DOLLAR // 10, "$0.10"),
        (1_234 * NANOS_PER_DOLLAR, "$1,234.00"),
    ],
)
def test_dollars_are_as_fine_as_they_need_to_be(nanos, expected):
    assert dollars(nanos) == expected
