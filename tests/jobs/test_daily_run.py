"""The whole way as its operator walks it: on the bundled sample day, by the real command."""

from __future__ import annotations

import json
import re
import stat

import pytest
from sqlalchemy import func, select, update

from newsletter.delivery.sender import QUICK_TRIES
from newsletter.store import Store
from newsletter.store.tables import delivery, digest, digest_paper
from tests.fakes.installation import CommandResult, Installation
from tests.fakes.smtp import FakeSmtp
from tests.fakes.waiting import wait_until

RUBRIC = """---
title: Small and fast models
categories: [cs.LG, cs.CL]
relevance: 7
novelty: 7
max_papers: 8
---

## Criteria

1. Compression and efficiency
   - Relevant: quantization, pruning, sparse attention, mixture of experts, memory of training.
   - Irrelevant: known methods applied to a new task.
"""


def small_installation(folder, **more):
    made = Installation(
        folder,
        NEWSLETTER_SOURCE="sample",
        NEWSLETTER_POSTAL_ADDRESS="1 Example Street, Exampleton",
        NEWSLETTER_FROM_EMAIL="digest@digest.example.org",
        **more,
    )
    (made.rubrics / "small.md").write_text(RUBRIC, encoding="utf-8")
    return made


@pytest.fixture
def installation(tmp_path):
    return small_installation(tmp_path)


@pytest.fixture
def installation_anywhere(tmp_path, store):
    """The same on each kind of database: what the numbered cases ask for."""
    url = store.url.render_as_string(hide_password=False)
    return small_installation(tmp_path, NEWSLETTER_DATABASE_URL=url)


def issue(done) -> dict:
    [found] = json.loads(done.out)["issues"]
    return found


def test_09_a_digest_is_mailed_once_to_each_reader_and_its_receipt_adds_up(installation_anywhere):
    installation = installation_anywhere
    installation.subscribe("ada@example.org,small", "bob@example.org,small")
    first = issue(installation.newsletter("run", "--json"))
    assert first["sent"] == 2
    assert first["announced"] == first["scanned"] > 20
    assert first["picked"] == 8
    assert len(installation.mails()) == 2

    again = installation.newsletter("run", "--json")
    assert again.status == 0
    assert (issue(again)["sent"], issue(again)["already"]) == (0, 2)
    assert len(installation.mails()) == 2
    assert "nothing" in installation.newsletter("run").out.lower()


def test_who_subscribes_later_gets_the_digest_alone(installation):
    installation.subscribe("ada@example.org,small")
    installation.newsletter("run")
    installation.subscribe("late@example.org,small")
    later = issue(installation.newsletter("run", "--json"))
    assert (later["sent"], later["already"]) == (1, 1)


def test_a_mail_says_who_where_from_and_how_to_leave(installation):
    installation.subscribe("ada@example.org,small")
    installation.newsletter("run")
    [mail] = installation.mails()
    text = mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    for part in (text, html):
        assert "ada@example.org" in part
        assert "1 Example Street" in part
        assert "ranked locally, not read by a model" in " ".join(part.split()).lower()
        assert re.search(r"https://digest\.example\.org/unsubscribe/\w{16,}", part)
    assert "One-Click" in mail["List-Unsubscribe-Post"]
    assert re.search(r"reply\+\w+@", mail["Reply-To"])


def test_no_score_is_invented_by_the_local_ranking(installation):
    installation.subscribe("ada@example.org,small")
    installation.newsletter("run")
    [mail] = installation.mails()
    assert not re.search(r"\b\d{1,2}/10\b", mail.get_body(("plain",)).get_content())
    assert not re.search(r"(Relevance|Novelty)\s*\d", mail.get_body(("html",)).get_content())


@pytest.mark.parametrize(
    ("categories", "wanted"),
    [("cs.CL", "Языковые модели и их сжатие"), ("cs.CV", "seismology of volcanoes")],
)
def test_what_local_ranking_can_not_compare_is_said(tmp_path, categories, wanted):
    """Another language, and another subject than that of the categories."""
    made = Installation(tmp_path, NEWSLETTER_SOURCE="sample", NEWSLETTER_SCORER="local")
    head = f"---\ntitle: One\ncategories: [{categories}]\n---\n\n## Criteria\n\n"
    (made.rubrics / "one.md").write_text(f"{head}1. {wanted}\n", encoding="utf-8")
    words = ("rubrics", "check", str(made.rubrics / "one.md"))
    assert made.newsletter(*words).status == 0
    assert not (tmp_path / "newsletter.db").exists(), "a check makes no database"
    made.subscribe("ada@example.org,one")
    done = made.newsletter("run")
    assert done.status == 0, done.err
    assert "one: local ranking found no word that the rubric shares with the papers" in done.out
    [mail] = made.mails()
    text = " ".join(mail.get_body(("plain",)).get_content().split())
    assert "This rubric shares no word with the" in text
    assert "reached your cut-offs" not in text
    assert "not ranked" in mail["Subject"]
    checked = made.newsletter(*words)
    assert (checked.status, "local ranking can't compare it" in checked.out) == (0, True)


def test_24_preview_is_what_is_sent_but_for_the_tokens(installation_anywhere):
    installation = installation_anywhere
    installation.subscribe("ada@example.org,small")
    shown = installation.newsletter("preview", "--rubric", "small", "--out", "p.html")
    assert shown.status == 0, shown.err
    assert not installation.mails()
    installation.newsletter("run")
    [mail] = installation.mails()
    sent = mail.get_body(("html",)).get_content()
    previewed = (installation.folder / "p.html").read_text(encoding="utf-8")
    assert without_tokens(previewed).strip() == without_tokens(sent).strip()
    after = installation.newsletter("preview", "--rubric", "small", "--out", "q.html")
    assert after.status == 0
    assert (installation.folder / "q.html").read_bytes() == (
        installation.folder / "p.html"
    ).read_bytes()


def without_tokens(html: str) -> str:
    return re.sub(r"(/(?:unsubscribe|preferences|why|vote)/)\w+", r"\1TOKEN", html)


def test_24_a_test_send_touches_nothing(installation_anywhere, store):
    installation = installation_anywhere
    installation.subscribe("ada@example.org,small")
    done = installation.newsletter("test-send", "--to", "me@example.org", "--rubric", "small")
    assert done.status == 0, done.err
    [mail] = installation.mails()
    assert mail["To"] == "me@example.org"
    assert mail["Subject"].startswith("[TEST]")
    with store.read() as tx:
        rows = [
            tx.scalar(select(func.count()).select_from(table))
            for table in (digest, delivery, digest_paper)
        ]
    assert rows == [0, 0, 0]
    assert issue(installation.newsletter("run", "--json"))["sent"] == 1


def test_a_dry_run_sends_and_freezes_nothing(installation):
    installation.subscribe("ada@example.org,small")
    done = installation.newsletter("run", "--dry-run")
    assert done.status == 0, done.err
    assert "$0" in done.out
    assert not installation.mails()
    assert issue(installation.newsletter("run", "--json"))["sent"] == 1


def test_due_mail_that_did_not_leave_is_said_and_is_no_success(installation, tmp_path):
    with FakeSmtp(tmp_path) as server:
        given = {
            "NEWSLETTER_MAILER": "smtp",
            "NEWSLETTER_SMTP_URL": server.url,
            "SSL_CERT_FILE": str(server.certificate),
        }
    installation.subscribe("ada@example.org,small")
    done = run_whose_mail_fails(installation, **given)
    assert done.status == 1
    assert "small: 1 mail waits, not sent: see newsletter status" in done.err
    assert "Nothing new to send" not in done.out
    again = run_whose_mail_fails(installation, "--json", **given)
    assert (again.status, issue(again)["waiting"]) == (1, 1)


def run_whose_mail_fails(installation, *words, **environment) -> CommandResult:
    """After the first failed try record more of them: the last try comes in 2 s, not in 62."""

    def failed() -> int:
        with store.begin() as tx:
            tries = update(delivery).where(delivery.c.failures.between(1, QUICK_TRIES - 2))
            return tx.execute(tries.values(failures=QUICK_TRIES - 1)).rowcount

    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with installation.begin("run", *words, **environment) as run:
        assert wait_until(failed)
        out, err = run.communicate(timeout=300)
    store.close()
    return CommandResult(run.wait(), out, err)


def test_who_paused_or_left_gets_nothing(installation):
    installation.subscribe("ada@example.org,small", "bob@example.org,small", "cy@example.org,small")
    assert installation.newsletter("subscribers", "pause", "ada@example.org").status == 0
    assert installation.newsletter("subscribers", "remove", "BOB@example.org", "--yes").status == 0
    assert issue(installation.newsletter("run", "--json"))["sent"] == 1
    installation.subscribe("bob@example.org,small")
    assert issue(installation.newsletter("run", "--json"))["sent"] == 0
    assert [mail["To"] for mail in installation.mails()] == ["cy@example.org"]


def test_20_without_consent_they_wait(installation_anywhere):
    installation = installation_anywhere
    (installation.folder / "r.csv").write_text("email,rubric\nada@example.org,small\n")
    assert installation.newsletter("subscribers", "import", "r.csv").status == 0
    listed = json.loads(installation.newsletter("subscribers", "list", "--json").out)
    assert [row["state"] for row in listed] == ["pending"]
    assert "nobody" in installation.newsletter("run").out.lower()


def test_outbox_key_and_export_are_for_their_owner_alone(installation):
    del installation.environment["NEWSLETTER_SECRET_KEY"]
    installation.outbox = installation.folder / "var" / "outbox"
    installation.environment["NEWSLETTER_OUTBOX_DIR"] = str(installation.outbox)
    installation.subscribe("ada@example.org,small")
    assert installation.newsletter("run").status == 0
    assert installation.newsletter("subscribers", "export", "out.csv").status == 0
    folders = {installation.outbox, installation.outbox.parent}
    files = {
        *installation.outbox.iterdir(),
        installation.outbox.parent / "secret.key",
        installation.folder / "out.csv",
    }
    assert len(files) >= 4
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in files} == {
        path.name: 0o600 for path in files
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_export_reads_back(installation):
    installation.subscribe(
        'ada@example.org,small,"Lovelace, Ada",Europe/London',
        header="email,rubric,name,timezone",
    )
    assert installation.newsletter("subscribers", "export", "out.csv").status == 0
    again = installation.newsletter(
        "subscribers", "import", "out.csv", "--consent", "x", "--dry-run"
    )
    assert again.status == 0, again.err
    assert "Lovelace, Ada" in (installation.folder / "out.csv").read_text(encoding="utf-8")


def test_a_program_reads_all_that_a_reader_asked_for(installation):
    installation.subscribe(
        "ada@example.org,small,mon thu,7,brief", header="email,rubric,days,max_papers,format"
    )
    [listed] = json.loads(installation.newsletter("subscribers", "list", "--json").out)
    wishes = (listed["days"], listed["max_papers"], listed["format"])
    assert wishes == (["mon", "thu"], 7, "brief")


def test_status_tells_the_last_digest(installation):
    installation.subscribe("ada@example.org,small")
    installation.newsletter("run")
    told = json.loads(installation.newsletter("status", "--json").out)
    assert told["digests"][0]["rubric"] == "small"
    assert told["deliveries"] == {"accepted": 1}
    assert installation.newsletter("status").status == 0
