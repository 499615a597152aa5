"""What the operator sees: every text as it is, never taken for markup."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from newsletter.cli.app import app
from newsletter.cli.console import ProgressLines, progress, screen, table
from newsletter.domain.formatting import dollars
from newsletter.domain.model import NANOS_PER_DOLLAR

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
        assert isinstance(report, ProgressLines)
        for done in range(9):
            report("reading [cs.LG]", done, 8)
        report("waiting", 0, 0)
        report("waiting", 0, 0)
    assert capsys.readouterr().out.splitlines() == [
        *(f"reading [cs.LG] {done} of 8" for done in (0, 2, 4, 6, 8)),
        "waiting",
    ]


def test_each_stage_counts_its_own_quarters(capsys):
    report = ProgressLines(screen())
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


RECORDS = [
    ["a.reader.with.a.long.name@department.example.org", "foundation-models", "active", 7],
    ["bo@example.org", "dwarf-galaxies", "unsubscribed", 1234],
]


def at_width(width):
    out = io.StringIO()
    headings = ("email", "rubric", "state", "papers read")
    Console(file=out, width=width, soft_wrap=True).print(table("Readers", headings, RECORDS))
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_address_and_no_slug_is_split_at_any_width(width):
    words = at_width(width).split()
    for email, slug, state, _ in RECORDS:
        assert {email, slug, state} <= {*words}
    assert "1,234" in words


def test_where_it_is_narrow_each_record_is_a_block():
    assert at_width(160).splitlines()[1].split() == [
        "email",
        "┃",
        "rubric",
        "┃",
        "state",
        "┃",
        "papers",
        "read",
    ]
    assert [line.split() for line in at_width(80).splitlines()] == [
        ["Readers"],
        ["email", "a.reader.with.a.long.name@department.example.org"],
        ["rubric", "foundation-models"],
        ["state", "active"],
        ["papers", "read", "7"],
        [],
        ["email", "bo@example.org"],
        ["rubric", "dwarf-galaxies"],
        ["state", "unsubscribed"],
        ["papers", "read", "1,234"],
    ]


def test_a_long_cell_is_wrapped_where_the_table_has_no_room_for_it():
    out = io.StringIO()
    rows = [["bo@example.org", "mailbox full: 日本 452"], ["ann@example.org", ""]]
    Console(file=out, width=32).print(table("", ("email", "bounced"), rows))
    assert [line.rstrip() for line in out.getvalue().splitlines()] == [
        "email           ┃ bounced",
        "━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━",
        "bo@example.org  │ mailbox full:",
        "                │ 日本 452",
        "ann@example.org │",
    ]


def test_a_row_of_a_table_is_one_piece_to_render():
    """Rich's own table takes 26 pieces for each row: 3 s of processor for 5,000 subscribers."""
    made = table("", [f"column {n}" for n in range(8)], [["a cell"] * 8] * 100)
    console = Console(file=io.StringIO(), width=160)
    assert len([*console.render(made)]) < 150


def test_the_lines_of_every_help_are_whole():
    runner = CliRunner()
    for words in ([], *([group.name] for group in app.registered_groups)):
        told = runner.invoke(app, [*words, "--help"], terminal_width=80).output
        rows = told.partition("Commands:")[2].partition("\n\n")[0]
        assert rows
        assert "..." not in rows
        assert all(len(line) <= 80 for line in told.splitlines())
