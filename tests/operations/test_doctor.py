"""The examination, with everything outside on loopback."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from newsletter import bootstrap
from newsletter.domain import announcements
from newsletter.domain.findings import CheckResult, DnsRecord, FindingState, fail, ok
from newsletter.operations.doctor import endpoints, local, run
from newsletter.operations.doctor.run import Question
from newsletter.settings import Settings
from newsletter.store import Store, papers
from newsletter.store.database.diagnostics import DatabaseDiagnostics
from newsletter.web.app import create_app
from newsletter.web.context import Site
from tests.fakes.answers import Answers
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.arxiv import FakeArxiv
from tests.fakes.browser import served
from tests.fakes.dns import FakeDns
from tests.fakes.imap import FakeImap
from tests.fakes.installation import Installation
from tests.fakes.pages import MODELS, NOW, STARS, application, make_site, paper, reader
from tests.fakes.sendgrid_rules import refusal_of
from tests.fakes.smtp import FakeSmtp
from tests.fakes.tls import make_certificate
from tests.fakes.webhook import Signer

if TYPE_CHECKING:
    from pathlib import Path

KEY, SECRET = "SG.the-very-secret-key", "abcdefghij0123456789secret"
SIGNER = Signer()
RUBRIC = """---
title: Stars
categories: [cs.LG]
---

## Criteria

1. Anything
   - Relevant: all of it.
"""
RSS = b'<rss version="2.0"><channel><title>cs.LG</title></channel></rss>'
V3 = "/v3/user/webhooks"

RIGHTS = ["mail.send", "suppression.read", "user.scheduled_sends.update"]


def settings(**given):
    return Settings(_env_file=None, **given)


def by_check(found):
    return {one.check: one for one in found}


def dns_of_sendgrid():
    dns = {
        "mail_cname": ("em1.digest.example.org", "u1.wl.sendgrid.net"),
        "dkim1": ("s1._domainkey.digest.example.org", "s1.domainkey.u1.wl.sendgrid.net"),
        "dkim2": ("s2._domainkey.digest.example.org", "s2.domainkey.u1.wl.sendgrid.net"),
    }
    return {
        name: {"valid": True, "type": "cname", "host": host, "data": data}
        for name, (host, data) in dns.items()
    }


def sendgrid(public_url):
    """What a well kept account answers."""
    hook = dict.fromkeys(("enabled", "delivered", "bounce", "dropped", "deferred"), True)
    hook |= {"spam_report": True, "unsubscribe": True, "public_key": SIGNER.public}
    inbound = f"{public_url}/hooks/sendgrid/inbound/{SECRET}"
    parse = {"hostname": "in.example.org", "url": inbound, "send_raw": True}
    return {
        ("GET", "/v3/scopes"): (200, {"scopes": RIGHTS}),
        ("POST", "/v3/mail/send"): 200,
        ("GET", "/v3/whitelabel/domains"): (
            200,
            [{"domain": "digest.example.org", "dns": dns_of_sendgrid()}],
        ),
        ("GET", f"{V3}/event/settings/all"): (
            200,
            {"webhooks": [hook | {"url": f"{public_url}/hooks/sendgrid/events"}]},
        ),
        ("GET", f"{V3}/parse/settings"): (200, {"result": [parse]}),
    }


ZONE = {
    **{(one["host"], "CNAME"): [one["data"] + "."] for one in dns_of_sendgrid().values()},
    ("_dmarc.example.org", "TXT"): ['"v=DMARC1; p=quarantine"'],
    ("in.example.org", "MX"): ["10 mx.sendgrid.net."],
}


class Outside:
    """Everybody the program may ask, all well; `environment` leads it to them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        certificate = make_certificate(folder)
        pages = {
            ("GET", "/healthz"): 200,
            ("POST", "/hooks/sendgrid/events"): 403,
            ("POST", f"{endpoints.INBOUND}{endpoints.WRONG_SECRET}"): 503,
        }
        self.pages = stack.enter_context(Answers(pages, certificate))
        self.sendgrid = stack.enter_context(
            Answers(sendgrid(self.pages.url), refusal_of=refusal_of)
        )
        self.arxiv = stack.enter_context(FakeArxiv())
        self.feed = stack.enter_context(Answers({("GET", "/rss/cs.LG"): (200, RSS)}))
        self.claude = stack.enter_context(FakeAnthropic(lambda _title, _text: {}))
        self.names = stack.enter_context(FakeDns(ZONE))
        self.environment = {
            "ANTHROPIC_API_KEY": "sk-ant-the-other-secret",
            "ANTHROPIC_BASE_URL": self.claude.url,
            "SENDGRID_API_KEY": KEY,
            "NEWSLETTER_SENDGRID_URL": self.sendgrid.url,
            "NEWSLETTER_SENDGRID_EVENT_KEY": SIGNER.public,
            "NEWSLETTER_SENDGRID_INBOUND_KEY": SIGNER.public,
            "NEWSLETTER_INBOUND_SECRET": SECRET,
            "NEWSLETTER_ARXIV_API_URL": self.arxiv.url,
            "NEWSLETTER_ARXIV_RSS_URL": f"{self.feed.url}/rss",
            "NEWSLETTER_DNS_SERVER": self.names.where,
            "NEWSLETTER_PUBLIC_URL": self.pages.url,
            "NEWSLETTER_FROM_EMAIL": "news@digest.example.org",
            "NEWSLETTER_REPLY_DOMAIN": "in.example.org",
            "NEWSLETTER_OPERATOR_EMAIL": "op@example.org",
            "NEWSLETTER_POSTAL_ADDRESS": "1 Example Street",
            "SSL_CERT_FILE": str(certificate),
        }


@pytest.fixture
def outside(tmp_path):
    with ExitStack() as stack:
        yield Outside(tmp_path, stack)


@pytest.fixture
def installation(tmp_path, outside):
    made = Installation(tmp_path, **outside.environment)
    (made.rubrics / "stars.md").write_text(RUBRIC, encoding="utf-8")
    made.create_database()
    store = Store(made.environment["NEWSLETTER_DATABASE_URL"])
    reader(store)
    with store.begin() as tx:
        papers.keep(tx, [paper(str(number)) for number in range(40)])
        entries = [announcements.ListingEntry("cs.LG", str(number)) for number in range(40)]
        papers.list_papers(tx, date(2025, 9, 23), entries, late=False)
    store.close()
    return made


def examined(installation, *words, **environment):
    done = installation.newsletter("doctor", "--json", *words, **environment)
    assert done.err == "", done.err
    found = json.loads(done.out)
    return done, found, {one["check"]: one for one in found["checks"]}


@pytest.fixture
def asked(installation, monkeypatch):
    """The findings by name, asked for in this process."""

    def ask(*, offline=False, **environment):
        for name, value in (installation.environment | environment).items():
            monkeypatch.setenv(name, value)
        found = run.examine(Settings(_env_file=None), bootstrap.now, offline=offline)
        return by_check(found)

    return ask


def test_all_is_well_and_nothing_was_changed(installation, outside):
    before = {path: path.stat().st_mtime_ns for path in installation.folder.rglob("*.md")}
    done, found, checks = examined(installation)
    assert [one for one in found["checks"] if one["state"] != "ok"] == []
    assert (done.status, found["state"]) == (0, "ok")
    assert {
        "settings", "database", "disk", "zone", "clock", "rubrics", "readers", "event key",
        "inbound key", "sendgrid key", "sendgrid mail", "anthropic key", "arxiv api",
        "arxiv feed", "spf", "dkim", "dmarc", "replies", "event webhook", "inbound parse",
        "pages", "event hook",
        "inbound hook", "price",
    } <= checks.keys()  # fmt: skip
    assert before == {path: path.stat().st_mtime_ns for path in installation.folder.rglob("*.md")}
    [(path, raw)] = [(path, raw) for verb, path, raw in outside.sendgrid.asked if verb != "GET"]
    mail = json.loads(raw)
    assert path == "/v3/mail/send"
    assert mail["mail_settings"] == {"sandbox_mode": {"enable": True}}
    assert mail["personalizations"][0]["to"] == [{"email": "op@example.org"}]
    assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert [part["type"] for part in mail["content"]] == ["text/plain", "text/html"]
    assert "in sandbox mode" in checks["sendgrid mail"]["said"]
    assert outside.sendgrid.keys == {f"Bearer {KEY}"}
    assert {path for _, path, _ in outside.pages.asked if SECRET in path} == set()
    assert {seen.path for seen in outside.claude.requests} == {"/v1/messages/count_tokens"}
    assert outside.claude.bill_nanos == 0
    assert len(outside.arxiv.requests) == 1
    assert len(outside.feed.asked) == 1
    assert "40 papers under 1 rubric, as on 2025-09-23" in checks["price"]["said"]
    assert re.match(r"about \$0\.0\d+ for", checks["price"]["said"])
    for secret in (KEY, SECRET, "sk-ant-the-other-secret", SIGNER.public, "a key that only"):
        assert secret not in done.out


def test_the_records_are_printed_as_they_are_to_be_set(installation, outside):
    del outside.names.zone["s2._domainkey.digest.example.org", "CNAME"]
    del outside.names.zone["_dmarc.example.org", "TXT"]
    done = installation.newsletter("doctor")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert done.status == 1
    assert "set s2._domainkey.digest.example.org CNAME s2.domainkey.u1.wl.sendgrid.net" in lines
    wanted = "set _dmarc.digest.example.org TXT v=DMARC1; p=none; rua=mailto:op@example.org"
    assert wanted in lines
    assert "ok s1._domainkey.digest.example.org CNAME s1.domainkey.u1.wl.sendgrid.net" in lines
    assert "ok in.example.org MX 10 mx.sendgrid.net" in lines
    assert any(line.startswith("fail dkim missing or different: s2.") for line in lines)
    assert lines[-1].endswith("2 failed")


def test_what_fails_outside_is_told_with_its_fix_and_without_secrets(asked, outside):
    outside.sendgrid.given = {
        ("GET", "/v3/scopes"): (401, {"errors": [{"message": f"bad key {KEY}"}]}),
        ("POST", "/v3/mail/send"): (403, {"errors": [{"message": f"no sender, {KEY}"}]}),
    }
    outside.claude.fault(401, times=100)
    outside.pages.given = {
        ("GET", "/healthz"): 200,
        ("POST", "/hooks/sendgrid/events"): 200,
        ("POST", f"{endpoints.INBOUND}{endpoints.WRONG_SECRET}"): 301,
    }
    outside.pages.headers = {"Location": "/healthz"}
    outside.feed.given = {}
    outside.arxiv.always = lambda _request, reply: replace(reply, status=503)
    checks = asked()
    failed = {name for name, one in checks.items() if one.state is FindingState.FAIL}
    assert failed == {
        "sendgrid key", "sendgrid mail", "anthropic key", "price", "arxiv api", "event hook",
        "inbound hook",
    }  # fmt: skip
    # What could not be looked at is neither well nor broken.
    unseen = {checks[name].state for name in ("event webhook", "spf", "arxiv feed")}
    assert unseen == {FindingState.WARN}
    assert "redirected (301)" in checks["inbound hook"].said
    assert all(checks[name].fix for name in failed)
    assert KEY not in str(checks)
    assert "sk-ant" not in str(checks)


def test_every_wrong_setting_is_told_at_once_and_nobody_is_asked(installation, outside):
    wrong = {
        "NEWSLETTER_MODEL": "nobody",
        "NEWSLETTER_POSTAL_ADDRESS": "",
        "NEWSLETTER_IMAP_URL": "imap://u:imap-password@h",
        "NEWSLETTER_ENGINE": "dbos",
    }
    done, found, _ = examined(installation, **wrong)
    assert done.status == 2
    said = " ".join(one["said"] for one in found["checks"])
    assert {one["check"] for one in found["checks"]} == {"settings"}
    for name in ("NEWSLETTER_MODEL", "NEWSLETTER_POSTAL_ADDRESS", "NEWSLETTER_IMAP_URL", "dbos"):
        assert name in said
    assert "imap-password" not in done.out
    assert not outside.sendgrid.asked
    done, _, _ = examined(installation, NEWSLETTER_DATABASE_URL="mysql://u:database-pw@h/n")
    assert (done.status, "database-pw" in done.out) == (2, False)
    done, found, _ = examined(
        installation, NEWSLETTER_SEND_AT="7", NEWSLETTER_OPERATOR_PASSWORD="short"
    )
    assert done.status == 2
    assert len(found["checks"]) == 2


def test_offline_asks_nobody(asked, outside):
    checks = asked(offline=True)
    assert FindingState.FAIL not in {one.state for one in checks.values()}
    assert not outside.sendgrid.asked
    assert not outside.claude.requests
    assert not outside.names.asked
    assert "at most $" in checks["price"].said


def test_before_the_first_run_it_makes_nothing(tmp_path):
    installation = Installation(tmp_path)
    done = installation.newsletter("doctor", "--offline")
    assert done.status == 1
    assert "no rubric" in done.out
    (installation.rubrics / "stars.md").write_text(RUBRIC, encoding="utf-8")
    done = installation.newsletter("doctor", "--offline")
    assert done.status == 0
    assert "it is not there yet; newsletter migrate" in done.out
    for check, step in (("scorer", "step 2"), ("mailer", "step 5")):
        assert re.search(rf"warn +{check} +not yet: .*{step} of docs/operating.md", done.out)
    chosen = {"NEWSLETTER_SCORER": "local", "NEWSLETTER_MAILER": "outbox"}
    assert "not yet:" not in installation.newsletter("doctor", "--offline", **chosen).out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rubrics"]


def test_mail_by_smtp_and_replies_by_imap(tmp_path, monkeypatch):
    (tmp_path / "imap").mkdir()
    with (
        FakeSmtp(tmp_path) as smtp,
        FakeImap(tmp_path / "imap") as imap,
        FakeDns(
            {
                ("example.org", "MX"): ["1 a."],
                ("_dmarc.example.org", "TXT"): ['"v=DMARC1;p=none"'],
            }
        ) as names,
    ):
        imap.context = smtp.context
        monkeypatch.setenv("SSL_CERT_FILE", str(smtp.certificate))
        given = settings(
            smtp_url=smtp.url, imap_url=imap.url, mailer="smtp", from_email="a@example.org",
            postal_address="x", public_url="https://127.0.0.1:9", secret_key="k" * 32,
            source="sample", dns_server=names.where, rubrics_dir=tmp_path,
            database_url=f"sqlite:///{tmp_path / 'none.db'}", operator_email="o@example.org",
        )  # fmt: skip
        found = by_check(run.examine(given, lambda: NOW, offline=False))
    assert found["smtp login"].state is FindingState.OK
    assert found["imap login"].state is FindingState.OK
    assert found["spf"].state is FindingState.FAIL
    assert found["spf"].records[0].value == "v=spf1 ip4:ADDRESS-OF-THIS-MACHINE ~all"
    assert found["dkim"].state is FindingState.WARN
    assert (found["dmarc"].state, found["replies"].state) == (FindingState.OK, FindingState.OK)
    assert found["pages"].state is FindingState.FAIL
    assert smtp.messages == []
    assert (found["smtp mail"].state, "RSET" in found["smtp mail"].said) == (FindingState.OK, True)
    said = [command for command in smtp.commands if command[:4] in {"MAIL", "RCPT", "DATA", "RSET"}]
    assert said == ["MAIL FROM:<a@example.org>", "RCPT TO:<o@example.org>", "RSET"]
    assert "UID SEARCH" not in imap.verbs


def test_a_login_that_is_refused(tmp_path, monkeypatch):
    with FakeSmtp(tmp_path, answers={"AUTH": "535 no secret@word here"}) as smtp:
        monkeypatch.setenv("SSL_CERT_FILE", str(smtp.certificate))
        given = settings(smtp_url=smtp.url, mailer="smtp")
        [question] = [q for q in run._outside(given, bootstrap.now) if q.check == "smtp account"]
        [found] = question.ask().findings
    assert found.state is FindingState.FAIL
    assert "refused the login" in found.said


@pytest.mark.parametrize(
    ("verb", "answer"),
    [("MAIL", "553 not your address"), ("RCPT", "554 relay access denied"), ("RSET", "502 no")],
)
def test_a_mail_server_that_takes_the_login_but_not_our_mail(tmp_path, monkeypatch, verb, answer):
    """The login alone proved nothing of it."""
    with FakeSmtp(tmp_path, answers={verb: answer}) as smtp:
        monkeypatch.setenv("SSL_CERT_FILE", str(smtp.certificate))
        given = settings(
            smtp_url=smtp.url, mailer="smtp", from_email="a@example.org", secret_key="k" * 32,
            operator_email="o@example.org",
        )  # fmt: skip
        asked = [q for q in run._outside(given, bootstrap.now) if q.check.startswith("smtp")]
        found = by_check([one for question in asked for one in question.ask().findings])
    assert found["smtp login"].state is FindingState.OK
    assert found["smtp mail"].state is FindingState.FAIL
    assert answer in found["smtp mail"].said.replace(": ", " ")


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        (200, FindingState.OK, "200, accepted; nothing was delivered"),
        (202, FindingState.WARN, "may have been sent"),
        (
            (403, {"errors": [{"message": "not a verified Sender Identity"}]}),
            FindingState.FAIL,
            "verified",
        ),
        (
            (401, {"errors": [{"message": "Maximum credits exceeded"}]}),
            FindingState.FAIL,
            "credits",
        ),
        (415, FindingState.FAIL, "415"),
        (302, FindingState.FAIL, "302"),
    ],
)
def test_a_key_with_all_rights_may_still_not_mail(outside, answer, state, said):
    outside.sendgrid.given["POST", "/v3/mail/send"] = answer
    given = settings(
        sendgrid_api_key=KEY, sendgrid_url=outside.sendgrid.url, from_email="a@example.org",
        secret_key="k" * 32, operator_email="o@example.org",
    )  # fmt: skip
    asked = [q for q in run._outside(given, bootstrap.now) if q.check.startswith("sendgrid")]
    found = by_check([one for question in asked for one in question.ask().findings])
    assert found["sendgrid key"].state is FindingState.OK
    assert (found["sendgrid mail"].state, said in found["sendgrid mail"].said) == (state, True)


def test_without_an_operator_no_mail_is_tried(outside):
    given = settings(sendgrid_api_key=KEY, sendgrid_url=outside.sendgrid.url)
    [question] = [q for q in run._outside(given, bootstrap.now) if q.check == "sendgrid mail"]
    assert [one.state for one in question.ask().findings] == [FindingState.WARN]
    assert not outside.sendgrid.asked


def test_our_own_webhooks_reject_unsigned_requests(store):
    given = {"sendgrid_event_key": SIGNER.public, "inbound_secret": SECRET}
    app = replace(application(store), settings=settings(**given))
    with served(create_app(Site(app))) as web:
        asking = settings(**given, public_url=f"http://127.0.0.1:{web.port}")
        found = by_check(endpoints.check(asking, 5).findings)
    assert {name: one.state for name, one in found.items()} == {
        "pages": FindingState.OK, "event hook": FindingState.OK, "inbound hook": FindingState.OK,
    }  # fmt: skip
    with served(create_app(make_site(store))) as web:
        asking = settings(**given, public_url=f"http://127.0.0.1:{web.port}")
        found = by_check(endpoints.check(asking, 5).findings)
    assert found["event hook"].state is FindingState.FAIL
    assert "off in the service" in found["event hook"].said


def test_a_real_service_must_be_reached_by_https():
    given = settings(mailer="smtp", public_url="http://127.0.0.1:9")
    [found] = endpoints.check(given, 1).findings
    assert (found.state, "https" in found.fix) == (FindingState.FAIL, True)


@pytest.mark.parametrize(
    ("change", "check", "state"),
    [
        ({"url": "https://elsewhere.example.org/"}, "event webhook", FindingState.FAIL),
        ({"enabled": False}, "event webhook", FindingState.FAIL),
        ({"spam_report": False}, "event webhook", FindingState.WARN),
        ({"public_key": ""}, "event webhook", FindingState.WARN),
        ({"public_key": Signer().public}, "event webhook", FindingState.FAIL),
        (
            {"url": f"https://old.example.org{endpoints.INBOUND}{SECRET}"},
            "inbound parse",
            FindingState.FAIL,
        ),
        ({"send_raw": False}, "inbound parse", FindingState.FAIL),
        ({"hostname": "other.example.org"}, "inbound parse", FindingState.FAIL),
    ],
)
def test_what_sendgrid_is_set_to_tell_us(outside, change, check, state):
    table = outside.sendgrid.given
    if check == "event webhook":
        table["GET", f"{V3}/event/settings/all"][1]["webhooks"][0].update(change)
    else:
        table["GET", f"{V3}/parse/settings"][1]["result"][0].update(change)
    given = settings(
        sendgrid_api_key=KEY, sendgrid_url=outside.sendgrid.url, public_url=outside.pages.url,
        sendgrid_event_key=SIGNER.public, inbound_secret=SECRET, reply_domain="in.example.org",
    )  # fmt: skip
    [question] = [q for q in run._outside(given, bootstrap.now) if q.check == "webhooks"]
    found = by_check(question.ask().findings)
    assert found.pop(check).state is state
    assert {one.state for one in found.values()} == {FindingState.OK}


def test_a_key_that_may_not_mail_or_not_see_the_lists(outside):
    given = settings(sendgrid_api_key=KEY, sendgrid_url=outside.sendgrid.url)
    [question] = [q for q in run._outside(given, bootstrap.now) if q.check == "sendgrid account"]
    for scopes, state in (
        (RIGHTS[:1], FindingState.WARN),
        (RIGHTS[:2], FindingState.WARN),
        (RIGHTS[1:], FindingState.FAIL),
    ):
        outside.sendgrid.given["GET", "/v3/scopes"] = (200, {"scopes": scopes})
        assert question.ask().findings[0].state is state
    outside.sendgrid.given["GET", "/v3/scopes"] = (200, b"<html>")
    assert question.ask().findings[0].state is FindingState.FAIL


def test_the_clock_is_compared_with_whoever_answers(outside):
    outside.sendgrid.headers = {"Date": format_datetime(NOW + timedelta(minutes=7), usegmt=True)}
    given = settings(sendgrid_api_key=KEY, sendgrid_url=outside.sendgrid.url)
    questions = [q for q in run._outside(given, bootstrap.now) if q.check == "sendgrid account"]
    _, offsets = run._ask_all(questions, lambda: NOW, 10)
    assert offsets == [-420.0]
    found = local.clock_found(offsets)
    assert (found.state, found.said) == (FindingState.FAIL, "420 s behind the servers asked")
    assert local.clock_found([-420.0, 1.0]).state is FindingState.OK
    assert local.clock_found([45.0]).state is FindingState.WARN
    assert local.clock_found([]).state is FindingState.WARN


def test_who_is_silent_is_told_and_keeps_nobody_waiting():
    over = threading.Event()

    def sleep():
        over.wait(300)
        return CheckResult()

    questions = [
        Question("slow", sleep),
        Question("quick", lambda: CheckResult((ok("quick", "here"),))),
    ]
    started = time.monotonic()
    found, _ = run._ask_all(questions, lambda: NOW, 5)
    assert time.monotonic() - started < 250
    over.set()
    assert [(one.check, one.state) for one in found] == [
        ("slow", FindingState.FAIL), ("quick", FindingState.OK),
    ]  # fmt: skip
    assert "no answer within" in found[0].said


def test_secrets_in_answers_of_servers_are_redacted():
    given = settings(
        sendgrid_api_key=KEY, secret_key="k" * 40 + ",old-key-of-long-ago",
        smtp_url="smtp://u:pass%40word@h", database_url="postgresql+psycopg://u:data-pw@h/n",
    )  # fmt: skip
    # AHUAcGFzc0B3b3Jk is the login as SMTP writes it; the last one has only the form of a key.
    said = (
        f"{KEY} old-key-of-long-ago pass@word pass%40word data-pw AHUAcGFzc0B3b3Jk "
        f"{base64.b64encode(KEY.encode()).decode()} sk-ant-api03-of-another"
    )
    [found] = run._clean(given, [fail("x", said, f"{said}\n\x1b")])
    assert set(f"{found.said} {found.fix}".split()) == {"[hidden]"}


def test_the_schema_is_judged_by_its_step(store, tmp_path):
    assert local.database_found(store).state is FindingState.OK
    with store.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    found = local.database_found(store)
    assert (found.state, found.fix) == (FindingState.WARN, "newsletter migrate")
    with store.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert local.database_found(store).state is FindingState.FAIL
    assert (
        local._judged(DatabaseDiagnostics("SQLite 3.31.1", "1", "1", 0)).state is FindingState.FAIL
    )
    assert (
        local._judged(DatabaseDiagnostics("PostgreSQL 12.2", "1", "1", 0)).state
        is FindingState.FAIL
    )
    assert (
        local._judged(DatabaseDiagnostics("PostgreSQL 16beta1", "1", "1", 0)).state
        is FindingState.OK
    )
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database" * 1000)
    opened = Store(f"sqlite:///{broken}")
    assert local.database_found(opened).state is FindingState.FAIL
    opened.close()


def test_a_folder_that_cannot_be_written_or_is_full(tmp_path):
    given = settings(outbox_dir=tmp_path / "a" / "b", database_url=f"sqlite:///{tmp_path}/n.db")
    assert [one.state for one in local.disk_found(given)] == [FindingState.OK, FindingState.OK]
    free = 2 * 1024 * local.MEGABYTE
    for less, state in ((0, FindingState.OK), (1500, FindingState.WARN), (2000, FindingState.FAIL)):
        left = free - less * local.MEGABYTE
        assert local.disk_space(left, free // 2, tmp_path, "database", writable=True).state is state
    assert (
        local.disk_space(free, free // 2, tmp_path, "database", writable=False).state
        is FindingState.FAIL
    )


def test_a_category_that_arxiv_has_not_is_told(tmp_path):
    """It finds no paper, day after day, and looks like a quiet field."""
    written = "---\ntitle: T\ncategories: [{}]\n---\n\n## Criteria\n\n1. Anything\n"
    for slug, names in {"good": "cs.LG, gr-qc", "slip": "cs.GL, cs.LH", "wide": "astro-ph"}.items():
        (tmp_path / f"{slug}.md").write_text(written.format(names))
    _, found = local.rubrics_found(settings(rubrics_dir=tmp_path))
    assert "'cs.LH' is no arXiv category" in found[0].said
    assert [(one.state, one.said) for one in (found[0], found[2])] == [
        (FindingState.FAIL, found[0].said),
        (FindingState.WARN, "wide.md: astro-ph alone finds few papers"),
    ]


def test_readers_of_a_rubric_without_a_file_are_a_failure():
    rubrics = {"stars": STARS, "idle": MODELS}
    assert local.readers_found(rubrics, {"stars": 3}).state is FindingState.OK
    assert local.readers_found(rubrics, {}).state is FindingState.WARN
    found = local.readers_found(rubrics, {"stars": 3, "gone": 2, "lost": 1})
    assert (found.state, found.said) == (
        FindingState.FAIL,
        "no file for gone, lost, with 3 subscriptions",
    )


@pytest.mark.parametrize(
    ("given", "check", "state"),
    [
        ({"sendgrid_event_key": "nonsense"}, "event key", FindingState.FAIL),
        ({"sendgrid_event_key": f"{SIGNER.public}, nonsense"}, "event key", FindingState.FAIL),
        (
            {"sendgrid_event_key": f"{SIGNER.public}, {Signer().public}"},
            "event key",
            FindingState.OK,
        ),
        ({"sendgrid_inbound_key": "MFkw"}, "inbound key", FindingState.FAIL),
        ({"inbound_secret": "short"}, "inbound secret", FindingState.FAIL),
        ({"inbound_secret": "with/a/slash/0123456789"}, "inbound secret", FindingState.FAIL),
        ({"mailer": "sendgrid"}, "event key", FindingState.WARN),
    ],
)
def test_keys_by_their_form(given, check, state):
    assert by_check(local.keys_found(settings(**given)))[check].state is state


def test_the_price_is_held_against_the_budgets(asked):
    found = asked(offline=True, NEWSLETTER_BUDGET_USD="0.001")["price"]
    assert found.state is FindingState.WARN
    assert "over the budget: stars" in found.said
    found = asked(offline=True, NEWSLETTER_BUDGET_USD="1", NEWSLETTER_MONTHLY_BUDGET_USD="0.01")[
        "price"
    ]
    assert "a month takes more" in found.said


def test_the_operators_page_is_guarded():
    def found(**given):
        return [one.check for one in local.operator_found(settings(**given))]

    password = {"operator_password": "long enough it is"}
    assert found(**password) == []
    assert found(**password, public_url="https://x.example.org") == []
    assert found(**password, public_url="http://x.example.org") == ["operator page"]
    assert found(operator_header="X-User") == ["operator page"]
    assert found(mailer="smtp") == ["operator"]


def test_a_database_that_is_silent_keeps_nobody_waiting(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        given = settings(
            database_url=f"postgresql+psycopg://u:pw@127.0.0.1:{port}/n?connect_timeout=240",
            source="sample", rubrics_dir=tmp_path,
        )  # fmt: skip
        found = by_check(run.examine(given, lambda: NOW, offline=True, all_seconds=0.5))
    assert "no answer within" in found["database"].said


@pytest.mark.parametrize(
    "header",
    ["Host", "cookie", "User-Agent", "Accept", "accept-language", "Sec-Fetch-Site",
     "Authorization", "X-Forwarded-For", "X Forwarded", "Content-Type"],
)  # fmt: skip
def test_a_header_that_everybody_sends_names_no_operator(header):
    with pytest.raises(ValidationError, match="header"):
        settings(operator_header=header)


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b"null", b"[]", b"{}", b"3", b"[[]]", b'[{"domain": null}]', b'{"webhooks": {}}',
     b'{"webhooks": [null, {"url": 3}]}', b'{"result": [{"hostname": "in.example.org"}]}',
     b'{"scopes": {"mail.send": 1}}', b'{"scopes": [1, "mail.send"]}', b"\xff" * 50,
     b'[{"domain": "digest.example.org", "dns": [1]}]', b"[" * 5000,
     b'[{"domain": "digest.example.org", "dns": {"a": {"host": 1, "type": [], "data": null}}}]'],
)  # fmt: skip
def test_nonsense_of_a_provider_is_a_finding(outside, body):
    paths = outside.sendgrid.given
    outside.sendgrid.given = dict.fromkeys(paths, (200, body))
    given = settings(
        sendgrid_api_key=KEY, sendgrid_url=outside.sendgrid.url, inbound_secret=SECRET,
        from_email="a@digest.example.org", reply_domain="in.example.org",
        dns_server=outside.names.where, public_url=outside.pages.url,
    )  # fmt: skip
    questions = [
        q
        for q in run._outside(given, bootstrap.now)
        if q.check in {"sendgrid account", "dns", "webhooks"}
    ]
    found, _ = run._ask_all(questions, lambda: NOW, 10)
    assert {"sendgrid key", "event webhook", "inbound parse", "spf", "dkim"} <= by_check(
        found
    ).keys()
    assert "failed" not in str([one.said for one in found])


def test_what_a_name_server_says_is_one_harmless_line():
    wild = DnsRecord("a\x1b[31m.org", "TXT", "v=DMARC1;\n\x07 p=none", stands=True)
    [found] = run._clean(settings(), [ok("x", "y", wild)])
    assert found.records == (DnsRecord("a [31m.org", "TXT", "v=DMARC1; p=none", stands=True),)


def test_without_a_name_server_the_records_are_told_all_the_same(outside):
    outside.names.broken |= {"_dmarc.digest.example.org", "em1.digest.example.org"}
    outside.names.broken |= {"in.example.org"}
    given = settings(
        sendgrid_api_key=KEY, sendgrid_url=outside.sendgrid.url, inbound_secret=SECRET,
        from_email="a@digest.example.org", reply_domain="in.example.org",
        dns_server=outside.names.where,
    )  # fmt: skip
    [question] = [q for q in run._outside(given, bootstrap.now) if q.check == "dns"]
    found = by_check(question.ask().findings)
    assert {one.state for one in found.values()} == {FindingState.FAIL}
    assert all("did not answer" in one.said and one.fix for one in found.values())
    values = {record.value for one in found.values() for record in one.records}
    assert {"10 mx.sendgrid.net", "v=DMARC1; p=none", "u1.wl.sendgrid.net"} <= values


def test_a_domain_that_sendgrid_does_not_know_fails(outside):
    given = settings(
        sendgrid_api_key=KEY, sendgrid_url=outside.sendgrid.url, from_email="a@elsewhere.org",
        dns_server=outside.names.where,
    )  # fmt: skip
    [question] = [q for q in run._outside(given, bootstrap.now) if q.check == "dns"]
    found = by_check(question.ask().findings)
    assert (found["spf"].state, found["dkim"].state) == (FindingState.FAIL, FindingState.FAIL)
    assert "Authenticate Your Domain" in found["dkim"].fix


def test_whatever_names_a_secret_it_is_not_repeated(tmp_path):
    folder = tmp_path / KEY
    folder.mkdir()
    (folder / "stars.md").write_text(RUBRIC, encoding="utf-8")
    given = settings(
        sendgrid_api_key=KEY, mailer="outbox", source="sample", rubrics_dir=folder,
        outbox_dir=tmp_path, database_url=f"sqlite:///{tmp_path}/n.db",
    )  # fmt: skip
    found = run.examine(given, lambda: NOW, offline=True)
    assert "[hidden]" in by_check(found)["rubrics"].said
    assert KEY not in str(found)
