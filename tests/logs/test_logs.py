"""The log as a program reads it, and what must never be in it."""

from __future__ import annotations

import io
import json
import logging
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from newsletter import logs
from newsletter.context import no_progress
from newsletter.domain.links import Links
from newsletter.domain.tasks import Task, TaskKind, TaskResult
from newsletter.jobs import daily
from newsletter.jobs.engine import LocalEngine
from newsletter.store import Store, subscriptions
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.installation import Installation
from tests.fakes.mail import DeliveryScenario, settings
from tests.fakes.scoring import scores_in_abstract
from tests.fakes.sendgrid import FakeSendGrid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsletter.domain.mail import Email

RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n## Criteria\n1. Any\n   - Relevant: all\n"
TOKEN = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnop"
PASSWORD = 'p4ss"w/rd é of some length'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def logging_to(stream: io.StringIO, usual: str = "info", **given: Any) -> Iterator[io.StringIO]:
    """What `set_up` does to this process, undone afterwards."""
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.NOISY_LIBRARIES}
    try:
        logs.set_up(settings(**given), usual, stream)
        yield stream
    finally:
        root.handlers[:], threading.excepthook = handlers, hook
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)


def fail(words: str) -> None:
    raise ValueError(words)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_its_edition_and_rubric_in_utc():
    with logging_to(io.StringIO()) as stream:
        log = logging.getLogger("newsletter.some")
        with logs.bound(edition="2025-09-23", rubric="stars"):
            log.info("scored %d papers", 12, extra={"papers": 12, "seconds": 1.5})
        log.warning("after")
    first, second = lines(stream)
    assert first["event"] == "scored 12 papers"
    assert (first["edition"], first["rubric"], first["papers"]) == ("2025-09-23", "stars", 12)
    assert (first["level"], first["logger"], first["seconds"]) == ("info", "newsletter.some", 1.5)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", first["timestamp"])
    assert "edition" not in second


def test_a_terminal_gets_words():
    with logging_to(Terminal()) as stream:
        try:
            fail("of ann@example.org")
        except ValueError:
            logging.getLogger("newsletter.some").exception("it failed", extra={"papers": 3})
    shown = stream.getvalue()
    assert "it failed" in shown
    assert "papers" in shown
    assert "a…@example.org" in shown
    assert "ann@" not in shown
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(shown)


@pytest.mark.parametrize(
    ("usual", "wanted", "shown"),
    [
        ("warning", "", ["warning"]),
        ("info", "", ["info", "warning"]),
        ("info", "error", []),
        ("warning", "debug", ["debug", "info", "warning"]),
    ],
)
def test_the_setting_says_how_much_is_logged(usual: str, wanted: str, shown: list[str]):
    with logging_to(io.StringIO(), usual, log_level=wanted) as stream:
        for level in ("debug", "info", "warning"):
            getattr(logging.getLogger("newsletter.some"), level)("said")
    assert [line["level"] for line in lines(stream)] == shown


def test_libraries_that_chat_are_heard_in_debug_alone():
    for level, heard in (("info", 0), ("debug", 1)):
        with logging_to(io.StringIO(), level) as stream:
            logging.getLogger("apscheduler.scheduler").info("job done")
            logging.getLogger("urllib3").warning("retrying")
        assert len(lines(stream)) == heard + 1


SECRETS = {
    "anthropic_api_key": "very-secret-anthropic",
    "sendgrid_api_key": "very-secret-sendgrid",
    "secret_key": "first-signing-key-0123,second-signing-key-0123",
    "inbound_secret": "very/secret inbound",
    "operator_password": PASSWORD,
    "smtp_url": "smtp://mailer:sm%2Ftp-secret@mail.example.org:587",
    "imap_url": "imaps://reader:im+ap-secret@mail.example.org/INBOX",
    "database_url": "postgresql+psycopg://owner:database-secret@db.example.org/n",
    "ping_url": "https://watch.example.org/0c9f-ping",
}
PARTS = (
    *("very-secret-anthropic", "very-secret-sendgrid", "first-signing-key-0123"),
    *("second-signing-key-0123", "very/secret inbound", "very%2Fsecret%20inbound", PASSWORD),
    *(json.dumps(PASSWORD)[1:-1], "sm%2Ftp-secret", "sm/tp-secret", "im+ap-secret"),
    *("database-secret", "0c9f-ping", "AG1haWxlcgBzbS90cC1zZWNyZXQ="),
)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_10_no_setting_that_is_secret_is_logged(part: str, kind: type[io.StringIO]):
    with logging_to(kind(), **SECRETS) as stream:
        log = logging.getLogger("lib")
        log.warning("with %s here", part)
        log.warning("a field", extra={"field": {"inner": [part, part.encode()]}})
        try:
            fail(part)
        except ValueError:
            log.exception("failed")
    assert stream.getvalue().count("[hidden]") >= 4
    assert part not in stream.getvalue()
    assert json.dumps(part)[1:-1] not in stream.getvalue()


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("ann@example.org", "a…@example.org"),
        ("<Ann.O'Brien+news@mail.example.org>", "<A…@mail.example.org>"),
        ("mailto:ann@example.org?subject=x", "mailto:a…@example.org?subject=x"),
        ("to=ann%40example.org&x", "to=a…%40example.org&x"),
        ("(b'To', b'ünü@exämple.org')", "(b'To', b…@exämple.org')"),
        (f"reply+{TOKEN}@in.example.org", "r…@in.example.org"),
        (f"GET /unsubscribe/{TOKEN} 200", "GET /unsubscribe/[hidden] 200"),
        (f"GET /confirm/{TOKEN.upper()}?x", "GET /confirm/[hidden]?x"),
        (
            "/archive/secret-abcdefghijklmnop22345672/2025-09-23/",
            "/archive/secret-[hidden]/2025-09-23/",
        ),
        ("Authorization: Bearer abc.def-123", "Authorization: [hidden]"),
        (
            "{'authorization': 'Basic dXNlcjpwYXNz', 'a': 1}",
            "{'authorization': '[hidden]', 'a': 1}",
        ),
        ("(b'X-Api-Key', b'abc123')", "(b'X-Api-Key', b'[hidden]')"),
        ("sent Bearer abcdefgh1234 away", "sent Bearer [hidden] away"),
        ("key sk-ant-api03-x_y and SG.abc.d-e_f", "key [hidden] and [hidden]"),
        ("https://ann:pw@example.org/", "https://[hidden]@example.org/"),
        ("red \x1b[31m and \u202egnp", "red ?[31m and ?gnp"),
    ],
)
def test_what_looks_like_a_secret_or_an_address_is_hidden(said: str, left: str):
    assert logs.Redactor([]).text(said) == left


def test_plain_words_stay_as_they_are():
    for said in (
        "scored 12 papers of 2025-09-23 in 1.5 s",
        "database var/newsletter.db: disk I/O error",
        "    @contextmanager\n    def bound() -> None:",
        "https://export.arxiv.org/api/query?search_query=cat:cs.LG",
        "a digest of sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ):
        assert logs.Redactor(["some secret"]).text(said) == said


def test_a_long_word_is_read_in_linear_time():
    started = time.thread_time()
    logs.Redactor(["x" * 40]).text("a" * 300_000)
    assert time.thread_time() - started < 5


def test_what_a_thread_dies_of_and_warnings_are_logged():
    with logging_to(io.StringIO()) as stream:
        thread = threading.Thread(target=fail, args=("by ann@example.org",), name="some")
        thread.start()
        thread.join()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("of bo@example.org", stacklevel=1)
    died, warned = lines(stream)
    assert died["event"] == "thread some died"
    assert "ValueError" in died["exception"]
    assert "b…@example.org" in warned["event"]
    assert "ann@" not in stream.getvalue()


@pytest.mark.parametrize("debug", ["", "1"])
def test_10_an_unexpected_fault_is_said_without_secrets(debug: str):
    code = (
        "from newsletter import __main__, logs; from newsletter.settings import read_settings\n"
        "def broken(**_):\n"
        "    logs.set_up(read_settings(), 'info')\n"
        "    raise RuntimeError('ann@example.org with key-of-a-test-0123')\n"
        "__main__.get_command = lambda app: broken\n"
        "__main__.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"ANTHROPIC_API_KEY": "key-of-a-test-0123", "NEWSLETTER_DEBUG": debug},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert "a…@example.org with [hidden]" in done.stderr
    assert "key-of-a-test" not in done.stderr
    assert ("Traceback" in done.stderr) == bool(debug)


READERS = ("ann@readers.example", "bob.b+x@readers.example")
KEYS = {
    "ANTHROPIC_API_KEY": "anthropic-key-of-a-test",
    "SENDGRID_API_KEY": "SG.sendgrid.key-of-a-test",
    "NEWSLETTER_SECRET_KEY": "a key that only tests know 0123",
    "NEWSLETTER_OPERATOR_PASSWORD": "operator-password",
}


def installation_in(tmp_path: Path, **more: str) -> Installation:
    made = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="sample",
        NEWSLETTER_FROM_EMAIL="digest@sender.example",
        NEWSLETTER_POSTAL_ADDRESS="1 Example Street",
        NEWSLETTER_OPERATOR_EMAIL="operator@sender.example",
        NEWSLETTER_REPLY_DOMAIN="in.sender.example",
        **KEYS,
        **more,
    )
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    made.subscribe(*(f"{reader},one" for reader in READERS))
    return made


def private_words(installation: Installation) -> list[str]:
    """All that must not be in a log: keys, addresses, and the tokens of each reader's links."""
    links = Links("https://x.example", [KEYS["NEWSLETTER_SECRET_KEY"]], "in.sender.example")
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.read() as tx:
        ids = [one.id for one in subscriptions.all_subscriptions(tx)]
    store.close()
    purposes = ("unsubscribe", "preferences", "confirm", "reply", "unsub")
    tokens = [links.token(purpose, one) for one in ids for purpose in purposes]  # type: ignore[arg-type]
    return [*KEYS.values(), *READERS, "operator@", "digest@", *tokens]


def test_10_a_debug_run_with_real_libraries_leaks_nothing(tmp_path: Path):
    with FakeAnthropic(scores_in_abstract) as model, FakeSendGrid() as mailer:
        installation = installation_in(
            tmp_path,
            ANTHROPIC_BASE_URL=model.url,
            NEWSLETTER_SENDGRID_URL=mailer.url,
            NEWSLETTER_LOG_LEVEL="debug",
        )
        done = installation.newsletter("run", "--json")
    assert done.status == 0, done.err
    assert len(mailer.addresses) == len(READERS)
    logged = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    heard = {line["logger"].partition(".")[0] for line in logged}
    assert {"newsletter", "anthropic"} <= heard, heard
    leaks = [word for word in private_words(installation) if word in done.err]
    assert not leaks


def test_every_log_line_of_scoring_names_edition_and_rubric(tmp_path: Path):
    """Also what libraries log in the threads that ask the model."""
    with FakeAnthropic(scores_in_abstract) as model, FakeSendGrid() as mailer:
        model.fault(529, times=2)
        installation = installation_in(
            tmp_path,
            ANTHROPIC_BASE_URL=model.url,
            NEWSLETTER_SENDGRID_URL=mailer.url,
            NEWSLETTER_SCORING_MODE="now",
            NEWSLETTER_LOG_LEVEL="debug",
        )
        (installation.rubrics / "two.md").write_text(RUBRIC + "2. More\n", encoding="utf-8")
        installation.subscribe("cy@readers.example,two")
        done = installation.newsletter("run", "--json")
    assert done.status == 0, done.err
    logged = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    [day] = {line["edition"] for line in logged if line["event"] == "digest"}
    asked = [line for line in logged if line["logger"].startswith(("anthropic", "http"))]
    steps = [line for line in logged if line["event"] in {"digest", "mail"}]
    for lines_of in (asked, steps):
        assert {(line.get("edition"), line.get("rubric")) for line in lines_of} == {
            (day, "one"),
            (day, "two"),
        }
    assert all(line["edition"] == day for line in logged if line["event"] in {"fetch", "score"})


class TalkingMailer:
    def send(self, _email: Email) -> str:
        logging.getLogger("lib").info("handed over")
        return "taken"


def test_what_a_mailer_logs_in_its_threads_bears_edition_and_rubric(store: Store):
    scenario = DeliveryScenario(store)
    scenario.add_readers(3)
    scenario.make_digest(date(2025, 9, 23))
    with logging_to(io.StringIO()) as stream, logs.bound(edition="2025-09-23", rubric="stars"):
        scenario.send(TalkingMailer())
    said = [line for line in lines(stream) if line["event"] == "handed over"]
    assert [(line["edition"], line["rubric"]) for line in said] == [("2025-09-23", "stars")] * 3


def test_tasks_in_other_threads_keep_the_log_fields_of_their_caller():
    def do(unit: Task) -> TaskResult:
        logging.getLogger("lib").info("%s", unit.ids[0])
        return TaskResult()

    todo = [Task(TaskKind.MAIL, date(2025, 9, 23), (f"{number}", "0")) for number in range(9)]
    with logging_to(io.StringIO()) as stream, logs.bound(edition="2025-09-23"):
        LocalEngine().run(todo, do, no_progress, threading.Event())
    assert [line["edition"] for line in lines(stream)] == ["2025-09-23"] * 9


def test_a_task_that_fails_logs_its_edition_and_rubric():
    def report(*_: object) -> None:
        fail("out of nowhere")

    unit = Task(TaskKind.DIGEST, date(2025, 9, 23), ("stars",))
    with logging_to(io.StringIO()) as stream:
        ending = daily.handle_task(None, report, unit)  # type: ignore[arg-type]
    [line] = lines(stream)
    assert "unexpected" in ending.problem
    assert (line["edition"], line["rubric"]) == ("2025-09-23", "stars")
    assert "exception" in line


def test_10_a_debug_service_that_is_visited_leaks_nothing(tmp_path: Path):
    installation = installation_in(
        tmp_path, NEWSLETTER_MAILER="outbox", NEWSLETTER_LOG_LEVEL="debug"
    )
    installation.environment |= {"NEWSLETTER_SCORER": "local"}
    links = Links("", [KEYS["NEWSLETTER_SECRET_KEY"]], "")
    said = []
    with installation.begin("serve", "--port", "0") as process:
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"pages at (http://[\d.:]+)", line):
                break
        store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
        with store.read() as tx:
            [reader, *_] = subscriptions.all_subscriptions(tx)
        store.close()
        assert found
        time.sleep(0.5)
        with urlopen(found[1] + links.unsubscribe_url(reader.id), timeout=120) as page:  # noqa: S310
            assert page.status == 200
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=300)[1]
    text = "".join(said) + rest
    assert all(json.loads(line) for line in text.splitlines())
    assert not [word for word in private_words(installation) if word in text]
