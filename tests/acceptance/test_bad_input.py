"""What a hurried operator gets wrong: one clear line each, and nothing half done."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.installation import Installation

RUBRIC = """---
title: One
categories: [cs.LG]
---

## Criteria

1. Anything
   - Relevant: all of it.
"""


@pytest.fixture
def installation(tmp_path):
    made = Installation(tmp_path, NEWSLETTER_SOURCE="sample")
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    return made


def said(done, status: int) -> str:
    """What the command said, which must be short and no traceback."""
    assert done.status == status, (done.status, done.out, done.err)
    assert "Traceback" not in done.err
    return done.err


def bad_subscriber_file(installation, text: str | bytes) -> str:
    path = installation.folder / "r.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    told = said(installation.newsletter("subscribers", "import", "r.csv", "--consent", "x"), 1)
    # Nothing is stored: no reader, mostly not even a database.
    assert installation.newsletter("subscribers", "list", "--json").out.strip() in {"", "[]"}
    return told


def test_an_unknown_rubric_in_the_subscriber_file(installation):
    told = bad_subscriber_file(
        installation, "email,rubric\na@example.org,one\nb@example.org,onee\n"
    )
    assert "line 3" in told
    assert "onee" in told


def test_duplicate_and_invalid_addresses(installation):
    told = bad_subscriber_file(
        installation, "email,rubric\na@example.org,one\nA@Example.org,one\nb@@example.org,one\n"
    )
    assert "line 3" in told
    assert "line 4" in told


def test_a_byte_order_mark_is_no_fault(installation):
    (installation.folder / "r.csv").write_bytes(
        b"\xef\xbb\xbfemail,rubric\r\na@example.org,one\r\n"
    )
    assert installation.newsletter("subscribers", "import", "r.csv", "--consent", "x").status == 0


def test_a_missing_subscriber_file(installation):
    done = installation.newsletter("subscribers", "import", "nowhere.csv", "--consent", "x")
    assert "nowhere.csv" in said(done, 1)


def test_broken_front_matter(installation):
    (installation.rubrics / "two.md").write_text(
        "---\ntitle: Two\nrelevance: 12\n---\n\n## Criteria\n"
    )
    installation.subscribe("a@example.org,two")
    told = said(installation.newsletter("run"), 1)
    assert "two.md line 3" in told
    assert "relevance" in told
    assert "two.md" in said(
        installation.newsletter("rubrics", "check", str(installation.rubrics / "two.md")), 1
    )


def test_unknown_rubric_on_the_command_line(installation):
    installation.subscribe("a@example.org,one")
    assert "one" in said(installation.newsletter("run", "--rubric", "onne"), 2)


def test_a_date_without_announcement(installation):
    installation.subscribe("a@example.org,one")
    assert "Saturday" in said(installation.newsletter("run", "--date", "2025-11-22"), 2)
    assert "2025-13-01" in said(installation.newsletter("run", "--date", "2025-13-01"), 2)


def test_unwritable_outbox(installation):
    installation.subscribe("a@example.org,one")
    installation.outbox.parent.mkdir(exist_ok=True)
    installation.outbox.write_text("a file where a folder should be")
    assert "outbox" in said(installation.newsletter("run"), 1)
    installation.outbox.unlink()
    assert installation.newsletter("run").status == 0
    assert len(installation.mails()) == 1


def test_25_locked_database(installation):
    installation.subscribe("a@example.org,one")
    holder = sqlite3.connect(installation.folder / "newsletter.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    told = said(installation.newsletter("run"), 1)
    holder.close()
    assert "locked" in told
    assert not installation.mails()


def test_wrong_model_name(installation):
    installation.subscribe("a@example.org,one")
    done = installation.newsletter(
        "run", ANTHROPIC_API_KEY="sk-x", NEWSLETTER_MODEL="claude-nonsense"
    )
    assert "NEWSLETTER_MODEL" in said(done, 2)


def test_wrong_key_stops_at_once_and_is_never_shown(installation):
    installation.subscribe("a@example.org,one")
    with FakeAnthropic(lambda _title, _abstract: {}) as anthropic:
        anthropic.fault(401, times=1000)
        done = installation.newsletter(
            "run", ANTHROPIC_API_KEY="sk-wrong-key", ANTHROPIC_BASE_URL=anthropic.url
        )
        asked = len(anthropic.requests)
    told = said(done, 1)
    assert "ANTHROPIC_API_KEY" in told
    assert "sk-wrong-key" not in done.out + done.err
    assert asked <= 8
    assert not installation.mails()


def test_arxiv_down(installation):
    installation.subscribe("a@example.org,one")
    done = installation.newsletter(
        "run", NEWSLETTER_SOURCE="arxiv", NEWSLETTER_ARXIV_API_URL="http://127.0.0.1:9/api/query"
    )
    assert "arXiv" in said(done, 1)
    assert not installation.mails()


def test_a_wrong_setting(installation):
    done = installation.newsletter("run", NEWSLETTER_BUDGET_USD="much")
    assert "NEWSLETTER_BUDGET_USD" in said(done, 2)
    assert len(done.err.strip().splitlines()) == 1


def test_a_misspelt_setting_is_told_and_stops_nothing(installation):
    done = installation.newsletter("run", "--create", NEWSLETTER_BUDGET="0.01")
    assert "NEWSLETTER_BUDGET is no setting" in said(done, 0)
    doctor = installation.newsletter("doctor", "--offline", NEWSLETTER_BUDGET="0.01")
    assert "is NEWSLETTER_BUDGET_USD meant?" in doctor.out


@pytest.mark.parametrize(
    "name", ["NEWSLETTER_SENDGRID_EVENT_KEY", "NEWSLETTER_SENDGRID_INBOUND_KEY"]
)
def test_a_webhooks_key_that_is_none(installation, name):
    told = said(installation.newsletter("serve", "--port", "0", **{name: "nonsense"}), 2)
    assert name in told
    assert len(told.splitlines()) == 1


def test_real_mail_half_set(installation):
    told = said(installation.newsletter("run", SENDGRID_API_KEY="SG.x"), 2)
    assert "NEWSLETTER_POSTAL_ADDRESS" in told


def test_a_broken_env_file(installation):
    (installation.folder / ".env").write_bytes(b'A=1\nSENDGRID_API_KEY="SG.x\n')
    told = said(installation.newsletter("status"), 2)
    assert ".env line 2" in told
    assert len(told.splitlines()) == 1
    (installation.folder / ".env").write_bytes(b"A=\xe9\n")
    assert ".env: not UTF-8" in said(installation.newsletter("status"), 2)


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:p@h/x", "sqlite://"])
def test_a_database_address_that_cannot_serve(installation, url):
    told = said(installation.newsletter("status", NEWSLETTER_DATABASE_URL=url), 2)
    assert "NEWSLETTER_DATABASE_URL" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("day", ["0001-01-01", "1991-08-13"])
def test_a_date_before_arxiv(installation, day):
    installation.subscribe("a@example.org,one")
    assert "before arXiv" in said(installation.newsletter("run", "--date", day), 2)


def test_good_lines_before_a_stray_quote_can_be_imported(installation):
    roster = installation.folder / "r.csv"
    roster.write_text('email,rubric\na@example.org,one\nb@example.org,"one\n')
    words = ("subscribers", "import", "r.csv", "--consent", "x")
    assert "1 fault in r.csv" in said(installation.newsletter(*words), 1)
    assert "1 added" in installation.newsletter(*words, "--skip-bad").out
    assert "a@example.org" in installation.newsletter("subscribers", "list", "--json").out


def test_an_import_of_nothing_is_a_fault(installation):
    (installation.folder / "r.csv").write_text('email,rubric\nb@example.org,"one\n')
    words = ("subscribers", "import", "r.csv", "--consent", "x", "--skip-bad")
    assert "no valid line, nothing was imported" in said(installation.newsletter(*words), 1)


def test_adding_nobody_to_nothing(installation):
    told = said(installation.newsletter("subscribers", "add", "", "--rubric", " "), 2)
    assert "ADDRESS and --rubric SLUG" in told
    told = said(installation.newsletter("subscribers", "add", "a@example.org", "--rubric", ""), 2)
    assert "ADDRESS" not in told
    assert "--rubric SLUG" in told


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0"}
"""A terminal that knows no letter beyond ASCII."""


def test_a_terminal_without_the_letters_loses_no_work(installation):
    (installation.folder / "r.csv").write_bytes(
        "email,rubric,name\na@example.org,one,Éva\n".encode()
    )
    words = ("subscribers", "import", "r.csv", "--consent", "x")
    assert "1 added" in installation.newsletter(*words, **ASCII).out
    listed = installation.newsletter("subscribers", "list", **ASCII)
    assert "\\xc9va" in listed.out
    assert said(listed, 0) == ""
    facts = json.loads(installation.newsletter("subscribers", "list", "--json", **ASCII).out)
    assert facts[0]["name"] == "Éva"
    assert "no rubric" in said(installation.newsletter("run", "--rubric", "é", **ASCII), 2)


def test_an_export_is_utf_8_whatever_the_terminal(installation):
    installation.subscribe("a@example.org,one,Éva", header="email,rubric,name")
    assert "Éva" in installation.newsletter("subscribers", "export", **ASCII).out
    assert installation.newsletter("subscribers", "export", "out.csv", **ASCII).status == 0
    assert "Éva" in (installation.folder / "out.csv").read_text(encoding="utf-8")
