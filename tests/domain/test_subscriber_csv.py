"""subscribers.csv: every fault with its line; what is written reads back."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, time
from pathlib import Path
from time import thread_time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.mail import WEEKDAYS, Format, Subscription
from newsletter.domain.preferences import parse_days
from newsletter.domain.subscriber_csv import SubscriberRow, read_subscribers, write_subscribers
from newsletter.domain.subscriber_import import new_subscription
from newsletter.rubrics.folder import RubricFolder
from tests.suite_size import LARGE

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
RUBRICS = {"models", "stars"}
NOW = datetime(2025, 9, 23, 6, 0, tzinfo=UTC)
MANY = 100_000 if LARGE else 30_000
HEADER = "email,rubric,name,timezone,send_at,days,max_papers,format\n"


def rows(data):
    roster = read_subscribers(data, RUBRICS)
    assert [str(fault) for fault in roster.faults] == []
    return roster.rows


def faults(data):
    roster = read_subscribers(data, RUBRICS)
    return [str(fault) for fault in roster.faults]


def test_a_full_row():
    line = "Ada@Example.org,models,Ada L.,Europe/Berlin,07:30,mon wed fri,20,brief\n"
    assert rows(HEADER + line) == (
        SubscriberRow(
            2,
            "Ada@example.org",
            "models",
            "Ada L.",
            "Europe/Berlin",
            time(7, 30),
            ("mon", "wed", "fri"),
            20,
            Format.BRIEF,
        ),
    )


def test_two_columns_are_enough():
    assert rows("email,rubric\na@x.org,models\n") == (SubscriberRow(2, "a@x.org", "models"),)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfemail,rubric,name\na@x.org,models,\xc3\x89va\n",
        "email;rubric;name\r\na@x.org;models;Éva\r\n".encode(),
        "email\trubric\tname\ra@x.org\tmodels\tÉva\r".encode(),
        " Email , RUBRIC,Name \n a@x.org , models , Éva \n".encode(),
        "name,rubric,email\n\n,,\nÉva,models,a@x.org".encode(),
        'email,rubric,name\na@x.org,models,"Év\u200ba"\n'.encode(),
        "email\trubric\tname\r\na@x.org\tmodels\tÉva\r\n".encode("utf-16"),
        b"\xfe\xff" + "email;rubric;name\na@x.org;models;Éva\n".encode("utf-16-be"),
    ],
    ids=[
        *("bom", "semicolon", "tab-cr", "case-space", "order-blank", "invisible"),
        *("utf-16-tab", "utf-16-be-semicolon"),
    ],
)
def test_20_the_ways_programs_write_csv(data):
    (row,) = rows(data)
    assert (row.email, row.rubric, row.name) == ("a@x.org", "models", "Éva")


def test_20_a_quoted_line_break_is_part_of_a_name_and_lines_still_count():
    data = 'email,rubric,name\na@x.org,models,"Ada\r\nLovelace"\nbad,models,\n'
    roster = read_subscribers(data, RUBRICS)
    assert roster.rows[0].name == "Ada Lovelace"
    assert roster.faults[0].line == 4


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (",models,,,,,,", "email: missing"),
        ("a@x.org,,,,,,,", "rubric: missing"),
        ("a@x.org,model,,,,,,", "rubric: 'model' is not known; did you mean models?"),
        ("a@x.org,qqq,,,,,,", "rubric: 'qqq' is not known; known are: models, stars"),
        ('"a,b@x.org",models,,,,,,', "a,b@x.org is not an address"),
        ('"""x""@y.org",models,,,,,,', '"x"@y.org is not an address'),
        ("x@y..z,models,,,,,,", "x@y..z is not an address"),
        ("x@y,models,,,,,,", "x@y is not an address"),
        ("x@localhost,models,,,,,,", "x@localhost is not an address"),
        ("x@[127.0.0.1],models,,,,,,", "is not an address"),
        ("a@x.org\0b@y.org,models,,,,,,", "a@x.org\ufffdb@y.org is not an address"),
        ("a@x.org b@y.org,models,,,,,,", "is not an address"),
        ("Ada <a@x.org>,models,,,,,,", "is not an address"),
        ("é@x.org,models,,,,,,", "is not an address"),
        ("a@x.org,models,,Europe/Berln,,,,", "did you mean Europe/Berlin?"),
        ("a@x.org,models,,europe/berlin,,,,", "did you mean Europe/Berlin?"),
        ("a@x.org,models,,qqqq,,,,", "'qqqq' is not a zone; write it like Europe/Berlin"),
        ("a@x.org,models,,UTC+8,,,,", "zones of that offset are Asia/Shanghai, Asia/Singapore"),
        ("a@x.org,models,,EST,,,,", "it may mean America/New_York, America/Toronto"),
        ("a@x.org,models,,,24:00,,,", "send_at: '24:00' is not a time of day"),
        ("a@x.org,models,,,7,,,", "send_at: '7' is not a time of day"),
        ("a@x.org,models,,,07:60,,,", "send_at: '07:60'"),
        ("a@x.org,models,,,,mon-,,", "days: 'mon-' is not understood"),
        ("a@x.org,models,,,,m,,", "days: 'm' is not understood"),
        ("a@x.org,models,,,,1-5,,", "days: '1-5' is not understood"),
        ("a@x.org,models,,,,,0,", "max_papers: '0' is not a whole number from 1 to 500"),
        ("a@x.org,models,,,,,501,", "max_papers: '501'"),
        ("a@x.org,models,,,,,ten,", "max_papers: 'ten'"),
        ("a@x.org,models,,,,,,html", "format: 'html' is not one of full, brief, titles"),
        ("a@x.org,models,,,,,,,extra", "9 values for 8 columns"),
        (f"a@x.org,models,{'x' * 201},,,,,", "name: 201 characters; at most 200"),
    ],
)
def test_20_a_fault_is_told_with_its_line(line, expected):
    found = faults(f"{HEADER}ok@x.org,models,,,,,,\n{line}\n")
    assert len(found) == 1
    assert found[0].startswith("line 3: ")
    assert expected in found[0]


def test_all_faults_come_at_once_and_the_good_rows_stand():
    data = HEADER + "bad,nope,,Mars,25:00,,0,x\nok@x.org,stars,,,,,,\nworse,models,,,,,,\n"
    roster = read_subscribers(data, RUBRICS)
    assert [fault.line for fault in roster.faults] == [2, 2, 2, 2, 2, 2, 4]
    assert [row.email for row in roster.rows] == ["ok@x.org"]


def test_20_duplicates_differ_in_more_than_case():
    data = "email,rubric\nA@x.org,models\nb@x.org,models\na@X.ORG,models\nb+1@x.org,models\n"
    assert faults(data) == ["line 4: email: a@x.org is on line 2 already, with the same rubric"]


def test_20_one_domain_in_two_scripts_is_one():
    data = "email,rubric\na@münchen.de,models\na@xn--mnchen-3ya.de,models\n"
    assert "on line 2 already" in faults(data)[0]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("email", "line 1: column 'rubric' is missing"),
        (
            "E-Mail,rubric",
            "line 1: column 'e-mail' is not known; did you mean email? Then say --map email=",
        ),
        ("email,rubrik", "line 1: column 'rubrik' is not known; did you mean rubric?"),
        ("email,rubric,zzzzzz", "line 1: column 'zzzzzz' is not known; known are: email"),
        ("email,rubric,email", "line 1: column 'email' is there twice"),
        ("email,rubric,", "line 1: column 3 has no name"),
    ],
)
def test_20_faults_of_the_header(header, expected):
    found = faults(f"{header}\na@x.org,models,\n")
    assert any(fault.startswith(expected) for fault in found)
    assert all(fault.startswith("line 1:") for fault in found)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "line 1: the file is empty"),
        (b"\n \n", "line 1: the file is empty"),
        ("email,rubric\n".encode("utf-16")[:-1], "line 1: not UTF-16"),
        ("email,rubric\na@x.org,m\n".encode("utf-16") + b"\0\xd8", "line 3: not UTF-16"),
        ("email,rubric,name\na@x.org,models,\xc9va\n".encode("latin-1"), "line 2: not UTF-8"),
        (b'email,rubric\na@x.org,"models\nb@x.org,models\n', "line 2: not readable as CSV"),
        (b'email,rubric\na@x.org,"mo"dels\n', "line 2: not readable as CSV"),
    ],
)
def test_20_files_that_are_no_subscriber_list(data, expected):
    (found,) = faults(data)
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("daily", WEEKDAYS),
        ("Weekdays", WEEKDAYS[:5]),
        ("weekends", WEEKDAYS[5:]),
        ("mon-fri", WEEKDAYS[:5]),
        ("Mon - Fri", WEEKDAYS[:5]),
        ("mon\u2013wed", WEEKDAYS[:3]),
        ("fri mon, Wednesday", ("mon", "wed", "fri")),
        ("sat-mon", ("mon", "sat", "sun")),
        ("tue", ("tue",)),
        ("tues/thurs", ("tue", "thu")),
    ],
)
def test_days_as_people_write_them(text, expected):
    assert parse_days(text) == expected


def test_a_time_without_its_zero_and_with_seconds():
    data = HEADER + "a@x.org,models,,,7:05,,,\nb@x.org,models,,,07:05:00,,,\n"
    assert [row.send_at for row in rows(data)] == [time(7, 5), time(7, 5)]


def test_20_spreadsheets_get_no_formulas():
    people = [
        Subscription("1", "+a@x.org", "models", name="=1+1"),
        Subscription("2", "b@x.org", "models", name="|calc"),
        Subscription("3", "c@x.org", "models", name="'=quoted"),
        Subscription("4", "d@x.org", "models", name="@home"),
        Subscription("5", "e@x.org", "models", name="-Nil'"),
    ]
    text = write_subscribers(people)
    for record in csv.reader(io.StringIO(text)):
        assert not any(cell.startswith(("=", "+", "-", "@", "|", "\t", "\r")) for cell in record)
    assert [(row.email, row.name) for row in rows(text)] == [(p.email, p.name) for p in people]


@pytest.mark.parametrize("name", ["Ann;=1+1;", "Ann; =1", "Ann;'+1", "Ann;;\uff0d1", "Ann; Bo"])
def test_a_semicolon_starts_no_formula_where_it_ends_a_cell(name):
    """Excel in German, say, opens a file with commas so."""
    text = write_subscribers([Subscription("1", "a@x.org", "models", name=name)])
    for record in csv.reader(io.StringIO(text), delimiter=";"):
        starts = [cell.strip()[:1] for cell in record]
        assert not set(starts) & set("=+-@|\uff1d\uff0b\uff0d\uff20")
    assert [row.name for row in rows(text)] == [name]


wishes = st.builds(
    Subscription,
    id=st.just("0" * 32),
    email=st.from_regex(r"[a-z+=|'-]{1,9}@[a-z]{2,9}\.org", fullmatch=True),
    rubric=st.sampled_from(sorted(RUBRICS)),
    name=st.text(max_size=40).map(lambda text: " ".join(text.split())).filter(str.isprintable),
    timezone=st.sampled_from([None, "Asia/Tokyo", "UTC"]),
    send_at=st.one_of(st.none(), st.times().map(lambda t: t.replace(second=0, microsecond=0))),
    days=st.sets(st.sampled_from(WEEKDAYS), min_size=1).map(
        lambda chosen: tuple(day for day in WEEKDAYS if day in chosen)
    ),
    max_papers=st.one_of(st.none(), st.integers(1, 500)),
    format=st.sampled_from(Format),
)


@given(st.lists(wishes, max_size=5, unique_by=lambda person: person.email))
def test_20_what_is_written_reads_back(people):
    read = rows(write_subscribers(people))
    again = [
        new_subscription(row, "asked", person.id, NOW)
        for row, person in zip(read, people, strict=True)
    ]
    for name in ("email", "rubric", "timezone", "send_at", "days", "max_papers", "format"):
        assert [getattr(one, name) for one in again] == [getattr(p, name) for p in people]


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_20_no_input_breaks_the_reader(data):
    read_subscribers(data, RUBRICS)


def test_the_example_names_shipped_rubrics():
    rubrics = RubricFolder(ROOT / "templates" / "rubrics")
    roster = read_subscribers((ROOT / "subscribers.example.csv").read_bytes(), rubrics)
    assert not roster.faults
    assert [row.rubric for row in roster.rows] == ["foundation-models", "dwarf-galaxies"]
    assert all(row.email.endswith("@example.org") for row in roster.rows)


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_line_in_which_excel_names_the_delimiter(first):
    data = f"{first}\r\nemail;rubric;name\r\na@x.org;models;Ada, the first, really\r\n"
    assert rows(data) == (SubscriberRow(3, "a@x.org", "models", "Ada, the first, really"),)


def test_the_named_delimiter_counts_more_than_a_guess():
    assert rows("sep=|\nemail|rubric\na@x.org|models\n") == (SubscriberRow(3, "a@x.org", "models"),)
    assert rows("sep=\t\nemail\trubric\na@x.org\tmodels\n") == (
        SubscriberRow(3, "a@x.org", "models"),
    )
    (found,) = faults("sep=,\nemail,rubric\na@x.org,nope\n")
    assert found.startswith("line 3: ")


@pytest.mark.parametrize("bad", ['b@x.org,"stars', 'b@x.org,"st"ars'])
def test_the_rows_before_a_stray_quote_stand(bad):
    data = f"email,rubric\na@x.org,models\n\nq@x.org,nope\n{bad}\nc@x.org,models\n"
    roster = read_subscribers(data, RUBRICS)
    assert [row.email for row in roster.rows] == ["a@x.org"]
    assert [fault.line for fault in roster.faults] == [4, 5]
    assert "not readable as CSV from here" in roster.faults[1].message


def seconds_to_read(line: Callable[[int], str], count: int, faults_a_line: int) -> float:
    text = "email,rubric\n" + "\n".join(map(line, range(count)))
    started = thread_time()
    roster = read_subscribers(text, RUBRICS)
    seconds = thread_time() - started
    rows = 0 if faults_a_line else count
    assert (len(roster.rows), len(roster.faults)) == (rows, count * faults_a_line)
    return seconds


@pytest.mark.parametrize(
    ("line", "faults_a_line"),
    [(lambda number: f"reader{number}@example.org,models", 0), (lambda _: "x@y..z,nope", 2)],
    ids=["rows", "faults"],
)
def test_20_many_lines_are_read_in_linear_time(
    line: Callable[[int], str], faults_a_line: int
) -> None:
    """In quadratic time the whole would take sixteen times as long as a quarter of it."""
    quarter = seconds_to_read(line, MANY // 4, faults_a_line)
    assert seconds_to_read(line, MANY, faults_a_line) < 8 * quarter + 0.5


@pytest.mark.parametrize(
    "line",
    [
        "a@x.org,models," + "x" * 10_000_000,
        "a" * 10_000_000 + "@x.org,models",
        "a@x.org," + "models," * 1_000_000,
        '"' * 10_000_001 + ",models",
    ],
    ids=["name", "address", "cells", "quotes"],
)
def test_20_a_line_of_ten_megabytes_is_a_fault_and_no_more(line):
    started = thread_time()
    found = faults(f"email,rubric,name\n{line}\n")
    assert found
    assert all(fault.startswith("line 2: ") for fault in found)
    assert all(len(fault) < 400 for fault in found)
    assert thread_time() - started < 20


FORMULAS = ("=HYPERLINK(1)", "+1", "-1", "@x", "=1", "|cmd", "'=1", "''+1", "\uff1d1", "\uff20x;-1")


@pytest.mark.parametrize("cell", FORMULAS)
def test_20_a_formula_is_defused_and_reads_back(cell):
    text = write_subscribers([Subscription("1", "a@x.org", "models", name=cell)])
    [_, record] = csv.reader(io.StringIO(text))
    assert record[2].startswith("'")
    assert [row.name for row in rows(text)] == [cell]
