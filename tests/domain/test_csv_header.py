"""The exports of other programs: refused with what to say, read once it is said."""

from __future__ import annotations

import pytest

from newsletter.domain.csv_header import Columns
from newsletter.domain.subscriber_csv import read_subscribers

RUBRICS = {"models", "stars"}
NAMES = ("First Name", "Last Name")
EXPORTS = {
    "mailchimp": (
        (
            "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,TIMEZONE,LEID,TAGS\n"
            'a@x.org,Ada,Lovelace,2,2020-02-03 04:05:06,America/New_york,1,"""VIP"""\n'
        ),
        {"email": ("Email Address",), "name": NAMES, "timezone": ()},
    ),
    "ghost": (
        (
            "id,email,name,note,subscribed_to_emails,complimentary_plan,created_at,deleted_at,labels\n"
            "1,a@x.org,Ada Lovelace,,true,false,2018-12-25T20:43:22.178Z,,\n"
        ),
        {},
    ),
    "substack": (
        (
            "email,active_subscription,expiry,plan,email_disabled,created_at,first_payment_at\n"
            "a@x.org,false,,other,false,2025-01-01,\n"
        ),
        {},
    ),
    "listmonk": (
        (
            "uuid,email,name,attributes,status,created_at,updated_at\n"
            "1,a@x.org,Ada Lovelace,{},enabled,2025-01-01,2025-01-01\n"
        ),
        {},
    ),
    "google": (
        (
            "First Name,Middle Name,Last Name,Labels,E-mail 1 - Label,E-mail 1 - Value\n"
            "Ada,,Lovelace,* myContacts,* Home,a@x.org\n"
        ),
        {"email": ("E-mail 1 - Value",), "name": NAMES},
    ),
    "outlook": (
        (
            "First Name,Middle Name,Last Name,E-mail Address,E-mail Type,Categories\n"
            "Ada,,Lovelace,a@x.org,SMTP,\n"
        ),
        {"email": ("e-mail  address",), "name": NAMES},
    ),
}
LEFT = {
    "ghost": ("true,false", "false,false"),
    "substack": (",other,false", ",other,true"),
    "listmonk": ("enabled", "blocklisted"),
}


@pytest.mark.parametrize("program", EXPORTS)
def test_20_an_export_is_read_once_its_columns_are_named(program: str):
    data, theirs = EXPORTS[program]
    refused = read_subscribers(data, RUBRICS)
    said = "\n".join(map(str, refused.faults))
    assert refused.rows == ()
    assert "--rubric SLUG" in said
    assert "--ignore-columns" in said
    for column, names in theirs.items():
        for name in names:
            assert f'--map {column}="{" ".join(name.split())}"'.lower() in said.lower()
    read = read_subscribers(data, RUBRICS, Columns(theirs, "models", ignore=True))
    assert read.faults == ()
    assert [(row.email, row.rubric, row.timezone) for row in read.rows] == [
        ("a@x.org", "models", None)
    ]
    assert read.rows[0].name == (None if program == "substack" else "Ada Lovelace")


@pytest.mark.parametrize("program", LEFT)
def test_20_who_left_elsewhere_is_not_taken_over(program: str):
    data = EXPORTS[program][0].replace(*LEFT[program])
    read = read_subscribers(data, RUBRICS, Columns({}, "models", ignore=True))
    assert read.rows == ()
    assert "this person left" in str(read.faults[0])


def test_20_a_file_without_a_header_is_told_so_once():
    for data in ("a@x.org,models\n", "models;a@x.org;Ada\nstars;b@x.org;Bo\n"):
        [fault] = read_subscribers(data, RUBRICS).faults
        assert str(fault).startswith("line 1: the file has no header")


@pytest.mark.parametrize(
    ("header", "columns", "said"),
    [
        ("email,rubric", Columns({"email": ("Mail",)}), "the file has no such column; it has: em"),
        ("email,rubric", Columns({}, "models"), "so --rubric must not be given"),
        ("mail,email,rubric", Columns({"email": ("mail",)}), "'email' is there beside 'mail'"),
        ("email,,rubric", Columns(), "column 2 has no name; --ignore-columns"),
        ("mail,e-mail", Columns({"email": ("mail", "e-mail")}, "models"), "'email' is there twice"),
    ],
)
def test_20_what_is_said_must_fit_the_file(header: str, columns: Columns, said: str):
    faults = read_subscribers(f"{header}\na@x.org,models,\n", RUBRICS, columns).faults
    assert any(said in fault.message for fault in faults), faults


@pytest.mark.parametrize("column", ["name", "email"])
def test_a_name_that_the_file_lacks_is_the_only_fault(column: str):
    columns = Columns({column: ("Nope",)})
    [fault] = read_subscribers("email,name,rubric\na@x.org,Ann,models\n", RUBRICS, columns).faults
    assert f'--map {column}="nope"' in fault.message
    assert f'--map {column}="{column}"' not in fault.message


def test_a_column_that_is_mapped_to_nothing_is_left_out():
    columns = Columns({"timezone": ()})
    [row] = read_subscribers("email,timezone,rubric\na@x.org,?,models\n", RUBRICS, columns).rows
    assert (row.email, row.timezone) == ("a@x.org", None)


def test_20_an_unnamed_or_unknown_column_is_left_out_where_asked():
    data = "email,,rubric,x\na@x.org,what,models,y\n"
    [row] = read_subscribers(data, RUBRICS, Columns(ignore=True)).rows
    assert (row.email, row.rubric) == ("a@x.org", "models")
