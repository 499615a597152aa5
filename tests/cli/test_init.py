"""`newsletter init`, by options and on a terminal: from an empty folder to a first real email."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import stat
import sys
import termios
import time
from contextlib import nullcontext, suppress
from datetime import datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

import pytest
from dotenv import dotenv_values

from newsletter.cli.init import cron_command, keep_owner
from newsletter.domain.rubric_draft import draft_locally
from newsletter.files import env_file
from newsletter.rubrics.file import load
from tests.fakes import command
from tests.fakes.answers import Answers
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.installation import CommandResult
from tests.fakes.scoring import scores_in_abstract
from tests.fakes.sendgrid_rules import refusal_of
from tests.fakes.smtp import FakeSmtp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

ME = "me@example.org"


class Newcomer:
    """An empty folder and the commands run in it; nothing is set but the source of papers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "COLUMNS": "160",
            "NEWSLETTER_SOURCE": "sample",
        }

    def newsletter(self, *words: str, **more: str) -> CommandResult:
        environment = self.environment | more
        return CommandResult(*command.run(words, self.folder, environment, timeout=600))

    def init(self, *words: str, **more: str) -> CommandResult:
        given = ("--email", ME, "--topic", "foundation-models", *words)
        return self.newsletter("init", *given, **more)

    @property
    def env(self) -> dict[str, str | None]:
        return dotenv_values(self.folder / ".env")

    def files(self) -> set[str]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)) for path in found}


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    (tmp_path / "new").mkdir()
    return Newcomer(tmp_path / "new")


@pytest.fixture
def server(tmp_path: Path, newcomer: Newcomer) -> Iterator[FakeSmtp]:
    with FakeSmtp(tmp_path) as server:
        newcomer.environment["SSL_CERT_FILE"] = str(server.certificate)
        yield server


def mails(server: FakeSmtp) -> list[EmailMessage]:
    return [message_from_bytes(one, policy=default) for one in server.messages]


def test_files_need_an_address_and_a_topic_only(newcomer: Newcomer) -> None:
    done = newcomer.init("--yes", "--test-mail", "--from", "digest@example.org")
    assert done.status == 0, done.err
    assert newcomer.env["NEWSLETTER_FROM_EMAIL"] == "digest@example.org"
    assert stat.S_IMODE((newcomer.folder / ".env").stat().st_mode) == 0o600
    assert len(newcomer.env["NEWSLETTER_SECRET_KEY"] or "") == 64
    assert (newcomer.folder / "rubrics" / "foundation-models.md").is_file()
    assert ME in newcomer.newsletter("subscribers", "list").out
    assert (newcomer.folder / "var" / "outbox" / "index.html").is_file()
    assert f"{ME}: added\n" in done.out
    for way in ("serve", "crontab"):
        assert way in done.out
    # Their files and docs are in a checkout only.
    for way in ("systemctl", "docker", "docs/"):
        assert way not in done.out
    assert newcomer.newsletter("run").status == 0


def test_a_checkout_offers_systemd_and_docker(newcomer: Newcomer) -> None:
    (newcomer.folder / "deploy").mkdir()
    for name in ("compose.yaml", "deploy/newsletter.service"):
        shutil.copy(command.ROOT / name, newcomer.folder / name)
    done = newcomer.init("--yes")
    assert "systemctl enable --now newsletter" in done.out
    assert "docker compose up -d" in done.out


@pytest.mark.parametrize(
    ("words", "machine", "written"),
    [
        ((), "UTC", (None, None)),
        ((), "Asia/Tokyo", ("Asia/Tokyo", None)),
        (("--timezone", "Europe/Berlin", "--send-at", "6:30"), "UTC", ("Europe/Berlin", "06:30")),
    ],
)
def test_mail_comes_at_the_hour_of_the_given_zone_or_of_the_machine(
    newcomer: Newcomer, words: tuple[str, ...], machine: str, written: tuple[str | None, ...]
) -> None:
    done = newcomer.init("--yes", *words, TZ=machine)
    assert done.status == 0, done.err
    names = ("NEWSLETTER_TIMEZONE", "NEWSLETTER_SEND_AT")
    assert tuple(newcomer.env.get(name) for name in names) == written
    zone, hour = written[0] or "UTC", written[1] or "07:00"
    assert f"mails at {hour} {zone}" in done.out
    # cron goes by the clock of the machine.
    at = time.strptime(hour, "%H:%M")
    here = datetime.now(ZoneInfo(zone)).replace(hour=at.tm_hour, minute=at.tm_min)
    local = here.astimezone(ZoneInfo(machine))
    assert f"  {local.minute} {local.hour}-" in done.out


def test_the_first_real_mail_goes_to_the_lone_reader(newcomer: Newcomer, server: FakeSmtp) -> None:
    done = newcomer.init("--mail", "smtp", "--test-mail", "--yes", NEWSLETTER_SMTP_URL=server.url)
    assert done.status == 0, done.err
    assert "secret@word" not in done.out + done.err
    assert "NEWSLETTER_PUBLIC_URL" not in newcomer.env
    # From now on .env alone is enough.
    assert newcomer.newsletter("run").status == 0
    test, real = mails(server)
    assert test["subject"].startswith("[TEST]")
    assert real["to"] == f"{ME}"
    assert real["reply-to"] == ME
    assert real["list-unsubscribe"] == f"<mailto:{ME}?subject=unsubscribe>"
    assert real["list-unsubscribe-post"] is None
    doctor = newcomer.newsletter("doctor")
    assert "pages" in doctor.out
    assert "0 failed" in doctor.out, doctor.out


def test_nobody_else_is_mailed_without_a_public_url(newcomer: Newcomer, server: FakeSmtp) -> None:
    newcomer.init("--mail", "smtp", "--yes", NEWSLETTER_SMTP_URL=server.url)
    added = newcomer.newsletter(
        *("subscribers", "add", "other@example.org", "--rubric", "foundation-models"),
        *("--consent", "asked"),
    )
    assert added.status == 0, added.err
    run = newcomer.newsletter("run")
    assert run.status == 1
    assert "NEWSLETTER_PUBLIC_URL" in run.err
    assert "NEWSLETTER_OPERATOR_ONLY" in run.err
    test = newcomer.newsletter(
        "test-send", "--to", "third@example.org", "--rubric", "foundation-models"
    )
    assert test.status == 1
    assert {one["to"] for one in mails(server)} <= {ME}
    assert not any("other@" in line or "third@" in line for line in server.commands)


def test_a_refused_login_writes_nothing(newcomer: Newcomer, server: FakeSmtp) -> None:
    server.answers["AUTH"] = "535 5.7.8 Username and Password not accepted"
    done = newcomer.init("--mail", "smtp", "--yes", NEWSLETTER_SMTP_URL=server.url)
    assert done.status == 1
    assert "535" in done.err
    assert "secret@word" not in done.err
    assert newcomer.files() == set()


def test_keys_are_checked_and_written(newcomer: Newcomer) -> None:
    rights = {"scopes": ["mail.send", "suppression.read"]}
    answers = {("GET", "/v3/scopes"): (200, rights), ("POST", "/v3/mail/send"): 200}
    with (
        Answers(answers, refusal_of=refusal_of) as sendgrid,
        FakeAnthropic(scores_in_abstract) as anthropic,
    ):
        done = newcomer.init(
            *("--mail", "sendgrid", "--from", "digest@example.org", "--yes"),
            SENDGRID_API_KEY="SG.x",
            NEWSLETTER_SENDGRID_URL=sendgrid.url,
            ANTHROPIC_API_KEY="sk-test",
            ANTHROPIC_BASE_URL=anthropic.url,
        )
    assert done.status == 0, done.err
    assert "anthropic key" in done.out
    assert "sendgrid mail" in done.out
    assert newcomer.env["ANTHROPIC_API_KEY"] == "sk-test"
    assert newcomer.env["NEWSLETTER_FROM_EMAIL"] == "digest@example.org"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--email"),
        (("--email", ME), "--topic"),
        (("--email", f"{ME}\nNEWSLETTER_MAILER=smtp", "--topic", "x"), "--email"),
        (("--email", "me", "--topic", "foundation-models"), "--email"),
        (("--email", ME, "--topic", "a sentence"), "--categories"),
        (("--email", ME, "--topic", "a sentence", "--categories", "cs.ML"), "stat.ML"),
        (("--email", ME, "--topic", "---", "--categories", "cs.LG"), "--topic"),
        (("--email", ME, "--topic", "foundation-modles"), "is foundation-models meant?"),
        (("--email", ME, "--topic", "foundation-models", "--categories", "cs.CL"), "--categories"),
        (("--email", ME, "--topic", "foundation-models", "--mail", "fax"), "--mail"),
        (("--email", ME, "--topic", "foundation-models", "--from", "bad one"), "--from"),
        (("--email", ME, "--topic", "foundation-models", "--mail", "smtp"), "NEWSLETTER_SMTP_URL"),
        (("--email", ME, "--topic", "foundation-models", "--timezone", "CEST"), "Europe/"),
        (("--email", ME, "--topic", "foundation-models", "--send-at", "25:00"), "--send-at"),
    ],
)
def test_a_wrong_answer_is_named_and_writes_nothing(
    newcomer: Newcomer, words: tuple[str, ...], says: str
) -> None:
    done = newcomer.newsletter("init", "--yes", *words)
    assert done.status == 2
    assert says in done.err
    assert newcomer.files() == set()


def test_a_sentence_becomes_a_rubric(newcomer: Newcomer) -> None:
    sentence = 'How "robots" learn: to walk & climb [really]\n---\npublic: true'
    given = ("--email", ME, "--topic", sentence, "--categories", "cs.RO,cs.LG", "--yes")
    done = newcomer.newsletter("init", *given)
    assert done.status == 0, done.err
    rubric = load(newcomer.folder / "rubrics" / "mine.md")
    assert rubric.categories == ("cs.RO", "cs.LG")
    assert not rubric.public
    assert 'How "robots" learn: to walk & climb [really]' in rubric.criteria[0].body
    assert newcomer.newsletter("init", *given).status == 0
    assert sorted(p.name for p in (newcomer.folder / "rubrics").iterdir()) == ["mine.md"]
    assert newcomer.newsletter("rubrics", "check", "rubrics/mine.md").status == 0


def test_another_topic_later_replaces_the_first(newcomer: Newcomer) -> None:
    assert newcomer.init("--yes").status == 0
    sentence = ("--topic", "robots that walk", "--categories", "cs.RO")
    done = newcomer.newsletter("init", "--yes", "--email", ME, *sentence)
    assert done.status == 0, done.err
    known = json.loads(newcomer.newsletter("subscribers", "list", "--json").out)
    [reader] = [one for one in known if one["state"] == "active"]
    assert (reader["email"], reader["rubric"]) == (ME, "mine")


def test_a_shipped_topic_may_be_given_by_its_title(newcomer: Newcomer) -> None:
    done = newcomer.newsletter("init", "--yes", "--email", ME, "--topic", "foundation Models")
    assert done.status == 0, done.err
    assert (newcomer.folder / "rubrics" / "foundation-models.md").is_file()


def test_an_empty_folder_names_init(newcomer: Newcomer) -> None:
    for words in (("run",), ("status",), ("rubrics", "list")):
        done = newcomer.newsletter(*words)
        assert done.status == 1
        assert "`newsletter init`" in done.err, words


def test_a_long_sentence_is_refused() -> None:
    with pytest.raises(ValueError, match="500"):
        draft_locally("word " * 101, [], [], ["cs.LG"])


def test_an_existing_env_file_keeps_its_other_lines(newcomer: Newcomer) -> None:
    before = (
        "# mine\nUNKNOWN='a b'\nNEWSLETTER_SECRET_KEY=0123456789abcdef0123\n"
        "NEWSLETTER_MAILER=sendgrid # was\nTHE_END=1"
    )
    (newcomer.folder / ".env").write_text(before)
    refused = newcomer.init()
    assert refused.status == 2
    assert "--yes" in refused.err
    assert (newcomer.folder / ".env").read_text() == before
    done = newcomer.init("--yes")
    assert done.status == 0, done.err
    after = (newcomer.folder / ".env").read_text()
    assert after.startswith("# mine\nUNKNOWN='a b'\nNEWSLETTER_SECRET_KEY=0123456789abcdef0123\n")
    assert "THE_END=1\n" in after
    assert newcomer.env["NEWSLETTER_MAILER"] == "outbox"
    assert stat.S_IMODE((newcomer.folder / ".env").stat().st_mode) == 0o600


def test_without_the_right_to_write_nothing_is_left(newcomer: Newcomer) -> None:
    done = newcomer.init("--yes", NEWSLETTER_RUBRICS_DIR="/proc")
    assert done.status == 1
    assert "not written" in done.err
    (newcomer.folder / ".env").mkdir()
    done = newcomer.init("--yes")
    assert done.status == 1
    assert "folder" in done.err
    assert newcomer.files() == set()


def test_without_a_usable_database_nothing_is_written(newcomer: Newcomer) -> None:
    (newcomer.folder / "var").touch()
    done = newcomer.init("--yes")
    assert done.status == 1
    assert "var/newsletter.db" in done.err
    assert newcomer.files() == {"var"}


@pytest.mark.parametrize("value", ["plain", "it's", 'a "b" #c', "back\\slash\\", " edge ", "é"])
def test_a_value_is_read_back_as_it_was_written(tmp_path: Path, value: str) -> None:
    path = tmp_path / ".env"
    path.write_text(env_file.changed_text(path, {"ONE": value, "TWO": "2"}))
    assert dotenv_values(path) == {"ONE": value, "TWO": "2"}


def test_env_keeps_its_owner(newcomer: Newcomer) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give a file to another user")
    env = newcomer.folder / ".env"
    env.write_text("UNKNOWN=1\n")
    os.chown(env, 65534, 65534)
    assert newcomer.init("--yes").status == 0
    assert (env.stat().st_uid, env.stat().st_gid) == (65534, 65534)


@pytest.mark.parametrize(
    ("owner", "mode", "may"),
    [(65534, 0o600, True), (0, 0o600, False), (0, 0o644, True)],
    ids=["own", "of another user", "of another user, readable by all"],
)
def test_a_group_of_others_does_not_stop_init(owner: int, mode: int, *, may: bool) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may act as another user")
    with TemporaryDirectory(dir="/tmp") as name:
        target, draft = Path(name, "target"), Path(name, "draft")
        target.touch(mode=0o600)
        draft.touch(mode=mode)
        os.chown(target, owner, 54321)
        os.chown(draft, 65534, 65534)
        Path(name).chmod(0o777)
        os.seteuid(65534)
        try:
            with nullcontext() if may else pytest.raises(PermissionError):
                keep_owner(draft, target)
        finally:
            os.seteuid(0)


def test_the_line_for_crontab_can_be_executed() -> None:
    assert cron_command(Path("/srv/.venv/bin/newsletter")) == "/srv/.venv/bin/newsletter"
    module = cron_command(Path("/srv/newsletter/__main__.py"))
    assert module == f"{sys.executable} -m newsletter"


def test_a_value_that_would_change_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ONE") as refused:
        env_file.changed_text(tmp_path / ".env", {"ONE": "${HOME}secret"})
    assert "secret" not in str(refused.value)


class Terminal:
    """`newsletter init` on a terminal of its own."""

    def __init__(self, newcomer: Newcomer) -> None:
        self.end, inside = pty.openpty()
        environment = {**newcomer.environment, "TERM": "dumb"}
        self.process = command.begin_on_terminal(["init"], newcomer.folder, environment, inside)
        os.close(inside)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            os.close(self.end)

    def wait_for(self, text: str) -> None:
        """Read until `text` is shown; the next call reads on behind it."""
        until = time.monotonic() + 240
        while text not in self.shown:
            assert time.monotonic() < until, f"{text!r} not in {self.shown!r}"
            self._read()
        self.shown = self.shown.partition(text)[2]

    def answer(self, question: str, text: str) -> None:
        self.wait_for(question)
        os.write(self.end, f"{text}\n".encode())

    def answer_hidden(self, question: str, text: str) -> None:
        """Wait until the terminal shows nothing: what is typed before that is thrown away."""
        self.wait_for(question)
        until = time.monotonic() + 240
        while termios.tcgetattr(self.end)[3] & termios.ECHO:
            assert time.monotonic() < until, "the answer would be shown"
            time.sleep(0.01)
        os.write(self.end, f"{text}\n".encode())

    def interrupt(self) -> int:
        """Press Ctrl-C until the process ends; return the exit status.

        Python does not see a signal that comes between its last look and the read of a line.
        """
        for _ in range(12):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGINT)
            with suppress(TimeoutError):
                return self.process.wait(20)
        raise AssertionError(self.shown)

    def rest(self) -> str:
        while self._read():
            pass
        return self.shown

    def _read(self) -> bool:
        ready, _, _ = select.select([self.end], [], [], 240)
        try:
            data = os.read(self.end, 65536) if ready else b""
        except OSError:
            # Linux ends a terminal without a process so.
            data = b""
        self.shown += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


def test_on_a_terminal_each_answer_is_checked_at_once(newcomer: Newcomer, server: FakeSmtp) -> None:
    server.answers["AUTH"] = "535 5.7.8 not accepted"
    host = re.sub(r"^smtp://.*@", "", server.url)
    with Terminal(newcomer) as terminal:
        terminal.answer("email address", "nobody")
        terminal.wait_for("is not an address")
        terminal.answer("email address", ME)
        terminal.answer("sentence of your own", 'Robots that "walk"')
        terminal.answer("categories?", "cs.RO cs.XX")
        terminal.wait_for("'cs.XX' is no arXiv category")
        terminal.answer("categories?", "cs.RO cs.LG")
        terminal.answer("How to mail", "smtp")
        terminal.answer("HOST:PORT", "bad host:x")
        terminal.wait_for("is no mail server; write it like smtp.example.org:587")
        terminal.answer("HOST:PORT", host)
        terminal.answer("User name", "")
        terminal.answer_hidden("App password", "pass@word:1/#%")
        terminal.wait_for("535")
        server.answers.clear()
        terminal.answer("again?", "y")
        terminal.answer("HOST:PORT", host)
        terminal.answer("User name", "")
        terminal.answer_hidden("App password", "pass@word:1/#%")
        terminal.wait_for("nothing was sent")
        assert not (newcomer.folder / ".env").exists()
        terminal.answer_hidden("Key of Claude", "")
        terminal.answer("time zone", "Berlin")
        terminal.wait_for("Europe/Berlin")
        terminal.answer("time zone", "Europe/Berlin")
        terminal.answer("time of day", "")
        terminal.answer("test mail", "y")
        said = terminal.rest()
        assert terminal.process.wait(240) == 0, said
    assert "pass@word" not in said
    assert "To keep it running" in said
    [mail] = mails(server)
    assert mail["to"] == ME
    assert "pass%40word%3A1%2F%23%25" in (newcomer.env["NEWSLETTER_SMTP_URL"] or "")


@pytest.mark.parametrize("keep", [False, True])
def test_an_answer_that_failed_its_check_is_kept_only_after_a_yes(
    newcomer: Newcomer, server: FakeSmtp, *, keep: bool
) -> None:
    server.answers["AUTH"] = "535 5.7.8 not accepted"
    with Terminal(newcomer) as terminal:
        terminal.answer("email address", ME)
        terminal.answer("sentence of your own", "foundation-models")
        terminal.answer("How to mail", "smtp")
        terminal.answer("HOST:PORT", re.sub(r"^smtp://.*@", "", server.url))
        terminal.answer("User name", "")
        terminal.answer_hidden("App password", "wrong")
        terminal.answer("answer again?", "n")
        terminal.answer("although this check failed?", "y" if keep else "")
        if keep:
            terminal.wait_for("newsletter doctor")
            terminal.answer_hidden("Key of Claude", "")
            terminal.answer("time zone", "")
            terminal.answer("time of day", "")
            terminal.answer("test mail", "n")
        said = terminal.rest()
        assert terminal.process.wait(240) == (0 if keep else 1), said
    assert (newcomer.folder / ".env").exists() is keep
    if not keep:
        assert "nothing was written" in said
        assert "535" in said


def test_ctrl_c_half_way_leaves_nothing(newcomer: Newcomer) -> None:
    with Terminal(newcomer) as terminal:
        terminal.answer("email address", ME)
        terminal.answer("sentence of your own", "foundation-models")
        terminal.wait_for("How to mail")
        assert terminal.interrupt() == 1
        said = terminal.rest()
    assert "Traceback" not in said
    assert newcomer.files() == set()


def test_an_env_file_that_must_not_change_stays(newcomer: Newcomer) -> None:
    env = newcomer.folder / ".env"
    env.write_text("NEWSLETTER_MAILER=outbox\n")
    with Terminal(newcomer) as terminal:
        terminal.answer("email address", ME)
        terminal.answer("sentence of your own", "foundation-models")
        terminal.answer("How to mail", "files")
        terminal.answer_hidden("Key of Claude", "")
        terminal.answer("time zone", "")
        terminal.answer("time of day", "")
        terminal.answer("exists", "n")
        assert "Nothing was written" in terminal.rest()
        assert terminal.process.wait(240) == 1
    assert env.read_text() == "NEWSLETTER_MAILER=outbox\n"
    assert newcomer.files() == {".env"}
